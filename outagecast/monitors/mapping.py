"""From a payload to its parts: reading bytes of any shape, walking declared paths, cleaning what strangers wrote.

Written against what monitoring systems really send: every value a string, numbers above 2^53, empty or year-1 times,
offsets without a colon, epochs in s, ms or ns, macros nobody filled in (`$VAR`, `%var%`, `*var*`, `{VAR}`), Latin-1
bytes, JSON called text/plain.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from outagecast.domain.errors import Invalid
from outagecast.domain.event import HINT_KINDS
from outagecast.domain.outage import Severity
from outagecast.domain.strict_json import parse_json

LONGEST_KEY = 255
LONGEST_TEXT = 500
LONGEST_HINT = 200
MOST_HINTS = 50
_UNFILLED = re.compile(r"\$[A-Z_][A-Z0-9_.:]*|%[A-Za-z_]+%|\*[A-Za-z]+\*|\{[A-Z][A-Z0-9_.:]*\}|\{\{.*\}\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Direction marks can make a text read backwards ("moc.evil"), zero-width ones hide inside words.
_INVISIBLE = re.compile(r"[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OFFSET = re.compile(r"([+-]\d{2})(\d{2})$")
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_SEVERITIES = {
    Severity.CRITICAL: "critical disaster emergency fatal page p1 down",
    Severity.MAJOR: "major error high p2",
    Severity.MINOR: "minor warning warn average low info information p3 p4",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """One request as it came: the bytes and the content type it claims."""

    body: bytes
    content_type: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where a payload names what is down: for each kind of thing the dotted paths, tried in order."""

    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def over(self, usual: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """These paths where given, the format's usual ones for the other kinds."""
        return {kind: self.paths.get(kind) or usual.get(kind, ()) for kind in HINT_KINDS}


def read_payload(payload: Payload) -> Any:
    """The payload as JSON values; a form becomes an object of texts. Invalid if it is neither."""
    text = _decode(payload)
    if "form-urlencoded" in payload.content_type.lower() and not text.lstrip().startswith(("{", "[")):
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        return parse_json(text)
    except ValueError as error:
        raise Invalid.one("", str(error)) from None


def at_path(value: Any, path: str) -> Any:
    """What stands at a dotted path (`labels.circuit`, `alerts.0.id`); None where there is nothing.

    A key that itself holds dots is found as long as the rest of the path spells it.
    """
    if not path:
        return value
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        head, _, rest = path.partition(".")
        return at_path(value[head], rest) if rest and head in value else None
    if isinstance(value, list):
        head, _, rest = path.partition(".")
        return at_path(value[int(head)], rest) if head.isdecimal() and int(head) < len(value) else None
    return None


def first_text(value: Any, *paths: str, longest: int = LONGEST_TEXT) -> str:
    """The first path that holds words, cleaned to one line; "" if none does."""
    for path in paths:
        text = clean(at_path(value, path), longest=longest)
        if text:
            return text
    return ""


def clean(value: Any, *, longest: int = LONGEST_TEXT) -> str:
    """A stranger's value as one harmless line; "" for nothing, null, an object, or a macro that nobody filled in."""
    if value is None or isinstance(value, bool | dict | list):
        return ""
    text = _INVISIBLE.sub("", _CONTROL.sub(" ", str(value))).strip()
    return "" if _UNFILLED.fullmatch(text) else text[:longest]


def hints_at(value: Any, paths: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The things a payload names, by kind. A list, or a text with commas or semicolons, names several."""
    found = {kind: tuple(_names(value, paths.get(kind, ()))) for kind in HINT_KINDS}
    return {kind: names for kind, names in found.items() if names}


def read_time(value: Any) -> datetime | None:
    """A moment however it is written; None for nothing, nonsense, or a year no outage falls into.

    A text without an offset is taken as UTC.
    """
    text = clean(value, longest=64)
    try:
        found = _epoch(float(text)) if re.fullmatch(r"\d{9,20}(\.\d+)?", text) else _iso(text)
    except (ValueError, OverflowError):
        return None
    return found if found is not None and 2000 <= found.year <= 2200 else None


def read_severity(value: Any) -> Severity | None:
    word = clean(value).lower()
    return next((severity for severity, words in _SEVERITIES.items() if word in words.split()), None)


def read_link(value: Any) -> str:
    """An absolute http(s) address; "" for everything else, such as the relative ones of a test button."""
    text = clean(value, longest=2000)
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.hostname else ""


def short_key(text: str) -> str:
    """A dedup key of at most 255 characters: longer ones become their digest."""
    return text if len(text) <= LONGEST_KEY else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def digest_of(parts: Iterable[str]) -> str:
    """A key for something that came without one: the same parts give the same key."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _decode(payload: Payload) -> str:
    charset = re.search(r"charset=\"?([\w-]+)", payload.content_type)
    for name in ("utf-8-sig", charset.group(1) if charset else "", "cp1252"):
        try:
            return payload.body.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return payload.body.decode("latin-1")


def _names(value: Any, paths: tuple[str, ...]) -> Iterable[str]:
    for path in paths:
        found = at_path(value, path)
        parts = found if isinstance(found, list) else re.split(r"[;,]", clean(found, longest=10_000))
        names = list(dict.fromkeys(filter(None, (clean(part, longest=LONGEST_HINT) for part in parts))))
        if names:
            return names[:MOST_HINTS]
    return ()


def _epoch(number: float) -> datetime:
    while number > 1e11:  # ms, µs and ns since 1970 for any year from 1973 on
        number /= 1000
    return datetime.fromtimestamp(number, UTC)


def _iso(text: str) -> datetime | None:
    if not text:
        return None
    plain = _FRACTION.sub(
        lambda found: "." + found.group(1).ljust(6, "0"), text.replace("Z", "+00:00").replace("z", "+00:00")
    )
    found = datetime.fromisoformat(_OFFSET.sub(r"\1:\2", plain) if "T" in plain or " " in plain else plain)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC) + timedelta(0)
