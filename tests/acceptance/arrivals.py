"""What arrived at the mailboxes and phones, read from the wire's own octets, and whether it says what it has to."""

import email
import email.policy
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import Message
from typing import Any
from zoneinfo import ZoneInfo

from tests.acceptance.reckoning import DEGRADED, DOWN, NOTHING, REDUCED, Address, Line, Word
from tests.support.provider_from_topology import TOKEN

STATE = {DOWN: "OUTAGE: ", DEGRADED: "DEGRADED: ", REDUCED: "REDUCED REDUNDANCY: ", NOTHING: "OK: "}
SHORT = {
    DOWN: ("down",),
    DEGRADED: ("degraded",),
    REDUCED: ("on its second path", "working, but at risk"),
    NOTHING: ("back", "normal again", "both paths again", "no longer at risk", "not affected after all"),
}
LISTED = 10
"""Above so many the mail counts, and a CSV file holds the list."""
_NUMBER = re.compile(r"OUT-\d{4}-\d{4,}")
_IDS = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One mail or text. `kind` and `outage` are the mail's own words for it; a text does not say them."""

    address: Address
    text: str
    subject: str = ""
    html: str = ""
    attached: str = ""
    headers: Mapping[str, str]
    kind: str = ""
    outage: str = ""
    sid: str = ""
    segments: int = 0

    @property
    def everything(self) -> str:
        return "\n".join((self.subject, self.text, self.html, self.attached, *self.headers.values()))

    @property
    def tokens(self) -> set[str]:
        return set(TOKEN.findall(self.everything))

    @property
    def thread(self) -> str:
        """The id that a mail program files it under."""
        ids = _IDS.findall(self.headers.get("references", "")) or [self.headers["message-id"]]
        return str(ids[0])


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Who speaks in every message."""

    name: str
    url: str
    phone: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a message has to say besides what the reckoning knows: when it was said, and what was promised."""

    said_from: datetime
    said_until: datetime
    promise: datetime | None
    message: str


def arrivals(records: Sequence[Mapping[str, Any]]) -> list[Arrival]:
    """The mails and texts among a sandbox's records, in the order of their arrival."""
    return [_mail(r) if r["type"] == "mail" else _text(r) for r in records if r["type"] in ("mail", "sms")]


def _text(record: Mapping[str, Any]) -> Arrival:
    return Arrival(
        address=Address("sms", record["to"]),
        text=record["body"],
        headers={},
        sid=record["sid"],
        segments=record["segments"],
    )


def _mail(record: Mapping[str, Any]) -> Arrival:
    # compat32 reads a mail in a tenth of the time that the default policy takes; the headers we need are ASCII.
    mail = email.message_from_bytes(record["raw"].encode("utf-8", "surrogateescape"), policy=email.policy.compat32)
    bodies: dict[str, str] = {}
    for part in mail.walk():
        if not part.is_multipart():
            kind = "attached" if part.get_filename() else part.get_content_type()
            bodies[kind] = _decoded(part)
    headers = {name.lower(): " ".join(str(value).split()) for name, value in mail.items()}
    number = _NUMBER.search(bodies.get("text/plain", ""))
    return Arrival(
        address=Address("email", record["rcpt"].lower()),
        subject=record["subject"],
        text=bodies.get("text/plain", ""),
        html=bodies.get("text/html", ""),
        attached=bodies.get("attached", ""),
        headers=headers,
        kind=headers.get("feedback-id", "").partition(":")[0],
        outage=number[0] if number else "",
    )


def _decoded(part: "Message[str, str]") -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("utf-8").replace("\r\n", "\n") if isinstance(payload, bytes) else ""


# --- what every message holds ---


def mistakes(
    word: Word, arrival: Arrival, provider: Provider, now: Circumstances, family: Collection[str]
) -> list[str]:
    """What is missing from a message, or too much in it. `family`: every token that this address may read."""
    found = [
        *_about_others(word, arrival, family),
        *_missing(arrival.text, {"who speaks": provider.name, "where to look": f"{provider.url}/my/"}),
        *_times(word, arrival, now),
    ]
    found += _mail_mistakes(word, arrival, provider, now) if arrival.address.channel == "email" else []
    found += _text_mistakes(word, arrival, provider) if arrival.address.channel == "sms" else []
    return [f"{word.kind} of {word.outage} to {arrival.address.value}: {what}" for what in found]


def _about_others(word: Word, arrival: Arrival, family: Collection[str]) -> list[str]:
    found = [f"speaks of somebody else: {token}" for token in sorted(arrival.tokens.difference(family))]
    circuits = {token for token in arrival.tokens if token.startswith("CI")}
    own = {line.thing.id for line in word.lines if line.thing.kind == "circuit"}
    if circuits - own:
        found.append(f"speaks of what is not touched: {sorted(circuits - own)}")
    if arrival.address.channel == "email" and own - circuits:
        found.append(f"is silent about {sorted(own - circuits)}")
    people = {token for token in arrival.tokens if token.startswith("CO")}
    if people - {word.name.split()[-1]}:
        found.append(f"names {people} instead of {word.name}")
    return found


def _missing(text: str, wanted: Mapping[str, str]) -> list[str]:
    return [f'lacks {what}: "{needle}" in:\n{text}' for what, needle in wanted.items() if needle and needle not in text]


def _times(word: Word, arrival: Arrival, now: Circumstances) -> list[str]:
    """The ETA and the one before, the promise; since when; how long it lasted."""
    text, found = arrival.text, []
    if not word.ended:
        if word.eta is not None and not _says(text, word.eta, word, now):
            found.append(f"lacks the ETA {word.eta}")
        if word.eta is None and "o estimate" not in text:
            found.append("does not say that there is no estimate")
        if word.was_eta is not None and not _says(text, word.was_eta, word, now):
            found.append(f"lacks the ETA of before, {word.was_eta}")
        if now.promise is None or not _says(text, now.promise, word, now):
            found.append(f"lacks the promise {now.promise}")
    if word.kind != "retraction":
        oldest = min(line.since for line in word.lines)
        if arrival.address.channel == "email" and not _says(text, oldest, word, now):
            found.append(f"does not say since when: {oldest}")
        found += [f"lacks its duration: {_spans(line)}" for line in _spanned(word) if not _lasted(text, line)]
    return [f"{what} in:\n{arrival.subject}\n{text}" for what in found]


def _spanned(word: Word) -> list[Line]:
    """The lines of which the message must tell how long they were down: a range where there are many."""
    back = [line for line in word.lines if line.back_at is not None]
    if word.kind == "resolution" and back:
        ends = sorted(back, key=lambda line: _minutes(line)[0])
        return [ends[0], ends[-1]]
    return back if len(word.lines) <= LISTED else []


def _says(text: str, at: datetime, word: Word, now: Circumstances) -> bool:
    """Whether a time stands there by the reader's clock, with the zone, and with the date when it is another day."""
    return any(f"{at.astimezone(ZoneInfo(zone)):%H:%M %Z}" in text for zone in word.zones) and any(
        _dated(text, at.astimezone(ZoneInfo(zone)), said.astimezone(ZoneInfo(zone)))
        for zone in word.zones
        for said in (now.said_from, now.said_until)
    )


def _dated(text: str, at: datetime, said: datetime) -> bool:
    return at.date() == said.date() or f"{at.day} {at:%b}" in text


def _lasted(text: str, line: Line) -> bool:
    return any(span in text for span in _spans(line))


def _spans(line: Line) -> list[str]:
    return [_span(minutes) for minutes in _minutes(line)]


def _minutes(line: Line) -> tuple[int, ...]:
    """How long it was; a minute more may be said where the times were not whole minutes."""
    assert line.back_at is not None
    lasted = max(timedelta(0), line.back_at - line.since) / timedelta(minutes=1)
    return (int(lasted),) if lasted.is_integer() else (math.floor(lasted), math.ceil(lasted))


def _span(minutes: int) -> str:
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(parts) or "less than 1 min"


def _mail_mistakes(word: Word, arrival: Arrival, provider: Provider, now: Circumstances) -> list[str]:
    found = []
    if not arrival.subject.startswith(STATE[NOTHING if word.ended else word.worst]):
        found.append(f"its subject does not begin with how it is: {arrival.subject}")
    if word.ended == ("Next update" in arrival.text):
        found.append("promises after the end, or nothing before it")
    for part, text in (("text", arrival.text), ("HTML", arrival.html)):
        wanted = {"the name": word.name, "whom to call": provider.phone, "the message": now.message}
        found += [f"{part} {what}" for what in _missing(text, wanted)]
    found += _listed(word, arrival)
    found += _header_mistakes(arrival, provider)
    return found


def _listed(word: Word, arrival: Arrival) -> list[str]:
    """Each line by its own label, with how it is now; above ten their number, and all of them in the attached list."""
    if len(word.lines) > LISTED:
        wanted = {f"number {n}": line.label for n, line in enumerate(word.lines)}
        return _missing(arrival.attached, wanted) + _missing(arrival.text, {"their number": f"{len(word.lines)} "})
    found = []
    for line in word.lines:
        rows = [row for row in arrival.text.splitlines() if line.label in row]
        short = ("not affected after all",) if word.kind == "retraction" else SHORT[line.level]
        if not any(each in row for row in rows for each in short):
            found.append(f"does not say that {line.label} is {short} in:\n{arrival.text}")
        if line.was and line.level not in (NOTHING, line.was):
            before = [f"before {each}" for each in SHORT[line.was]]
            if not any(each in row for row in rows for each in before):
                found.append(f"does not say that {line.label} was {before} in:\n{arrival.text}")
        if line.label not in arrival.html:
            found.append(f"HTML lacks {line.label}")
    return found


def _header_mistakes(arrival: Arrival, provider: Provider) -> list[str]:
    headers = arrival.headers
    found = []
    if provider.email not in headers.get("from", "") or provider.name not in headers.get("from", ""):
        found.append(f"it is from {headers.get('from')}")
    if headers.get("auto-submitted") != "auto-generated":
        found.append(f"Auto-Submitted is {headers.get('auto-submitted')}")
    if headers.get("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
        found.append(f"List-Unsubscribe-Post is {headers.get('list-unsubscribe-post')}")
    if f"<{provider.url}/unsubscribe/" not in headers.get("list-unsubscribe", ""):
        found.append(f"List-Unsubscribe is {headers.get('list-unsubscribe')}")
    if not _IDS.fullmatch(headers.get("message-id", "")):
        found.append(f"Message-ID is {headers.get('message-id')}")
    if not headers.get("content-type", "").startswith("multipart/"):
        found.append(f"Content-Type is {headers.get('content-type')}")
    return found


def _text_mistakes(word: Word, arrival: Arrival, provider: Provider) -> list[str]:
    found = []
    if not arrival.text.startswith(provider.name):
        found.append(f"the provider's name is not first: {arrival.text}")
    if arrival.segments > 2:
        found.append(f"has {arrival.segments} segments: {arrival.text}")
    labels = [line.label for line in word.lines]
    if not any(label in arrival.text for label in labels):
        found.append(f"names none of {labels}: {arrival.text}")
    if len(labels) > LISTED and f"{len(labels)} " not in arrival.text:
        found.append(f"does not give their number, {len(labels)}: {arrival.text}")
    return found
