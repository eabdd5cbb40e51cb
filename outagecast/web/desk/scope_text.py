"""The scope as a form holds it: one id a line (or with commas, semicolons, blanks between), `kind:id` where an id is
several things.

An effect behind the id (`POP-LEX degraded`) holds for that line alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import SCOPE_KINDS, ScopeEntry
from outagecast.storage.engine import Database
from outagecast.storage.views_scope import Found, nearest, recognise

MOST_LINES = 5000
MOST_HINTS = 20
"""Unknown ids for which something near is looked for."""


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
    """The entries of a scope's text; Invalid says which line is nothing, or several things, and what may be meant.

    A pasted list may have blanks between its ids as well: a line that is nothing as a whole is read word by word.
    """
    parts = split_lines(text)
    if len(parts) > MOST_LINES:
        raise Invalid.one(field, f"more than {MOST_LINES} lines: name the element or site they hang on instead")
    async with database.read() as conn:
        whole = [_line(part, effect) for part in parts]
        known = await recognise(conn, [line.id for line in whole])
        pieces = [_line(word, effect) for line in whole if not known.get(line.id) for word in _words(line.text)]
        known |= await recognise(conn, [line.id for line in pieces])
        lines = [line for each in whole for line in _read_part(each, known, effect)]
        unknown = [line for line in lines if not _fitting(line, known)]
        near = {line.text: await nearest(conn, line.id, line.kind) for line in unknown[:MOST_HINTS]}
    errors: list[FieldError] = []
    things = [(line, _one(line, known, errors, field, near.get(line.text, []))) for line in lines]
    if errors:
        raise Invalid(errors)
    found = {(thing.kind, thing.id): (line, thing) for line, thing in things if thing is not None}
    return Named(
        entries=tuple(ScopeEntry(kind=thing.kind, id=thing.id, effect=line.effect) for line, thing in found.values()),
        things=tuple(thing for _, thing in found.values()),
    )


def split_lines(text: str) -> list[str]:
    """The lines that say something, each once."""
    parts = re.split(r"[\n\r,;\t]+", text)
    return list(dict.fromkeys(filter(None, (part.strip() for part in parts))))


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


def _words(text: str) -> list[str]:
    """The words of a line, if it has several; an effect stays with the id before it."""
    words: list[str] = []
    for word in text.split():
        if words and word.lower().replace("-", "_") in set(Effect):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words if len(words) > 1 else []


def _read_part(line: Line, known: Mapping[str, Sequence[Found]], usual: Effect) -> list[Line]:
    """The line itself, or the ids between its blanks where at least one of these is known."""
    if _fitting(line, known):
        return [line]
    pieces = [_line(word, usual) for word in _words(line.text)]
    return pieces if any(_fitting(piece, known) for piece in pieces) else [line]


def _fitting(line: Line, known: Mapping[str, Sequence[Found]]) -> list[Found]:
    return [thing for thing in known.get(line.id, []) if line.kind in (None, thing.kind)]


def _one(
    line: Line, known: Mapping[str, Sequence[Found]], errors: list[FieldError], field: str, near: Sequence[Found]
) -> Found | None:
    fitting = _fitting(line, known)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = line.kind or "element, site, area, service, customer or circuit"
        meant = " or ".join(f"{thing.kind} {thing.id}" for thing in near)
        hint = f": did you mean {meant}?" if meant else ": use the search field to find it"
        errors.append(FieldError(field=field, message=f"no {what} {line.id}{hint}"))
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
