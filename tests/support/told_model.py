"""A network of five things told to a few addresses, in memory: outages are played through `plan()`, answers kept.

It stands in for reckoning, planner and outbox: levels are worked out by hand, leads and rows are plain lists, and a row
leaves when a test says so. What the addresses then believe is what has left to them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from outagecast.domain.facts import Line
from outagecast.domain.levels import Level
from outagecast.domain.notices import (
    NO_HISTORY,
    AddressHistory,
    AddressPlan,
    Lead,
    NoticeKind,
    NoticeReason,
    Role,
    Speaking,
    ThingKey,
    ThingNow,
    Utterance,
)
from outagecast.domain.outage import Verb
from outagecast.domain.plan import plan

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
Parts = Mapping[str, Level]
NOTHING = Level.NO_IMPACT


def needs(name: str) -> Callable[[Parts], Level]:
    return lambda parts: parts.get(name, NOTHING)


def either(one: str, other: str) -> Callable[[Parts], Level]:
    """As well off as the better of two, but without redundancy when either is in trouble."""

    def level(parts: Parts) -> Level:
        levels = [parts.get(one, NOTHING), parts.get(other, NOTHING)]
        return max(min(levels), Level.REDUCED_REDUNDANCY if any(levels) else NOTHING)

    return level


THINGS: dict[ThingKey, Callable[[Parts], Level]] = {
    ThingKey("circuit", "T-a", "K1"): needs("a"),
    ThingKey("circuit", "T-b", "K1"): needs("b"),
    ThingKey("circuit", "T-a|b", "K1"): either("a", "b"),
    ThingKey("service", "T-c", "K2"): needs("c"),
    ThingKey("circuit", "T-a;c", "K2"): lambda parts: max(needs("a")(parts), needs("c")(parts)),
}
PARTS = ("a", "b", "c")


@dataclass(kw_only=True)
class Trouble:
    """An outage of the model. `parts` are what it names, empty when it is over."""

    name: str
    parts: dict[str, Level]
    eta: datetime | None = None
    episode: int = 1
    open: bool = True


@dataclass(kw_only=True)
class Row:
    """One outbox row. `state`: waiting, left, superseded, or covered / silent (says nothing)."""

    revision: int
    episode: int
    utterance: Utterance
    eta: datetime | None
    state: str

    @property
    def ends(self) -> list[Line]:
        return [line for line in self.utterance.lines if line.level is NOTHING]


@dataclass(kw_only=True)
class Address:
    """What is kept about one address. `wants`: the levels its contact asks for."""

    name: str
    wants: frozenset[Level]
    leads: dict[tuple[str, int, ThingKey], Lead] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def told(self, episodes: Mapping[str, int]) -> dict[ThingKey, tuple[Lead, ...]]:
        found: dict[ThingKey, tuple[Lead, ...]] = {}
        for (outage, episode, key), lead in self.leads.items():
            if lead.role is not Role.ENDED and episodes.get(outage) == episode:
                found[key] = (*found.get(key, ()), lead)
        return found

    def history(self, outage: str, episode: int) -> AddressHistory:
        rows = [row for row in self.rows if row.utterance.outage_id == outage and row.episode == episode]
        if not rows:
            return NO_HISTORY
        left = [row for row in rows if row.state == "left"]
        waiting = [row for row in rows if row.state == "waiting"]
        unsaid = {
            (x.kind, x.id, x.customer_id): replace(x, was=None) if row.utterance.combined else x
            for row in waiting
            for x in row.utterance.lines
        }
        return AddressHistory(
            acked=bool(left) or any(row.state == "covered" for row in rows),
            left=bool(left),
            waiting=frozenset(row.utterance.kind for row in waiting),
            eta=left[-1].eta if left else None,
            unsaid=tuple(unsaid.values()),
        )

    def read(self) -> list[Row]:
        """What has left to this address, in the order in which it was said."""
        return [row for row in self.rows if row.state == "left"]

    def believes(self) -> dict[ThingKey, Level]:
        """The level of each thing it was ever sent, by the last message that named it."""
        return {
            ThingKey(line.kind, line.id, line.customer_id): line.level
            for row in self.read()
            for line in row.utterance.lines
        }


@dataclass(kw_only=True)
class Told:
    """One revision as it was said to one address."""

    address: Address
    before: dict[str, AddressHistory]
    answer: AddressPlan
    rows: list[Row]


class ToldModel:
    """Plays verbs. Every verb answers with what each address is told, and applies it."""

    def __init__(self, wants: Mapping[str, frozenset[Level]], *, combine_late: bool = True) -> None:
        self.addresses = [Address(name=name, wants=levels) for name, levels in wants.items()]
        self.outages: dict[str, Trouble] = {}
        self.combine_late = combine_late
        self.now = START
        self._revision = 0
        self._since: dict[tuple[str, ThingKey], datetime] = {}
        self._story: list[str] = []

    def __repr__(self) -> str:
        """The story so far: what a failed law prints."""
        return " ".join([f"combine_late={self.combine_late}", *self._story])

    # --- the world ---

    def level(self, key: ThingKey, without: str | None = None, only: str | None = None) -> Level:
        parts: dict[str, Level] = {}
        for outage in self.outages.values():
            if outage.open and outage.name != without and only in (None, outage.name):
                for part, level in outage.parts.items():
                    parts[part] = max(level, parts.get(part, NOTHING))
        return THINGS[key](parts)

    def touching(self, key: ThingKey) -> tuple[str, ...]:
        together = self.level(key)
        return tuple(
            name
            for name, outage in self.outages.items()
            if outage.open and (self.level(key, only=name) or together > self.level(key, without=name))
        )

    def thing(self, key: ThingKey) -> ThingNow:
        touching = self.touching(key)
        for name in self.outages:
            if name in touching:
                self._since.setdefault((name, key), self.now)
            else:
                self._since.pop((name, key), None)
        since = min((self._since[name, key] for name in touching), default=self.now)
        return ThingNow(
            key=key,
            customer=key.customer_id,
            label=key.id,
            place="",
            service="",
            level=self.level(key),
            touching=touching,
            since=since,
        )

    def as_heard(self, address: Address, thing: ThingNow, prior: tuple[Lead, ...]) -> Level:
        """Who was told that it is down is not told "back" because it is only partly better."""
        level = thing.level if thing.level in address.wants else NOTHING
        leader = next((lead for lead in prior if lead.role is Role.LEADS), None)
        if level is NOTHING and leader is not None and thing.level >= min(leader.level, Level.DEGRADED):
            return thing.level
        return level

    # --- the verbs ---

    def declare(self, name: str, parts: Parts, eta: datetime | None = None) -> list[Told]:
        self.outages[name] = Trouble(name=name, parts=dict(parts), eta=eta)
        return self.speak(name, Verb.DECLARE, to_all=True)

    def update(self, name: str, eta: datetime | None = None) -> list[Told]:
        self.outages[name].eta = eta
        return self.speak(name, Verb.UPDATE, to_all=True)

    def hold(self, name: str) -> list[Told]:
        return self.speak(name, Verb.HOLDING, to_all=True)

    def rescope(self, name: str, parts: Parts, *, to_all: bool = False) -> list[Told]:
        self.outages[name].parts = dict(parts)
        return self.speak(name, Verb.UPDATE, to_all=to_all, never=True)

    def restore(self, name: str, part: str) -> list[Told]:
        self.outages[name].parts.pop(part, None)
        return self.speak(name, Verb.RESTORE, to_all=False)

    def resolve(self, name: str) -> list[Told]:
        return self._end(name, Verb.RESOLVE)

    def retract(self, name: str) -> list[Told]:
        return self._end(name, Verb.RETRACT)

    def merge(self, name: str, into: str) -> list[Told]:
        other = self.outages[into].parts
        for part, level in self.outages[name].parts.items():
            other[part] = max(level, other.get(part, NOTHING))
        return self._end(name, Verb.MERGE)

    def reopen(self, name: str, parts: Parts) -> list[Told]:
        outage = self.outages[name]
        outage.open, outage.parts, outage.eta, outage.episode = True, dict(parts), None, outage.episode + 1
        return self.speak(name, Verb.REOPEN, to_all=True)

    def leave(self, *names: str) -> None:
        """Everything that waits for these addresses (all, if none is named) leaves."""
        self._story.append(f"leave({','.join(names)})")
        for address in self.addresses:
            if not names or address.name in names:
                for row in address.rows:
                    if row.state == "waiting":
                        row.state = "left"

    def _end(self, name: str, verb: Verb) -> list[Told]:
        self.outages[name].open = False
        self.outages[name].parts = {}
        before = self._revision
        said = self.speak(name, verb, to_all=True, never=verb is Verb.RETRACT)
        for address in self.addresses:
            for row in address.rows:
                now = row.utterance.outage_id == name and row.episode == self.outages[name].episode
                if now and row.revision <= before and row.state == "waiting":
                    row.state = "superseded"
        return said

    # --- saying it ---

    def speak(self, name: str, verb: Verb, *, to_all: bool, never: bool = False, keep: bool = True) -> list[Told]:
        """Plan a revision for every address; `keep=False` only answers what would be said."""
        if keep:
            self.now += timedelta(minutes=10)
            self._revision += 1
            parts = ",".join(f"{part}:{level.word}" for part, level in self.outages[name].parts.items())
            self._story.append(f"{verb.value}({name} {parts}{' to all' if to_all else ''})")
        etas = {outage.name: outage.eta for outage in self.outages.values() if outage.open or outage.name == name}
        speaking = Speaking(
            outage_id=name,
            verb=verb,
            at=self.now,
            to_all=to_all,
            never=never,
            back_at=self.now,
            combine_late=self.combine_late,
            etas=etas,
        )
        return [self._speak_to(address, speaking, keep) for address in self.addresses]

    def _speak_to(self, address: Address, speaking: Speaking, keep: bool) -> Told:
        episodes = {o.name: o.episode for o in self.outages.values() if o.open or o.name == speaking.outage_id}
        told = address.told(episodes)
        histories = {name: address.history(name, episode) for name, episode in episodes.items()}
        heard = []
        for key in THINGS:
            thing = self.thing(key)
            level = self.as_heard(address, thing, told.get(key, ()))
            if thing.touching or key in told:
                if not thing.touching:
                    thing = replace(thing, since=told[key][0].since)
                heard.append((thing, level))
        answer = plan(speaking, heard, told, histories)
        rows = [self._row(u, episodes) for u in answer.utterances]
        if keep:
            replaced = {u.outage_id for u in answer.utterances} | ({speaking.outage_id} if speaking.to_all else set())
            for row in address.rows:
                outage = row.utterance.outage_id
                if row.state == "waiting" and outage in replaced and row.episode == episodes.get(outage):
                    row.state = "superseded"
            address.rows.extend(rows)
            for lead in answer.leads:
                address.leads[lead.outage_id, episodes[lead.outage_id], lead.key] = lead
        return Told(address=address, before=histories, answer=answer, rows=rows)

    def _row(self, utterance: Utterance, episodes: Mapping[str, int]) -> Row:
        covered = utterance.reason is NoticeReason.COVERED
        return Row(
            revision=self._revision,
            episode=episodes[utterance.outage_id],
            utterance=utterance,
            eta=self.outages[utterance.outage_id].eta,
            state="covered" if covered else "silent" if utterance.silent else "waiting",
        )


def kinds(said: list[Told], address: str = "") -> list[NoticeKind]:
    """The kinds of what one address (the first, if none is named) is really told."""
    told = next(t for t in said if not address or t.address.name == address)
    return [u.kind for u in told.answer.utterances if not u.silent]
