"""What has arrived, ready to be looked at: boxes by address, texts by sid. It is rebuilt from the log alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from outagecast.sandbox.journal import Record
from outagecast.sandbox.mail import thread_of

MAIL, PHONE = "mail", "phone"


@dataclass(kw_only=True, slots=True)
class MailItem:
    """One mail in a mailbox; its octets stay in the log under `number`."""

    number: int
    at: datetime
    subject: str
    thread: str


@dataclass(kw_only=True, slots=True)
class TextItem:
    """One text in a phone: from the provider (`outbound`), or the person's answer. Times are the sandbox clock's."""

    number: int
    at: datetime
    outbound: bool
    sid: str
    to: str
    sender: str
    body: str
    service: str = ""
    status: str = ""
    segments: int = 1
    encoding: str = ""
    units: int = 0
    validity: int | None = None
    callback: str = ""
    error: int | None = None
    sent_at: datetime | None = None
    updated_at: datetime | None = None
    automatic: bool = False


@dataclass(kw_only=True, slots=True)
class Box:
    """All that one address got, in order of arrival. `name` is the last display name seen, "" when there was none."""

    kind: str
    address: str
    name: str = ""
    mails: list[MailItem] = field(default_factory=list)
    texts: list[TextItem] = field(default_factory=list)
    last_at: datetime | None = None
    last_line: str = ""

    def __len__(self) -> int:
        return len(self.mails) + len(self.texts)


class Store:
    """Fed record by record in the log's order; the latest box is the last of `boxes`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.boxes: dict[tuple[str, str], Box] = {}
        self.texts: dict[str, TextItem] = {}
        self.outbound: list[TextItem] = []
        self.opted_out: set[tuple[str, str]] = set()
        self.counts: dict[str, int] = {}
        self.version = 0

    def apply(self, record: Record) -> None:
        """Take in one record of the log."""
        kind = record["type"]
        if kind == "reset":
            version = self.version
            self.clear()
            self.version = version + 1
            return
        self.version += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        match kind:
            case "mail":
                self._mail(record)
            case "sms":
                self._sms(record)
            case "sms_in":
                self._answer(record)
            case "sms_auto":
                self._automatic(record)
            case "sms_status":
                self._status(record)
            case "opt_out":
                self.opted_out.add((record["sender"], record["phone"]))
            case "opt_in":
                self.opted_out.discard((record["sender"], record["phone"]))
            case _:
                pass

    def box(self, kind: str, address: str) -> Box | None:
        return self.boxes.get((kind, _key(address)))

    def latest_first(self) -> Iterator[Box]:
        return reversed(self.boxes.values())

    def _touch(self, kind: str, address: str, at: datetime, line: str) -> Box:
        key = (kind, _key(address))
        box = self.boxes.pop(key, None) or Box(kind=kind, address=address)
        self.boxes[key] = box  # the last in the dict is the latest
        box.last_at, box.last_line = at, line
        return box

    def _mail(self, record: Record) -> None:
        at, headers = datetime.fromisoformat(record["at"]), record["headers"]
        box = self._touch(MAIL, record["rcpt"], at, record["subject"])
        box.name = _display_name(headers.get("to", "")) or box.name
        thread = thread_of(headers)
        box.mails.append(MailItem(number=record["n"], at=at, subject=record["subject"], thread=thread))

    def _sms(self, record: Record) -> None:
        item = self._text(record, phone=record["to"], outbound=True)
        item.status, item.service = record["status"], record["service"]
        item.segments, item.encoding, item.units = record["segments"], record["encoding"], record["units"]
        item.validity, item.callback = record["validity"], record["callback"]
        self.texts[item.sid] = item
        self.outbound.append(item)

    def _answer(self, record: Record) -> None:
        self._text(record, phone=record["from"], outbound=False).status = "received"

    def _automatic(self, record: Record) -> None:
        item = self._text(record, phone=record["to"], outbound=True)
        item.automatic, item.status = True, "delivered"

    def _text(self, record: Record, *, phone: str, outbound: bool) -> TextItem:
        at = datetime.fromisoformat(record["at"])
        item = TextItem(
            number=record["n"],
            at=at,
            updated_at=at,
            outbound=outbound,
            sid=record["sid"],
            to=record["to"],
            sender=record["from"],
            body=record["body"],
        )
        self._touch(PHONE, phone, at, record["body"]).texts.append(item)
        return item

    def _status(self, record: Record) -> None:
        item = self.texts.get(record["sid"])
        if item is None:
            return
        item.status, item.error = record["status"], record["error"]
        item.updated_at = datetime.fromisoformat(record["at"])
        if item.status == "sent":
            item.sent_at = item.updated_at


def _key(address: str) -> str:
    return address.strip().lower()


def _display_name(to: str) -> str:
    return to.partition("<")[0].strip().strip('"') if "<" in to else ""
