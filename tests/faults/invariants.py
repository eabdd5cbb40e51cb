"""I1 to I30 at rest: each from what the servers' logs say, beside what was decided to be said.

The daemon's tables are asked only where no ground truth can know: whether an attempt is on record as ambiguous, whether
all is at rest, and whether they agree with the truth. `ELSEWHERE` says who looks after what cannot be seen here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.books import Books, Row
from tests.faults.town import Town
from tests.faults.truth import ABOUT, SAID, Heard, Said, Told, heard, refusals, stops

AT_REST = frozenset(
    {"accepted", "delivered", "undelivered", "ambiguous", "failed", "suppressed", "superseded", "expired"}
    | {"cancelled", "capped"}
)
SETTLED_REASONLESS = frozenset({"accepted", "delivered", "ambiguous"})


@dataclass(kw_only=True)
class Scenery:
    """What is judged. `clean`: nothing was done that can make an attempt ambiguous, so that not one may be."""

    town: Town
    told: Told
    records: Sequence[Mapping[str, Any]]
    books: Books
    attempts: Sequence[Row]
    deliveries: Sequence[Row]
    log: str = ""
    clean: bool = False
    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heard = heard(self.records)
        self.words = self.told.by_word()
        self.counts = Counter((one.to, one.said) for one in self.heard if one.said)
        self.unknown: dict[tuple[str, str, int], int] = Counter(
            (a["to"], a["outage_id"], a["revision"]) for a in self.attempts if a["ambiguous"]
        )
        self.gone = {**self.told.excused, **dict.fromkeys(stops(self.records), "said STOP")}

    def may_be_unknown(self, address: str, said: Said) -> bool:
        """Its fate is on record as unknown, and the one retry is spent or would have said what is no longer so."""
        return self.unknown[address, said.outage, said.revision] > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@dataclass(kw_only=True)
class Figures:
    """What a run amounts to. `explained`: second messages with an ambiguous attempt on record."""

    messages: int = 0
    lost: int = 0
    explained: int = 0
    unexplained: int = 0
    ambiguous: int = 0
    unknown: int = 0
    """Last words of which nobody can know, after the one retry."""

    def add(self, other: "Figures") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def judge(scenery: Scenery) -> tuple[Figures, list[Breach]]:
    """Every invariant that can be seen from here; nothing when all hold."""
    breaches = [
        Breach(invariant=name, what=what) for name, check in CHECKS.items() for what in dict.fromkeys(check(scenery))
    ]
    figures = Figures(
        messages=len(scenery.heard),
        lost=sum(1 for _ in _lost(scenery)),
        ambiguous=sum(1 for a in scenery.attempts if a["ambiguous"]),
        unknown=sum(1 for _, _, count in _last_words(scenery) if count == 0) - sum(1 for _ in _lost(scenery)),
    )
    figures.unknown = max(0, figures.unknown)
    for address, said, extra in _extras(scenery):
        if _explained(scenery, address, said, extra):
            figures.explained += extra
        else:
            figures.unexplained += extra
    return figures, breaches


def _must_hear(scenery: Scenery, said: Said) -> Iterator[str]:
    for address in scenery.town.hearing:
        if address not in scenery.gone and (said.to is None or address in said.to):
            yield address


def _last_words(scenery: Scenery) -> Iterator[tuple[str, Said, int]]:
    """Every (address, word) that had to arrive, and how often it did."""
    counts = scenery.counts
    for outage in scenery.told.outages():
        words = scenery.told.of(outage)
        for said in words:
            if said is words[-1] or said.settled:
                for address in _must_hear(scenery, said):
                    yield address, said, counts[address, said.word]


def _lost(scenery: Scenery) -> Iterator[tuple[str, Said]]:
    for address, said, count in _last_words(scenery):
        if count == 0 and not scenery.may_be_unknown(address, said):
            yield address, said


def _extras(scenery: Scenery) -> Iterator[tuple[str, Said, int]]:
    for (address, word), count in scenery.counts.items():
        if count > 1 and word in scenery.words:
            yield address, scenery.words[word], count - 1


def _explained(scenery: Scenery, address: str, said: Said, extra: int) -> bool:
    return extra == 1 and scenery.may_be_unknown(address, said)


# --- completeness and duplication ---


def i1(scenery: Scenery) -> Iterator[str]:
    """Everybody who had to be told was told, and every row has come to an end that says why."""
    for address, said in _lost(scenery):
        yield f"lost: {said.verb} {said.word} of {said.outage}/{said.revision} never reached {address}"
    for row in scenery.deliveries:
        if row["state"] not in AT_REST:
            yield f"does not come to rest: {_row(row)}"
        elif row["state"] not in SETTLED_REASONLESS and not row["reason"]:
            yield f"ended without a reason: {_row(row)}"


def i2(scenery: Scenery) -> Iterator[str]:
    """Once, or twice where an attempt is on record as ambiguous; both times under one name."""
    for address, said, extra in _extras(scenery):
        if not _explained(scenery, address, said, extra):
            why = "never more than twice" if extra > 1 else "and no attempt is on record as ambiguous"
            yield f"{extra + 1} times {said.verb} {said.word} to {address}, {why}"
    if scenery.clean:
        for a in scenery.attempts:
            if a["ambiguous"]:
                yield f"ambiguous for no reason: attempt {a['number']} of {_row({**a, 'id': a['delivery']})}"
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    keys: Counter[str] = Counter()
    for one in scenery.heard:
        if one.channel == "email" and one.said:
            names[one.to, one.said].add(one.name)
        elif one.channel == "sms":
            keys[one.name] += 1
    for (address, word), found in names.items():
        if len(found) > 1:
            yield f"one word, {len(found)} Message-IDs: {word} to {address}"
    yield from (f"one attempt, {count} texts: {key}" for key, count in keys.items() if count > 1)


def i3(scenery: Scenery) -> Iterator[str]:
    """One message for all who share an address: it speaks of each of them."""
    listeners = scenery.town.by_address
    for one in scenery.heard:
        listener = listeners.get(one.to)
        # A text may name the first line only; a mail lists them all.
        if listener and one.channel == "email" and one.said and listener.knows - one.about:
            yield f"{one.to} heard nothing of {sorted(listener.knows - one.about)} in {one.said}"


def i4(scenery: Scenery) -> Iterator[str]:
    """What was answered 2xx is there, whole; nothing else is."""
    kept = {(row["outage_id"], row["number"]) for row in scenery.books.rows("SELECT outage_id, number FROM revisions")}
    for said in scenery.told.words:
        if (said.outage, said.revision) not in kept:
            yield f"confirmed, and gone: {said.outage}/{said.revision} {said.verb}"
    for one in scenery.heard:
        if one.said and one.said not in scenery.words:
            yield f"{one.to} heard {one.said}, which nobody was confirmed to have said"


def i5(scenery: Scenery) -> Iterator[str]:
    """Said many times, it is one outage."""
    outages = [row["id"] for row in scenery.books.rows("SELECT id FROM outages WHERE status <> 'draft'")]
    extra = set(outages) - set(scenery.told.outages())
    if extra:
        yield f"outages that nobody declared, or declared twice: {sorted(extra)}"


# --- order ---


def i7(scenery: Scenery) -> Iterator[str]:
    """The first that an address hears of an episode is its acknowledgement, or all of it in one with the end; or
    nobody can know whether the acknowledgement arrived, which is not said again when a newer word has been planned.
    """
    acknowledged: set[tuple[str, str, int]] = {
        (a["to"], a["outage_id"], a["episode"])
        for a in scenery.attempts
        if a["ambiguous"] and a["kind"] == "acknowledgement"
    }
    for one in scenery.heard:
        if one.channel != "email":
            continue
        said = scenery.words.get(one.said)
        key = (one.to, one.outage, said.episode if said is not None else 1)
        if key not in acknowledged and one.kind not in ("acknowledgement", "resolution", "retraction"):
            yield f"{one.to} first heard a {one.kind} of {one.outage}: {one.said}"
        acknowledged.add(key)


def i8(scenery: Scenery) -> Iterator[str]:
    """Nothing but the end after the end."""
    for address, words in _by_address(scenery).items():
        ended: dict[str, int] = {}
        for said in words:
            if said.is_end:
                ended[said.outage] = said.episode
            elif ended.get(said.outage, 0) >= said.episode:
                yield f"{address} heard {said.verb} {said.word} of {said.outage} after its end"


def i9(scenery: Scenery) -> Iterator[str]:
    """Nothing older after something newer."""
    for address, words in _by_address(scenery).items():
        latest: dict[str, Said] = {}
        for said in words:
            before = latest.get(said.outage)
            if before is not None and said.revision < before.revision:
                yield f"{address} heard revision {said.revision} of {said.outage} after {before.revision}"
            latest[said.outage] = said


def i10(scenery: Scenery) -> Iterator[str]:
    """A delivery counts as delivered only where the provider has said so, and never falls back."""
    final: dict[str, str] = {}
    for record in scenery.records:
        if record["type"] == "sms_status" and record["status"] in ("delivered", "undelivered"):
            final.setdefault(record["sid"], record["status"])
    by_key = {one.name: final.get(one.sid) for one in scenery.heard if one.channel == "sms"}
    for a in scenery.attempts:
        if (
            a["channel"] == "sms"
            and a["receipt"] in ("delivered", "undelivered")
            and by_key.get(a["key"]) != a["receipt"]
        ):
            yield f"believed {a['receipt']}, in truth {by_key.get(a['key'])}: {_row({**a, 'id': a['delivery']})}"
    for record in scenery.records:
        forged = record["type"] == "callback" and record.get("forged") and isinstance(record["answer"], int)
        if forged and record["answer"] not in (401, 403) and record["answer"] < 500:
            yield f"a forged receipt was answered {record['answer']}"


def i11(scenery: Scenery) -> Iterator[str]:
    """A new episode has names of its own."""
    names: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for one in scenery.heard:
        said = scenery.words.get(one.said)
        if said is not None and one.channel == "email":
            names[one.name].add((said.outage, said.episode))
    for name, episodes in names.items():
        if len(episodes) > 1:
            yield f"one Message-ID in {len(episodes)} episodes: {name}"


# --- permission ---


def i13(scenery: Scenery) -> Iterator[str]:
    """Nothing starts towards an address once it has said STOP."""
    suppressed = {
        row["value"]: row["suppressed_at"]
        for row in scenery.books.rows("SELECT value, suppressed_at FROM addresses WHERE suppressed IS NOT NULL")
    }
    started = {a["key"]: a["started_at"] for a in scenery.attempts}
    for address, at in stops(scenery.records).items():
        if address not in suppressed:
            yield f"{address} said STOP and was heard, yet may be written to"
            continue
        for one in scenery.heard:
            late = one.at > at and one.to == address
            if late and one.channel == "sms" and started.get(one.name, 0) > suppressed[address]:
                yield f"a text to {address} began after its STOP"
            if late and one.channel == "email" and not _begun_before(scenery, one, suppressed[address]):
                yield f"a mail to {address} began after it had unsubscribed"
        for record in refusals(scenery.records):
            begun = [a["started_at"] for a in scenery.attempts if a["to"] == address]
            if record["to"] == address and record["n"] > at and max(begun, default=0) > suppressed[address]:
                yield f"a text to {address} was tried after its STOP, and refused by the network"


def i14(scenery: Scenery) -> Iterator[str]:
    """Only those it touches, and nobody else's words."""
    listeners = scenery.town.by_address
    for one in scenery.heard:
        listener = listeners.get(one.to)
        if listener is None:
            yield f"{one.to} is no customer's address"
        elif listener.silent:
            yield f"{one.to} ({listener.silent}) heard {one.said or one.kind}"
        elif one.about - listener.knows:
            yield f"{one.to} read about {sorted(one.about - listener.knows)}"


# --- process ---


def i22(scenery: Scenery) -> Iterator[str]:
    """At rest nobody owns anything."""
    for row in scenery.deliveries:
        if row["lease_owner"] or row["lease_until"]:
            yield f"still leased at rest: {_row(row)}"


def i23(scenery: Scenery) -> Iterator[str]:
    """No message without the record that was made before it."""
    keys = {a["key"] for a in scenery.attempts}
    tries = Counter((a["to"], a["outage_id"], a["revision"]) for a in scenery.attempts)
    for one in scenery.heard:
        if one.channel == "sms" and one.name not in keys:
            yield f"a text to {one.to} of which no attempt is on record"
    for (address, word), count in scenery.counts.items():
        said = scenery.words.get(word)
        if said is not None and tries[address, said.outage, said.revision] < count:
            yield f"{count} messages to {address}, {tries[address, said.outage, said.revision]} attempts on record"


def i24(scenery: Scenery) -> Iterator[str]:
    """Nothing stays between being written and an answer."""
    for row in scenery.deliveries:
        if row["state"] == "transmitting":
            yield f"left in the middle: {_row(row)}"


# --- evidence ---


def i27(scenery: Scenery) -> Iterator[str]:
    """What became unknown or failed has its line in the timeline."""
    lines = scenery.books.rows("SELECT what, data FROM timeline WHERE what IN ('ambiguous', 'failed')")
    noted = " ".join(str(line["data"]).replace("'", '"') for line in lines)
    for a in scenery.attempts:
        if a["ambiguous"] and f'"delivery":{a["delivery"]}' not in noted.replace(" ", ""):
            yield f"ambiguous without a line: {_row({**a, 'id': a['delivery']})}"


def i28(scenery: Scenery) -> Iterator[str]:
    """The log holds nobody's address, no name, no words, no token."""
    for line in scenery.log.splitlines():
        if SAID.search(line) or ABOUT.search(line) or scenery.town.template.token in line:
            yield f"the log tells too much: {line[:200]}"
        elif any(address in line for address in scenery.town.hearing):
            yield f"the log names an address: {line[:200]}"


def i30(scenery: Scenery) -> Iterator[str]:
    """What the tables count as arrived is what arrived."""
    arrived = Counter((one.to, one.said) for one in scenery.heard)
    for row in scenery.deliveries:
        said = next(
            (s for s in scenery.told.words if (s.outage, s.revision) == (row["outage_id"], row["revision"])), None
        )
        believed = said is not None and row["state"] in ("accepted", "delivered", "undelivered")
        if believed and said is not None and not arrived[row["to"], said.word]:
            yield f"believed {row['state']}, and never arrived: {_row(row)}"


Check = Callable[[Scenery], Iterator[str]]
CHECKS: dict[str, Check] = {
    "I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I7": i7, "I8": i8, "I9": i9, "I10": i10, "I11": i11,
    "I13": i13, "I14": i14, "I22": i22, "I23": i23, "I24": i24, "I27": i27, "I28": i28, "I30": i30,
}  # fmt: skip
ELSEWHERE = {
    "I6": "overlapping outages: tests/faults/test_life.py, tests/acceptance/test_who_is_told.py",
    "I12": "does not apply: no maintenance notices are read",
    "I15": "test_providers.py: F7; tests/acceptance/test_crash_points.py (texts a day), tests/engine/test_brakes.py",
    "I16": "tests/engine/test_orders_of_verbs.py and tests/domain/test_recipients.py: no fault changes quiet hours",
    "I17": "tests/engine/test_brakes.py: a draft has no deliveries, whatever fails",
    "I18": "tests/engine/test_rehearsal.py",
    "I19": "test_time.py: F11, F12",
    "I20": "test_time.py: F11",
    "I21": "test_hooks.py: F18",
    "I25": "test_process.py: F20, with `clean` scenery",
    "I26": "test_storage.py: F21, tests/cli/test_backup.py",
    "I29": "tests/domain/test_sms.py, tests/channels/sms",
}
"""Who looks after what cannot be seen from a scenery at rest."""


def _by_address(scenery: Scenery) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = defaultdict(list)
    for one in scenery.heard:
        if one.said in scenery.words:
            found[one.to].append(scenery.words[one.said])
    return found


def _begun_before(scenery: Scenery, one: Heard, at: int) -> bool:
    said = scenery.words.get(one.said)
    return said is None or any(
        a["to"] == one.to and a["revision"] == said.revision and a["started_at"] <= at for a in scenery.attempts
    )


def _row(row: Mapping[str, Any]) -> str:
    return f"{row['outage_id']}/{row['revision']} {row['kind']} to {row['to']}: {row['state']} (row {row['id']})"


__all__ = ["CHECKS", "ELSEWHERE", "Breach", "Figures", "Scenery", "judge"]
