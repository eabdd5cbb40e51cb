"""Who is told what: a real network, thousands of customers, overlapping outages, a real daemon on real sockets.

After every step what arrived is compared with an independent reckoning: nobody missing, nobody extra, nobody twice, no
other customer's data, and in each message what it has to hold.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.arrivals import LISTED, Arrival, Circumstances, Provider, arrivals, mistakes
from tests.acceptance.reckoning import DEGRADED, DOWN, EFFECTS, REDUCED, Address, Reckoning, Scope, Word
from tests.support.daemon import ApiClient, DaemonProcess, running, until
from tests.support.provider_from_topology import ProviderFiles, provider_from

CUSTOMERS = 5000
INTERVALS = {"critical": timedelta(minutes=30), "major": timedelta(minutes=60), "minor": timedelta(minutes=120)}
GOLD = "outage degraded reduced_redundancy maintenance"
CONFIG = {"defaults": {"gold": {"notify": GOLD}}, "sms": {"connections": 40}}
PROVIDER_EMAIL = "status@bluegrass.example"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running(tmp_path, config=CONFIG) as daemon:
        yield daemon


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A text that arrived, and the word that it must be."""

    word: Word
    arrival: Arrival


@dataclass(kw_only=True)
class Play:
    """Does each thing twice: with the daemon over its API, and in the reckoning; then compares what arrived."""

    house: DaemonProcess
    api: ApiClient
    reckoning: Reckoning
    families: Mapping[str, frozenset[str]]
    ids: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, timedelta] = field(default_factory=dict)
    promises: dict[str, datetime | None] = field(default_factory=dict)
    texts: list[Sent] = field(default_factory=list)
    threads: dict[tuple[Address, str], set[str]] = field(default_factory=dict)
    message_ids: Counter[str] = field(default_factory=Counter)
    unreachable: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)

    # --- the verbs ---

    def declare(
        self, outage: str, scope: Scope, *, ago: timedelta, severity: str = "major", eta: datetime | None = None
    ) -> None:
        at, mark = self._begin()
        started_at = _minute(at) - ago
        body = {"severity": severity, "started_at": _rfc(started_at), "eta": _rfc(eta) if eta else None}
        told = self.api.declare(f"Outage {outage}", _api_scope(scope), **body)
        self.ids[outage], self.intervals[outage] = told["id"], INTERVALS[severity]
        words = self.reckoning.declare(outage, scope, at=at, started_at=started_at, eta=eta)
        self._compare(outage, told, words, at, mark, promises=True)

    def update(self, outage: str, *, message: str = "", **changes: Any) -> None:
        """`eta`, `add` (a scope), `remove` (names)."""
        at, mark = self._begin()
        body: dict[str, Any] = {"message": message}
        if "eta" in changes:
            body["eta"] = _rfc(changes["eta"]) if changes["eta"] else None
        if "add" in changes:
            body["scope_add"] = _api_scope(changes["add"])
        if "remove" in changes:
            body["scope_remove"] = _api_scope(dict.fromkeys(changes["remove"], 0))
        told = self.api.verb(self.ids[outage], "updates", **body)
        words = self.reckoning.update(outage, at=at, message=bool(message), **changes)
        self._compare(outage, told, words, at, mark, promises=bool(message) or "eta" in changes, message=message)

    def restore(self, outage: str, names: Iterable[str], *, ago: timedelta) -> None:
        at, mark = self._begin()
        back_at, names = _minute(at) - ago, list(names)
        scope = _api_scope(dict.fromkeys(names, 0))
        told = self.api.verb(self.ids[outage], "restore", scope=scope, restored_at=_rfc(back_at))
        words = self.reckoning.restore(outage, names, at=at, restored_at=back_at)
        self._compare(outage, told, words, at, mark)

    def resolve(self, outage: str, *, ago: timedelta, message: str = "") -> None:
        at, mark = self._begin()
        back_at = _minute(at) - ago
        told = self.api.verb(self.ids[outage], "resolve", resolved_at=_rfc(back_at), message=message)
        words = self.reckoning.resolve(outage, at=at, resolved_at=back_at)
        self._compare(outage, told, words, at, mark, message=message)

    def retract(self, outage: str) -> None:
        at, mark = self._begin()
        told = self.api.verb(self.ids[outage], "retract", reason="false_alarm")
        self._compare(outage, told, self.reckoning.retract(outage, at=at), at, mark)

    def reopen(self, outage: str) -> None:
        at, mark = self._begin()
        told = self.api.verb(self.ids[outage], "reopen")
        self._compare(outage, told, self.reckoning.reopen(outage, at=at), at, mark, promises=True)

    # --- what came of it ---

    def _begin(self) -> tuple[datetime, int]:
        return datetime.now(UTC), self.house.sandbox.mark()

    def _wait_for(self, messages: int, mark: int) -> None:
        """Until so many have come, or no more will; then until the outbox is at rest."""
        sandbox = self.house.sandbox
        until(
            lambda: len(sandbox.records("mail", "sms", after=mark)) >= messages or not self.api.unsettled(),
            "the messages have come",
            within=60,
            every=0.25,
        )
        self.api.rest()

    def _compare(
        self,
        outage: str,
        told: Mapping[str, Any],
        words: list[Word],
        at: datetime,
        mark: int,
        *,
        promises: bool = False,
        message: str = "",
    ) -> None:
        self._wait_for(len(words), mark)
        self._check_promise(outage, told, at, promises)
        self._check_impact(outage, told)
        self.unreachable |= self.reckoning.unreachable(outage)
        came = arrivals(self.house.sandbox.records("mail", "sms", after=mark))
        names = {id: name for name, id in self.ids.items()}
        mails = [arrival for arrival in came if arrival.address.channel == "email"]
        _same(
            Counter((w.address.value, w.outage, w.kind) for w in words if w.address.channel == "email"),
            Counter((a.address.value, names.get(a.outage, "?"), a.kind) for a in mails),
        )
        _same(
            Counter(w.address for w in words if w.address.channel == "sms"),
            Counter(a.address for a in came if a.address.channel == "sms"),
        )
        self.kinds.update(word.kind for word in words)
        self.kinds.update(turn for word in words for turn in _turns(word))
        found: list[str] = []
        for word, arrival in self._pairs(words, came, names):
            said = Circumstances(
                said_from=at,
                said_until=datetime.now(UTC),
                promise=self.promises[word.outage],
                message=message if word.outage == outage else "",
            )
            found += mistakes(word, arrival, self._provider, said, self.families[word.address.value])
            self._remember(word, arrival)
        assert not found, f"{len(found)} mistakes:\n" + "\n".join(found[:5])

    def _pairs(
        self, words: list[Word], came: list[Arrival], names: Mapping[str, str]
    ) -> Iterator[tuple[Word, Arrival]]:
        """Each word with its message. Two texts to one phone are told apart by what only one of them can say."""
        left = list(words)
        for arrival in came:
            name = names.get(arrival.outage)
            same = [w for w in left if w.address == arrival.address and name in (None, w.outage)]
            goes_on = "Next update" in arrival.text or "News by" in arrival.text  # the latter where room is short
            fitting = [w for w in same if goes_on != w.ended] or same
            left.remove(fitting[0])
            yield fitting[0], arrival

    def _remember(self, word: Word, arrival: Arrival) -> None:
        if arrival.address.channel == "sms":
            self.texts.append(Sent(word=word, arrival=arrival))
            return
        self.message_ids[arrival.headers["message-id"]] += 1
        self.threads.setdefault((word.address, word.outage), set()).add(arrival.thread)

    def _check_promise(self, outage: str, told: Mapping[str, Any], at: datetime, promises: bool) -> None:
        """A word gives a new promise, an interval from now; nothing else moves it."""
        shown = {each["id"]: each["next_update_by"] for each in self.api.outages()}
        now = {name: datetime.fromisoformat(shown[id]) if shown[id] else None for name, id in self.ids.items()}
        if promises:
            interval, promise = self.intervals[outage], now[outage]
            assert promise is not None
            assert at + interval <= promise <= datetime.now(UTC) + interval
        elif told["status"] in ("resolved", "retracted"):
            assert now[outage] is None
        else:
            assert now[outage] == self.promises[outage]
        kept = {name: promise for name, promise in self.promises.items() if name != outage}
        assert {name: now[name] for name in kept} == kept
        self.promises = now

    def _check_impact(self, outage: str, told: Mapping[str, Any]) -> None:
        if told["status"] not in ("resolved", "retracted"):
            touched = self.reckoning.touched_by(outage)
            assert told["impact"]["customers"] == len({thing.customer for thing in touched})
            assert told["impact"]["circuits"] == sum(thing.kind == "circuit" for thing in touched)

    @property
    def _provider(self) -> Provider:
        provider = self.house.settings["provider"]
        return Provider(
            name=provider["name"], url=self.house.url, phone=provider["support_phone"], email=PROVIDER_EMAIL
        )


def test_everybody_is_told_exactly_what_concerns_them(house: DaemonProcess, tmp_path: Path) -> None:
    provider = provider_from("Uninett2010", customers=CUSTOMERS, seed=11)
    provider.write(tmp_path / "data")
    house.command("import", str(tmp_path / "data"))
    play = Play(house=house, api=house.api(), reckoning=_reckoning(provider), families=_families(provider))
    now = _minute(datetime.now(UTC))

    # Two rings lose one link each: nobody is down, but some have asked to hear even that.
    play.declare("rings", _down("L-N012-N013", "L-N018-N049"), ago=_minutes(95), severity="critical")
    # A second cut on each ring: what lies between is down by both together.
    play.declare("second", _down("L-N031-N048", "L-N021-N022"), ago=_minutes(40), eta=now + timedelta(hours=2))
    # A node with everything behind it, and a service that is slow.
    play.declare("tower", _down("N033"), ago=_minutes(30), eta=now + timedelta(hours=3))
    play.declare("voice", {"service:voice": DEGRADED}, ago=_minutes(20), severity="minor")
    play.update("second", eta=now + timedelta(hours=4), message="The splice needs a second crew.")
    # The link to that node goes as well: behind it nobody is told again; elsewhere people are.
    play.declare("feeder", _down("L-N029-N033", "N037"), ago=_minutes(10))
    play.update("tower", add=_down("N011"))
    play.update("rings", message="A crew is on its way to both rings.")
    play.declare("battery", {"element:N057": REDUCED, "element:N064": REDUCED}, ago=_minutes(5), severity="minor")
    # The node is repaired, but its feeder is not: whoever hung there hears who is to blame now.
    play.restore("tower", ["element:N033"], ago=_minutes(1))
    # Some of them can be carried over a detour: a few circuits, and all of one customer.
    detour = sorted(t for t, level in play.reckoning.touched_by("second").items() if level == DOWN)
    play.restore(
        "second", [*(f"circuit:{t.id}" for t in detour[:4]), f"customer:{detour[-1].customer}"], ago=_minutes(2)
    )
    play.update("second", eta=None)
    play.update("voice", add={"service:voice": DOWN})
    # The first cut of one ring was a mistake; then the second cut is mended before the first.
    play.update("rings", remove=["element:L-N018-N049"])
    play.resolve("second", ago=_minutes(1), message="The splice is done.")
    play.declare("wrong", {"element:N020": DOWN, "site:S-N058": DEGRADED}, ago=_minutes(3))
    play.retract("wrong")
    play.restore("feeder", ["element:N037"], ago=_minutes(1))
    play.update("tower", remove=["element:N011"])
    play.resolve("feeder", ago=_minutes(0))
    play.reopen("second")
    play.resolve("rings", ago=_minutes(2))
    play.resolve("voice", ago=_minutes(1))
    play.resolve("tower", ago=_minutes(0))
    play.resolve("battery", ago=_minutes(0))
    play.resolve("second", ago=_minutes(0))

    assert not play.reckoning.affected()
    _every_kind_was_said(play)
    _texts_were_of_their_kind(play)
    _mails_of_an_outage_are_one_thread(play)
    _who_was_not_written_to_is_on_record(play)


def _every_kind_was_said(play: Play) -> None:
    """The play is worth something: every kind and turn came up many times."""
    wanted = ("acknowledgement", "eta", "update", "resolution", "retraction", "lead passed", "made worse", "better")
    assert all(play.kinds[kind] >= 20 for kind in wanted), play.kinds
    rarer = ("a long list", "several customers", "back in part")
    assert all(play.kinds[turn] >= 2 for turn in rarer), play.kinds


def _texts_were_of_their_kind(play: Play) -> None:
    said: dict[str, tuple[str, str]] = {}
    for name, id in play.ids.items():
        for row in play.api.deliveries(id, channel="sms"):
            said |= {attempt["provider_id"]: (name, row["kind"]) for attempt in row["attempts"]}
    wrong = [sent for sent in play.texts if said.get(sent.arrival.sid) != (sent.word.outage, sent.word.kind)]
    assert not wrong, [(said.get(sent.arrival.sid), sent) for sent in wrong[:3]]


def _mails_of_an_outage_are_one_thread(play: Play) -> None:
    assert [id for id, times in play.message_ids.items() if times > 1] == []
    assert [key for key, threads in play.threads.items() if len(threads) > 1] == []
    of_address: dict[Address, list[str]] = {}
    for (address, _), threads in play.threads.items():
        of_address.setdefault(address, []).extend(threads)
    assert [address for address, threads in of_address.items() if len(set(threads)) < len(threads)] == []


def _who_was_not_written_to_is_on_record(play: Play) -> None:
    rows = [row for id in play.ids.values() for row in play.api.deliveries(id, state="suppressed")]
    without = Counter(
        (row["outage_id"], row["episode"], row["customer_id"])
        for row in rows
        if row["reason"] == "no_address" and row["contact_id"] is None
    )
    assert {customer for _, _, customer in without} == play.unreachable
    assert set(without.values()) == {1}
    held = {Address(row["channel"], row["to"]) for row in rows if row["reason"] == "shared_address"}
    assert held
    assert held <= play.reckoning.held_back
    assert {row["reason"] for row in rows} == {"no_address", "shared_address", "covered"}


def _turns(word: Word) -> Iterator[str]:
    """What is special about a word."""
    still = [line for line in word.lines if line.level]
    if word.repaired:
        yield "lead passed"
    if any(0 < line.was < line.level for line in still):
        yield "made worse"
    if any(line.was > line.level for line in still):
        yield "better"
    if 0 < len(still) < len(word.lines):
        yield "back in part"
    if len(word.lines) > LISTED:
        yield "a long list"
    if len({line.thing.customer for line in word.lines}) > 1:
        yield "several customers"


# --- the provider ---


def _reckoning(provider: ProviderFiles) -> Reckoning:
    return Reckoning(
        elements=provider.elements,
        services=provider.services,
        sites=provider.sites,
        customers=provider.customers,
        contacts=provider.contacts,
        circuits=provider.circuits,
        subscriptions=provider.subscriptions,
        zone="America/New_York",
        notify={"": "outage degraded maintenance", "gold": GOLD},
    )


def _families(provider: ProviderFiles) -> dict[str, frozenset[str]]:
    """By address: the tokens of every customer for which it is a contact."""
    tokens: dict[str, set[str]] = {row["id"]: {row["id"]} for row in provider.customers}
    for row in (*provider.contacts, *provider.circuits):
        tokens[row["customer_id"]].add(row["id"])
    children: dict[str, list[str]] = {}
    for row in provider.customers:
        if row.get("told_via") in ("parent", "both"):
            children.setdefault(row["parent_id"], []).append(row["id"])
    found: dict[str, set[str]] = {}
    for row in provider.contacts:
        for customer in (row["customer_id"], *children.get(row["customer_id"], ())):
            for value in (row.get("email", "").lower(), row.get("phone", "")):
                found.setdefault(value, set()).update(tokens[customer], {row["id"]})
    return {value: frozenset(each) for value, each in found.items()}


def _down(*elements: str) -> Scope:
    return {f"element:{id}": DOWN for id in elements}


def _api_scope(scope: Scope) -> dict[str, list[Any]]:
    effects = {level: word for word, level in EFFECTS.items()}
    found: dict[str, list[Any]] = {}
    for name, level in scope.items():
        kind, _, id = name.partition(":")
        found.setdefault(f"{kind}s", []).append({"id": id, "effect": effects[level]} if level else id)
    return found


def _same(wanted: Mapping[Any, int], came: Mapping[Any, int]) -> None:
    missing = {key: n - came.get(key, 0) for key, n in wanted.items() if n > came.get(key, 0)}
    extra = {key: n - wanted.get(key, 0) for key, n in came.items() if n > wanted.get(key, 0)}
    summary = f"{sum(wanted.values())} wanted, {sum(missing.values())} missing, {sum(extra.values())} too many"
    assert not missing and not extra, f"{summary}\nmissing: {list(missing)[:8]}\ntoo many: {list(extra)[:8]}"


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


def _rfc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
