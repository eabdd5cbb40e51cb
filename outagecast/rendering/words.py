"""`words.toml`: the words of one language that are chosen by a value.

Read along a chain of folders, the operator's first: each file gives only the keys it changes. The whole must have every
key, with every plural form of the language.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError

from outagecast.rendering.errors import BrokenTemplates

FILE = "words.toml"
LEVELS = ("outage", "degraded", "reduced_redundancy", "at_risk", "no_impact")
COLUMNS = ("customer", "place", "label", "service", "id", "state", "since", "back", "minutes")
_LEVEL_WORDS = ("mark", "word", "short", "was_short", "back_short")
_LEVEL_PHRASES = ("is", "still", "again", "was", "now", "back")
_TIMES = ("clock", "date", "date_with_year", "sms_date", "sms_date_with_year", "same_day", "other_day")
_DURATIONS = ("day", "hour", "minute", "none")
_PLACEHOLDERS: dict[str, frozenset[str]] = {
    "time.same_day": frozenset({"clock", "zone"}),
    "time.other_day": frozenset({"clock", "zone", "date"}),
    **{f"duration.{unit}": frozenset({"n"}) for unit in ("day", "hour", "minute")},
}
_FORMS_REMEMBERED = 1024
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of one language, by dotted key: `levels.outage.is.one`."""

    locale: Locale
    by_key: dict[str, str]
    forms: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        return self.by_key[key]

    def form(self, count: int) -> str:
        """The plural form (CLDR) that goes with this number: `nouns.circuit.` + `one`, `other` …"""
        known = self.forms.get(count)
        if known is None:
            known = self.locale.plural_form(count)
            if len(self.forms) < _FORMS_REMEMBERED:
                self.forms[count] = known
        return known


def locale_of(language: str) -> Locale:
    """Babel's locale of a language; the language without its territory, then English, where Babel has none."""
    for name in (language, language.split("_")[0]):
        try:
            return Locale.parse(name)
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("en")


def load_words(language: str, folders: Sequence[Path]) -> Words:
    """The words of a language from its folders, the first has the last say. BrokenTemplates names file and line."""
    locale = locale_of(language)
    wanted = dict.fromkeys(_wanted(sorted(locale.plural_form.tags | {"other"})))
    files = [path for folder in folders if (path := folder / FILE).is_file()]
    if not files:
        raise BrokenTemplates([f"{folders[-1] / FILE}: is missing"])
    read = [_read(path, list(wanted)) for path in reversed(files)]
    merged = reduce(lambda ours, theirs: ours | theirs, read)
    missing = [f"{files[-1]}: {key} is missing" for key in wanted if key not in merged]
    if missing:
        raise BrokenTemplates(missing)
    return Words(locale=locale, by_key=merged)


def _wanted(plurals: Sequence[str]) -> Iterator[str]:
    yield from (f"time.{name}" for name in _TIMES)
    yield from (f"duration.{name}" for name in _DURATIONS)
    yield from ("sms.alphabet", "sms.cut", "mail.cut", "never.short")
    yield from (f"list.{name}" for name in COLUMNS)
    yield from (f"levels.{level}.{word}" for level in LEVELS for word in _LEVEL_WORDS)
    phrases = [f"levels.{level}.{phrase}" for level in LEVELS for phrase in _LEVEL_PHRASES]
    phrases += ["never.is", *(f"nouns.{noun}" for noun in ("circuit", "service", "mixed"))]
    yield from (f"{phrase}.{plural}" for phrase in phrases for plural in plurals)


def _read(path: Path, wanted: list[str]) -> dict[str, str]:
    text = path.read_text("utf-8")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        at = line[1] if line else max(1, len(text.splitlines()))
        raise BrokenTemplates([f"{path}:{at}: {error}"]) from None
    found = dict(_flat(table))
    problems = [
        f"{path}:{_line_of(text, key)}: {key} {why}" for key, v in found.items() if (why := _wrong(key, v, wanted))
    ]
    if problems:
        raise BrokenTemplates(problems)
    return found


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _wrong(key: str, value: object, wanted: list[str]) -> str:
    if key not in wanted:
        near = difflib.get_close_matches(key, wanted, n=1)
        return f"is no word we know (did you mean {near[0]}?)" if near else "is no word we know"
    if not isinstance(value, str) or re.search(r"[\x00-\x1f\x7f]", value):
        return "must be one line of text in quotes"
    if key == "sms.alphabet" and value not in ("gsm7", "ucs2"):
        return 'must be "gsm7" or "ucs2"'
    allowed = _PLACEHOLDERS.get(key, frozenset())
    unknown = sorted(set(_PLACEHOLDER.findall(value)) - allowed)
    if unknown:
        return f"holds {{{unknown[0]}}}, which nothing fills in (it may hold {_listed(allowed)})"
    lacking = sorted(allowed - set(_PLACEHOLDER.findall(value)))
    return f"lacks {{{lacking[0]}}}" if lacking else ""


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names)) or "none"


def _line_of(text: str, key: str) -> int:
    """The line that most likely holds a key: its section's heading, then its own name below it."""
    rows = text.splitlines()
    parts = key.split(".")
    start = 0
    for depth in range(len(parts) - 1, 0, -1):
        heading = f"[{'.'.join(parts[:depth])}]"
        if (at := next((n for n, row in enumerate(rows) if row.replace(" ", "").startswith(heading)), -1)) >= 0:
            start, parts = at + 1, parts[depth:]
            break
    own = re.compile(rf"\s*{re.escape(parts[0])}\b")
    return next((n for n in range(start, len(rows)) if own.match(rows[n])), start) + 1
