"""What reached mailboxes and phones, read from the log of the servers that took it, and what was decided to be said.

A revision's own word (`Word-4f7a01`) stands in its message, so that what arrived tells by itself what it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.arrivals import arrivals

SAID = re.compile(r"Word-[0-9a-f]{6}")
ABOUT = re.compile(r"CX\d{3}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One mail or text as it was taken. `at`: its number in the log. `kind`: a mail's own word for it, "" for texts.

    `said`: the revision's word, "" where the daemon spoke by itself. `about`: the customers' words in it. `name`: a
    mail's Message-ID, a text's attempt. `outage`: its number as a mail gives it.
    """

    at: int
    channel: str
    to: str
    said: str
    kind: str
    about: frozenset[str]
    name: str
    sid: str
    outage: str


def heard(records: Iterable[Mapping[str, Any]]) -> list[Heard]:
    """Every message among the log's records, in the order in which they were taken."""
    taken = [record for record in records if record["type"] in ("mail", "sms")]
    found = []
    for record, arrival in zip(taken, arrivals(taken), strict=True):
        words = arrival.everything
        said = SAID.search(arrival.text)
        found.append(
            Heard(
                at=record["n"],
                channel=arrival.address.channel,
                to=arrival.address.value,
                said=said[0] if said else "",
                kind=arrival.kind,
                about=frozenset(ABOUT.findall(words)),
                name=arrival.headers.get("message-id", "") or record.get("attempt", "").removeprefix("attempt="),
                sid=arrival.sid,
                outage=arrival.outage,
            )
        )
    return found


@dataclass(kw_only=True, slots=True)
class Said:
    """One revision that the daemon has confirmed. `settled`: all was quiet before the next one, so that it had to reach
    everybody. `to`: who had to hear it, None for all who hear.
    """

    outage: str
    revision: int
    word: str
    verb: str
    episode: int = 1
    settled: bool = False
    to: frozenset[str] | None = None

    @property
    def is_end(self) -> bool:
        return self.verb in ("resolve", "retract")


@dataclass(kw_only=True)
class Told:
    """All that was decided to be said, in order. `excused`: addresses that the world itself has closed, and why.
    `others`: outages that a monitor has made.
    """

    words: list[Said] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    excused: dict[str, str] = field(default_factory=dict)

    def outages(self) -> list[str]:
        return list(dict.fromkeys([*(said.outage for said in self.words), *self.others]))

    def of(self, outage: str) -> list[Said]:
        return [said for said in self.words if said.outage == outage]

    def by_word(self) -> dict[str, Said]:
        return {said.word: said for said in self.words}


def refusals(records: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Texts that the network refused because the person had said STOP."""
    return [record for record in records if record["type"] == "refused"]


def stops(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """When the daemon had confirmed a person's STOP: address to the log's number of its answer."""
    stopped: dict[str, int] = {}
    for record in records:
        answered = record["type"] == "callback" and record["status"] == "received" and record["answer"] == 200
        if answered and record["fields"].get("OptOutType") == "STOP":
            stopped.setdefault(record["fields"]["From"], record["n"])
        if record["type"] == "unsubscribe" and record["answer"] == "200":
            stopped.setdefault(record["rcpt"], record["n"])
    return stopped
