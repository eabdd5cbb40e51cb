"""Addresses that differ only in names and numbers are decided once for all of them.

In a wave nearly every address has the same to hear: one contact, nothing told before, the same level of a line or two
with the same wishes. Such addresses share a *shape*: everything a decision can depend on. Of each shape one address is
decided as any other (deciding.py), with blanks where its personal values would stand; what comes out is the outline of
all of them, and each address only fills in its blanks. tests/engine/test_outlines.py holds every row against the long
way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring as quoted
from operator import itemgetter
from typing import Any, TypeAlias

from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import ThingKey
from outagecast.domain.recipients import AddressState, Hearer, wishes
from outagecast.domain.suppression import SuppressReason
from outagecast.engine.deciding import Decider, Findings
from outagecast.engine.house import House
from outagecast.engine.planned import Speech
from outagecast.storage.glance import BETWEEN, CELLS, Seen
from outagecast.storage.planning_hearers import ONLY
from outagecast.storage.planning_things import ACTIVE, ThingWords
from outagecast.storage.types import compact

MOST_SHAPES = 100
"""In one chunk. Where there are more, the rest is better decided one by one."""
MOST_LINES = 10
"""Of one address: the few that have more take the long way."""

Shape: TypeAlias = tuple[Any, ...]
Row: TypeAlias = tuple[Any, ...]

_PERSONAL = ("id", "address_id", "to", "customer_id", "contact_id", "facts")
_PERSONAL_OF_LEAD = ("address_id", "thing_id", "customer_id", "contact_id")


class Blank(str):
    """A personal text, not filled in: its place among an address's values."""

    place: int

    def __new__(cls, place: int) -> "Blank":
        blank = super().__new__(cls, f"{place:06}")  # sorts as the places do
        blank.place = place
        return blank


class BlankNumber(int):
    """The address's number, not filled in. It stands at the first place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """What is said to all addresses of one shape, and the leads it makes. None for a delivery: nothing is said.

    `facts`: its frozen facts as JSON with `%s` for each blank, whose places `blanks` picks; None: it has none. `leads`:
    the number of the line, and the values that all have.
    """

    delivery: Row | None
    facts: str | None
    blanks: Callable[[Sequence[Any]], tuple[Any, ...]]
    leads: tuple[tuple[int, Row], ...]
    newly_told: bool


@dataclass(kw_only=True, slots=True)
class Filled:
    """Rows as they go to the database, their columns in this order. `handled`: the addresses that are decided."""

    delivery_columns: tuple[str, ...] = ()
    deliveries: list[Row] = field(default_factory=list)
    notices: list[Row] = field(default_factory=list)
    """(delivery_id, customer_id)"""
    lead_columns: tuple[str, ...] = ()
    leads: list[Row] = field(default_factory=list)
    handled: set[int] = field(default_factory=set)
    newly_told: set[str] = field(default_factory=set)


class Outliner:
    """Decides the usual addresses of one chunk. `first`: the number of the first delivery."""

    def __init__(self, house: House, decider: Decider, speech: Speech, now: datetime, first: int) -> None:
        self._house = house
        self._decider = decider
        self._speech = speech
        self._now = now
        self._number = first
        self._outlines: dict[Shape, Outline | None] = {}
        self._filled = Filled()

    def fill(self, seen: Sequence[Seen]) -> Filled:
        """The rows of the usual addresses among these."""
        single: dict[int, Seen] = {}
        several: dict[int, list[Seen]] = {}
        for row in seen:
            first = single.setdefault(row[0], row)
            if first is not row:
                several.setdefault(row[0], [first]).append(row)
        outlines, fill = self._outlines, self._fill
        for row in single.values():
            if row[0] in several or row[7] is None or not row[5]:
                continue  # without a thing's or a customer's name something is amiss: the long way knows what
            shape = row[9:] if row[8] else (*row[9:], "")
            if shape not in outlines:
                outlines[shape] = self._outline(shape, (row,))
            if (outline := outlines[shape]) is not None:
                fill(outline, row, (quoted(row[6]), quoted(row[7]), quoted(row[8])), (row[6],))
        for rows in several.values():
            self._several_lines(rows)
        return self._filled

    def _several_lines(self, rows: list[Seen]) -> None:
        """One address with more than one line of the one customer that its one contact hears for."""
        first = rows[0]
        if len(rows) > MOST_LINES or any(row[2] != first[2] or row[4] != first[4] for row in rows):
            return
        if any(row[7] is None for row in rows) or not first[5]:
            return
        ordered = {(row[8], row[7], row[6]): row for row in rows}
        if len(ordered) < len(rows):  # touched by two outages, or not to be told apart
            return
        lines = [ordered[key] for key in sorted(ordered)]
        shape = tuple([row[9:] if row[8] else (*row[9:], "") for row in lines])
        if shape not in self._outlines:
            self._outlines[shape] = self._outline(shape, lines)
        if (outline := self._outlines[shape]) is not None:
            words = [quoted(word) for row in lines for word in row[6:9]]
            self._fill(outline, first, words, [row[6] for row in lines])

    def _fill(self, outline: Outline, row: Seen, lines: Sequence[str], thing_ids: Sequence[str]) -> None:
        """`lines`: the id, label and place of each line, quoted."""
        filled = self._filled
        address_id, value, contact_id, name, customer_id, customer = row[:6]
        filled.handled.add(address_id)
        if outline.delivery is not None:
            facts = outline.facts
            if facts is not None:
                facts %= outline.blanks((address_id, quoted(name), quoted(customer_id), quoted(customer), *lines))
            filled.deliveries.append(
                (*outline.delivery, self._number, address_id, value, customer_id, contact_id, facts)
            )
            filled.notices.append((self._number, customer_id))
            self._number += 1
            if outline.newly_told:
                filled.newly_told.add(customer_id)
        for line, values in outline.leads:
            filled.leads.append((*values, address_id, thing_ids[line], customer_id, contact_id))

    # --- once for each shape ---

    def _outline(self, shape: Shape, lines: Sequence[Seen]) -> Outline | None:
        """Decide for an address of this shape whose personal values are blank. None: it is not usual after all."""
        if len(self._outlines) >= MOST_SHAPES or lines[0][13]:
            return None
        findings = self._findings(lines)
        if findings is None:
            return None
        decided = self._decider.decide(self._speech, [_NUMBER], findings, self._now)
        own = self._speech.speaking.outage_id
        if len(decided.rows) > 1 or any(row.outage_id != own for row in decided.rows):
            return None
        leads = tuple([(_line_of(lead["thing_id"]), self._lead(lead)) for lead in decided.leads])
        if not decided.rows:
            return Outline(delivery=None, facts=None, blanks=_no_blanks, leads=leads, newly_told=False)
        planned = decided.rows[0]
        values = {name: value for name, value in planned.values.items() if name not in _PERSONAL}
        self._filled.delivery_columns = (*values, *_PERSONAL)
        facts, places = _frame(planned.values["facts"])
        return Outline(
            delivery=tuple([_plain(value) for value in values.values()]),
            facts=facts,
            blanks=itemgetter(*places) if places else _no_blanks,
            leads=leads,
            newly_told=planned.tells_newly,
        )

    def _lead(self, lead: dict[str, Any]) -> Row:
        values = {name: value for name, value in lead.items() if name not in _PERSONAL_OF_LEAD}
        self._filled.lead_columns = (*values, *_PERSONAL_OF_LEAD)
        return tuple([_plain(value) for value in values.values()])

    def _findings(self, lines: Sequence[Seen]) -> Findings | None:
        """What would have been read about such an address."""
        channel, suppressed, held_shared, cells = lines[0][9:13]
        contact = _hearer(self._house, ChannelName(channel), cells.split(BETWEEN))
        if contact is None:
            return None
        things, words = {}, {}
        for number, line in enumerate(lines):
            kind, level, outage_id, from_at, carries, zone = line[14:20]
            if kind is None:
                continue
            key = ThingKey(kind, _blank(number, 0), _CUSTOMER_ID)
            things[key] = (Level(level), (outage_id,), from_micros(from_at))
            words[key] = ThingWords(
                customer=_CUSTOMER,
                label=_blank(number, 1),
                place=_blank(number, 2) if line[8] else "",
                service=carries if kind == CIRCUIT else "",
                zone=zone,
                carries=carries,
            )
        return Findings(
            addresses={
                _NUMBER: AddressState(
                    value=_VALUE,
                    suppressed=SuppressReason(suppressed) if suppressed else None,
                    held_shared=bool(held_shared),
                )
            },
            hearers={_NUMBER: (contact,)},
            things=things,
            words=words,
            told={},
            histories={},
        )


def _hearer(house: House, channel: ChannelName, cells: Sequence[str]) -> Hearer | None:
    if len(cells) != len(CELLS):
        return None
    status, language, zone, channels, notify, quiet, wake, customer_language, customer_zone, tier, only = cells
    return Hearer(
        address_id=_NUMBER,
        channel=channel,
        contact_id=_VALUE,
        name=_NAME,
        customer_id=_CUSTOMER_ID,
        language=language or customer_language or house.provider_language,
        zone=zone or customer_zone,
        wishes=wishes(notify, channels, quiet, wake, house.default_wishes(tier)),
        active=status == ACTIVE,
        tier=tier,
        only_address=only == ONLY,
    )


CIRCUIT = "circuit"
_NUMBER = BlankNumber(1)
_NAME, _CUSTOMER_ID, _CUSTOMER = Blank(1), Blank(2), Blank(3)
_VALUE = Blank(0)
"""Of a column that is filled in anyhow."""
_FIRST_LINE, _WORDS_OF_LINE = 4, 3


def _blank(line: int, word: int) -> Blank:
    return Blank(_FIRST_LINE + _WORDS_OF_LINE * line + word)


def _line_of(thing_id: Blank) -> int:
    return (thing_id.place - _FIRST_LINE) // _WORDS_OF_LINE


def _no_blanks(_values: Sequence[Any]) -> tuple[Any, ...]:
    return ()


def _plain(value: Any) -> Any:
    return to_micros(value) if isinstance(value, datetime) else value


def _frame(facts: Any) -> tuple[str | None, list[int]]:
    """Frozen facts as JSON with a `%s` for each blank, and the places of these."""
    places: list[int] = []
    return (None if facts is None else _framed(facts, places)), places


def _framed(value: Any, places: list[int]) -> str:
    match value:
        case Blank():
            places.append(value.place)
            return "%s"
        case BlankNumber():
            places.append(0)
            return "%s"
        case dict():
            return "{" + ",".join(f"{compact(k)}:{_framed(v, places)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(_framed(v, places) for v in value) + "]"
        case _:
            return compact(value).replace("%", "%%")
