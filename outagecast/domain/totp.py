"""Codes of an authenticator app: TOTP with SHA-1, six digits, 30 seconds (RFC 6238), because every app knows those."""

import base64
import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
DRIFT = 1
"""How many steps a phone's clock may be off, either way."""
SECRET_BYTES = 20
"""As long as SHA-1's own output (RFC 4226, section 4)."""


def new_secret(random: bytes) -> str:
    """The key as base32; `random` holds at least SECRET_BYTES."""
    return base64.b32encode(random[:SECRET_BYTES]).decode()


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def code_at(secret: str, step: int) -> str:
    """The six digits of one step (RFC 4226, section 5.3)."""
    digest = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def fitting_step(secret: str, code: str, *, after: int, now: datetime) -> int | None:
    """The step whose code this is, later than `after` (the last one used); None if it fits none.

    Every candidate is compared in full, so that the time taken tells nothing.
    """
    given = "".join(code.split())
    if len(given) != DIGITS or not given.isascii() or not given.isdigit():
        return None
    here, found = step_of(now), None
    for step in range(here - DRIFT, here + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step), given) and step > after and found is None:
            found = step
    return found


def enrolment_uri(secret: str, *, issuer: str, account: str) -> str:
    """What the QR code says (the Key URI format that all apps read)."""
    label = quote(f"{issuer.replace(':', ' ')}:{account}", safe="")
    return (
        f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )


def in_groups(text: str, size: int = 4) -> str:
    """`ABCD EFGH …`: as people copy it by hand."""
    return " ".join(text[start : start + size] for start in range(0, len(text), size))
