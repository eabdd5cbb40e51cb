"""The scope as a form holds it: one id a line, `kind:id` where an id is several things.

An effect behind the id (`POP-LEX degraded`) holds for that line alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import SCOPE_KINDS, ScopeEntry
from outagecast.storage.engine import Database
from outagecast.storage.views_scope import Found, recognise

MOST_LINES = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line as typed: `kind` None where the id alone has to tell."""

    text: str
    kind: str | None
    id: str
    effect: Effect


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A scope that was understood, with the name of each thing."""

    entries: tuple[ScopeEntry, ...]
    things: tuple[Found, ...]


async def read_scope(database: Database, text: str, *, effect: Effect, field: str = "scope") -> Named:
    """The entries of a scope's text; Invalid says which line is nothing, or several things."""
    lines = [_line(part, effect) for part in split_lines(text)]
    if len(lines) > MOST_LINES:
        raise Invalid.one(field, f"more than {MOST_LINES} lines: name the element or site they hang on instead")
    async with database.read() as conn:
        known = await recognise(conn, [line.id for line in lines])
    errors: list[FieldError] = []
    things = [(line, _one(line, known.get(line.id, []), errors, field)) for line in lines]
    if errors:
        raise Invalid(errors)
    found = [(line, thing) for line, thing in things if thing is not None]
    return Named(
        entries=tuple(ScopeEntry(kind=thing.kind, id=thing.id, effect=line.effect) for line, thing in found),
        things=tuple(thing for _, thing in found),
    )


def split_lines(text: str) -> list[str]:
    """The lines that say something, each once."""
    return list(dict.fromkeys(filter(None, (part.strip() for part in text.replace(",", "\n").splitlines()))))


def add_picks(text: str, picks: Iterable[str]) -> str:
    """The text with what was ticked in a list of results added."""
    return "\n".join(dict.fromkeys([*split_lines(text), *picks]))


def write_entry(entry: ScopeEntry) -> str:
    return f"{entry.kind}:{entry.id}"


def _line(text: str, usual: Effect) -> Line:
    body, _, last = text.rpartition(" ")
    word = last.lower().replace("-", "_")
    effect = Effect(word) if body and word in set(Effect) else usual
    named = body.strip() if body and word in set(Effect) else text
    kind, _, id = named.partition(":")
    if id and kind.lower().removesuffix("s") in SCOPE_KINDS:
        return Line(text=text, kind=kind.lower().removesuffix("s"), id=id.strip(), effect=effect)
    return Line(text=text, kind=None, id=named, effect=effect)


def _one(line: Line, known: Sequence[Found], errors: list[FieldError], field: str) -> Found | None:
    fitting = [thing for thing in known if line.kind in (None, thing.kind)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = line.kind or "element, site, area, service, customer or circuit"
        errors.append(FieldError(field=field, message=f"no {what} {line.id}: use the search field to find it"))
    else:
        ways = " or ".join(f"{thing.kind}:{thing.id}" for thing in fitting)
        kinds = " and ".join(f"{_article(thing.kind)} {thing.kind}" for thing in fitting)
        errors.append(FieldError(field=field, message=f"{line.id} is {kinds}: write {ways}"))
    return None


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def names_of(things: Mapping[str, Sequence[Found]], entries: Iterable[ScopeEntry]) -> list[tuple[ScopeEntry, str]]:
    """Each entry with its name, as `recognise` found it; "" where the inventory no longer holds it."""
    return [
        (entry, next((thing.name for thing in things.get(entry.id, []) if thing.kind == entry.kind), ""))
        for entry in entries
    ]
