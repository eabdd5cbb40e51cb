"""What somebody on the phone may mean by what he says: a number, an address, an id, a name. Pure."""

import re
from dataclasses import dataclass

from outagecast.domain import customers

_EXTENSION = re.compile(r"(?:\s*(?:ext\.?|extension|x|#)\s*\d{1,6})$", re.IGNORECASE)
_PHONE = re.compile(r"[\d\s()+./\u2010-\u2015-]+")
_FEWEST_DIGITS = 5
_IN_FULL = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The readings of one text, each empty where it is no such thing.

    `phone`: E.164; `digits`: how the number ends, where it may be written without its country or area; `email`: the
    address as far as it was spelt; `ids`: the spellings of an id; `name`: words of a name.
    """

    phone: str = ""
    digits: str = ""
    email: str = ""
    ids: tuple[str, ...] = ()
    name: str = ""


def read(text: str, region: str | None) -> Asked:
    """`region`: where a number without a country's code is dialled."""
    words = " ".join(text.split())
    if not words:
        return Asked()
    if "@" in words:
        return Asked(email=words.replace(" ", "").lower())
    ids = tuple(dict.fromkeys((words, words.upper(), words.lower(), words.replace(" ", "-").upper())))
    plain = _EXTENSION.sub("", words)
    digits = re.sub(r"\D", "", plain)
    if _PHONE.fullmatch(plain) and len(digits) >= _FEWEST_DIGITS:
        return Asked(phone=_e164(plain, digits, region), digits=digits.lstrip("0"), ids=ids)
    return Asked(ids=ids, name=words)


def _e164(plain: str, digits: str, region: str | None) -> str:
    if len(digits) < _IN_FULL:
        return ""
    written = f"+{digits[2:]}" if digits.startswith("00") and not plain.startswith("+") else plain
    try:
        return customers.phone(written, region)
    except ValueError:
        return ""
