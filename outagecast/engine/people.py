"""Who may come in: staff with passwords and sessions, programs with tokens.

Passwords are argon2id hashes, made off the event loop and few at a time: each costs 64 MiB and a quarter of a
second, and signing in must not starve the daemon. Sessions and tokens are opaque 256-bit secrets; the database holds
their SHA-256 only, which is enough for secrets that cannot be guessed.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.backoff import Backoff
from outagecast.storage import people
from outagecast.storage.engine import Database

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024
HASHES_AT_ONCE = 4
TOKEN_PREFIX = "oc_"
"""So that secret scanners and people know a token when they see one."""
_STEP = timedelta(minutes=1)
"""How often "last seen" and "last used" are written: not with every request."""
_COMMON = ("password", "passwort", "123456789", "qwertyuiop", "letmein", "administrator", "outagecast", "changeme")


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Somebody signed in. `csrf` goes into every form of this session."""

    name: str
    role: Role
    csrf: str
    staff_id: int

    @property
    def actor(self) -> Actor:
        return Actor(kind=ActorKind.STAFF, name=self.name, role=self.role)


class SignInRefused(Forbidden):
    """Wrong name or password, or too many tries; `wait` is how long the next try has to wait, zero if it need not."""

    def __init__(self, wait: timedelta = timedelta(0)) -> None:
        super().__init__("that name and password do not go together" if not wait else "too many tries: wait a little")
        self.wait = wait


class People:
    """Staff, sessions and tokens.

    `secret` makes a new unguessable text (256 bits, URL-safe); `hasher` may be a faster one in tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        secret: Callable[[], str],
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret
        self._hasher = hasher or PasswordHasher()
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._backoff = Backoff()
        self._nobody: str | None = None

    # --- staff ---

    async def add_staff(self, name: str, password: str, role: Role, *, email: str = "", actor: Actor) -> None:
        """Invalid for a weak password, a strange name or the role `inventory`; Conflict when the name is taken."""
        name = name.strip()
        _check_new(name, password, role)
        password_hash = await self._hash(password)
        now = self._clock()
        async with self._database.write() as conn:
            if await people.staff_by_name(conn, name) is not None:
                raise Conflict(f"there is somebody called {name} already")
            await people.add_staff(conn, name=name, email=email, role=role, password_hash=password_hash, now=now)
            await people.record(conn, Happened.STAFF_CHANGED, f"{name} added as {role}", actor=actor, now=now)

    async def staff(self) -> Sequence[people.StaffRow]:
        async with self._database.read() as conn:
            return await people.all_staff(conn)

    async def has_staff(self) -> bool:
        async with self._database.read() as conn:
            return await people.count_active_staff(conn) > 0

    async def disable_staff(self, name: str, *, actor: Actor) -> None:
        """Also ends every session of theirs. NotFound; Conflict for the last admin, so that the house keeps a key."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await people.staff_by_name(conn, name)
            if row is None:
                raise NotFound(f"nobody is called {name}")
            last = row.role is Role.ADMIN and await people.count_active_staff(conn, Role.ADMIN) == 1
            if last and row.disabled_at is None:
                raise Conflict(f"{name} is the last admin: add another one first")
            await people.set_disabled(conn, row.id, now)
            await people.end_sessions_of(conn, row.id, now)
            await people.record(conn, Happened.STAFF_CHANGED, f"{name} disabled", actor=actor, now=now)

    # --- sessions ---

    async def sign_in(self, name: str, password: str, *, source: str, agent: str = "") -> str:
        """The new session's secret, for the cookie. `source` is the client's address.

        SignInRefused takes as long for a name that nobody has as for a wrong password. Tries are slowed from 1 s to
        15 min, never for good, and strangers elsewhere cannot slow somebody down by more than 30 s.
        """
        name, now = name.strip(), self._clock()
        wait = self._backoff.wait(name, source, now)
        if wait:
            raise SignInRefused(wait)
        async with self._database.read() as conn:
            row = await people.staff_by_name(conn, name)
        fits = await self._fits(row.password_hash if row else None, password)
        if row is None or not fits or row.disabled_at is not None:
            self._backoff.failed(name, source, now)
            raise SignInRefused
        self._backoff.forget(name, source)
        return await self._open_session(row, password, agent)

    async def session(self, secret: str) -> Session | None:
        """Who a cookie stands for; None when it is unknown, ended, idle for 30 minutes or older than 12 hours."""
        now, id_hash = self._clock(), _digest(secret)
        async with self._database.read() as conn:
            row = await people.session_by_hash(conn, id_hash)
        if row is None or now - row.seen_at > IDLE or now - row.created_at > LONGEST:
            return None
        if now - row.seen_at > _STEP:
            async with self._database.write() as conn:
                await people.see_session(conn, id_hash, now)
        return Session(name=row.name, role=row.role, csrf=row.csrf, staff_id=row.staff_id)

    async def sign_out(self, secret: str) -> None:
        async with self._database.write() as conn:
            await people.end_session(conn, _digest(secret), self._clock())

    async def sign_out_everywhere(self, staff_id: int) -> int:
        """How many sessions were open."""
        async with self._database.write() as conn:
            return await people.end_sessions_of(conn, staff_id, self._clock())

    # --- tokens ---

    async def add_token(self, name: str, role: Role, *, expires_in: timedelta | None = None, actor: Actor) -> str:
        """The token, told this once. Conflict when the name is taken."""
        name, now = name.strip(), self._clock()
        if not name:
            raise Invalid.one("name", "a token needs a name")
        token = TOKEN_PREFIX + self._secret()
        async with self._database.write() as conn:
            if await people.token_by_name(conn, name) is not None:
                raise Conflict(f"there is a token called {name} already: revoked names are not used again")
            await people.add_token(
                conn, name=name, role=role, hash=_digest(token), prefix=token[:8], now=now,
                expires_at=now + expires_in if expires_in is not None else None,
            )  # fmt: skip
            await people.record(conn, Happened.TOKEN_CHANGED, f"{name} added as {role}", actor=actor, now=now)
        return token

    async def tokens(self) -> Sequence[people.TokenRow]:
        async with self._database.read() as conn:
            return await people.all_tokens(conn)

    async def revoke_token(self, name: str, *, actor: Actor) -> None:
        """NotFound; revoking twice is fine."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await people.token_by_name(conn, name)
            if row is None:
                raise NotFound(f"there is no token called {name}")
            await people.revoke_token(conn, row.id, now)
            await people.record(conn, Happened.TOKEN_CHANGED, f"{name} revoked", actor=actor, now=now)

    async def token_actor(self, token: str) -> Actor | None:
        """Whom a bearer token stands for; None when it is unknown, revoked or expired."""
        now = self._clock()
        async with self._database.read() as conn:
            row = await people.token_by_hash(conn, _digest(token))
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.used_at is None or now - row.used_at > _STEP:
            async with self._database.write() as conn:
                await people.use_token(conn, row.id, now)
        return Actor(kind=ActorKind.TOKEN, name=row.name, role=row.role)

    # --- below ---

    async def _open_session(self, row: people.StaffRow, password: str, agent: str) -> str:
        secret, csrf, now = self._secret(), self._secret(), self._clock()
        stale = self._hasher.check_needs_rehash(row.password_hash)
        fresh = await self._hash(password) if stale else None
        actor = Actor(kind=ActorKind.STAFF, name=row.name, role=row.role)
        async with self._database.write() as conn:
            if fresh is not None:
                await people.set_password_hash(conn, row.id, fresh)
            await people.add_session(
                conn, id_hash=_digest(secret), staff_id=row.id, csrf=csrf, agent=agent[:200], now=now
            )
            await people.record(conn, Happened.SIGNED_IN, "", actor=actor, now=now)
        return secret

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def _fits(self, password_hash: str | None, password: str) -> bool:
        if self._nobody is None:
            self._nobody = await self._hash(self._secret())
        if len(password) > LONGEST_PASSWORD:
            return False
        async with self._hashing:
            fits = await asyncio.to_thread(self._verify, password_hash or self._nobody, password)
        return fits and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def same_secret(given: str, expected: str) -> bool:
    """Compared without telling by the time taken how much of it fits."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_new(name: str, password: str, role: Role) -> None:
    errors = []
    if not name or len(name) > 60 or not name.isprintable():
        errors.append(FieldError(field="name", message="is not a name (1 to 60 printable characters)"))
    if role is Role.INVENTORY:
        errors.append(
            FieldError(field="role", message="inventory is for tokens; use viewer, operator, approver or admin")
        )
    weakness = password_weakness(name, password)
    if weakness:
        errors.append(FieldError(field="password", message=weakness))
    if errors:
        raise Invalid(errors)


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
    rest = lower
    for word in (*_COMMON, *([name.lower()] if len(name) > 2 else [])):
        rest = rest.replace(word, "")
    if len(rest) < SHORTEST_PASSWORD // 2:
        return "is hardly more than a common password or the name (use four unrelated words)"
    return None
