"""Passwords: which are too easy to guess, and their argon2id hashes.

Hashes are made off the event loop and few at a time: each costs 64 MiB and a quarter of a second, and signing in must
not starve the daemon.
"""

import asyncio
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024
HASHES_AT_ONCE = 4
_LISTED = """
passwort password passw0rd p@ssw0rd p@ssword pa55word mypassword yourpassword newpassword secretpassword
1234567890 123456789 12345678 1234567 123456 12345 987654321 0987654321 87654321 11111111 00000000 123123 121212
112233 654321 666666 qwertyuiop qwertzuiop qwertyui qwerty qwertz azertyuiop azerty asdfghjkl asdfgh zxcvbnm
1q2w3e4r5t6y 1q2w3e4r 1qaz2wsx3edc 1qaz2wsx zaq12wsx q1w2e3r4 abcdefghij abcdefgh abcdef abc123 letmein welcome
administrator admin changeme changeit default iloveyou trustno1 sunshine princess football baseball basketball
superman batman dragon monkey shadow master michael jennifer jordan hunter freedom whatever starwars computer
internet secret google samsung summer winter spring autumn january february september october november december
network router operator customer outagecast outage operations
"""
_COMMON = tuple(sorted(_LISTED.split(), key=len, reverse=True))
"""What lists of leaked passwords begin with, and the words of this trade; longer ones before what they hold."""
_FEW = 3
"""So many common words, however joined, are one guess of a good list."""


def password_weakness(name: str, password: str) -> str | None:
    """Why a password is too easy to guess, with the mend; None if it will do.

    Length counts, not punctuation (NIST SP 800-63B).
    """
    lower = password.lower()
    if len(password) < SHORTEST_PASSWORD:
        return f"is too short (use at least {SHORTEST_PASSWORD} characters: four unrelated words are good)"
    if len(password) > LONGEST_PASSWORD:
        return f"is too long (at most {LONGEST_PASSWORD} characters)"
    if len(set(lower)) < 5:
        return "repeats the same few characters (use four unrelated words)"
    rest, found = lower, 0
    for word in (*([name.lower()] if len(name) > 2 else []), *_COMMON):
        found += word in rest
        rest = rest.replace(word, "")
    if found <= _FEW and len(rest) < SHORTEST_PASSWORD // 2:
        return "is hardly more than a common password or the name (use four unrelated words)"
    return None


class Passwords:
    """Makes and checks hashes; `secret` gives the text behind the hash of nobody's password."""

    def __init__(self, hasher: PasswordHasher, secret: Callable[[], str]) -> None:
        self._hasher = hasher
        self._secret = secret
        self._at_once = asyncio.Semaphore(HASHES_AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        async with self._at_once:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password_hash: str, password: str) -> bool:
        """An empty hash is nobody's: it fits nothing, and takes as long to find out as any other."""
        if self._nobody is None:
            self._nobody = await self.hash(self._secret())
        if len(password) > LONGEST_PASSWORD:
            return False
        async with self._at_once:
            fits = await asyncio.to_thread(self._verify, password_hash or self._nobody, password)
        return fits and password_hash != ""

    async def renewed(self, password_hash: str, password: str) -> str | None:
        """A hash as strong as they are made today, None where this one is."""
        return await self.hash(password) if self._hasher.check_needs_rehash(password_hash) else None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
