"""Secrets that cannot be guessed are kept as their SHA-256: 256 bits need no salt and no slow hash."""

import hashlib
import hmac


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compared without telling by the time taken how much of it fits."""
    return hmac.compare_digest(given.encode(), expected.encode())
