"""A small provider with everybody in it who must hear, and everybody who must not.

Each customer bears a word of its own in its name and on its line (`CX007`), so that a message tells of whom it speaks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.kill_harness import Template, fill_template

DOWN = "POP-1"
"""What is declared down; everybody but the strangers hangs on it."""
ELSEWHERE = "POP-2"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One address. `knows`: the customers' words that it may read; `silent`: why it must never hear, "" if it does."""

    address: str
    channel: str
    knows: frozenset[str]
    silent: str = ""


@dataclass(frozen=True, kw_only=True)
class Town:
    template: Template
    listeners: tuple[Listener, ...]

    @property
    def hearing(self) -> tuple[str, ...]:
        return tuple(one.address for one in self.listeners if not one.silent)

    @property
    def by_address(self) -> dict[str, Listener]:
        return {one.address: one for one in self.listeners}


def word(n: int) -> str:
    return f"CX{n:03d}"


def mail(n: int) -> str:
    return f"c{n:03d}@example.org"


def phone(n: int) -> str:
    return f"+1859555{1000 + n}"


@dataclass(frozen=True, kw_only=True)
class _Soul:
    """A customer with one line and one contact."""

    n: int
    mail: str = ""
    phone: str = ""
    pop: str = DOWN
    status: str = ""
    contact_status: str = ""
    silent: str = ""


def souls(customers: int) -> list[_Soul]:
    usual = [_Soul(n=n, mail=mail(n), phone=phone(n)) for n in range(1, customers + 1)]
    return [
        *usual,
        # Two customers behind one mailbox: one message for both (I3).
        _Soul(n=901, mail="shared@example.org"),
        _Soul(n=902, mail="Shared@Example.ORG"),
        _Soul(n=905, phone=phone(905)),
        _Soul(n=911, mail=mail(911), phone=phone(911), pop=ELSEWHERE, silent="not touched"),
        _Soul(n=921, mail=mail(921), phone=phone(921), status="ended", silent="left"),
        _Soul(n=922, mail=mail(922), phone=phone(922), contact_status="ended", silent="left"),
        _Soul(n=941),
    ]


def found(folder: Path, customers: int, url: str = "sqlite:///outagecast.db", poison: Sequence[str] = ()) -> Town:
    """The town in a fresh database at `url`. `poison`: mail addresses of further customers, whatever they look like."""
    folk = [*souls(customers), *(_Soul(n=950 + n, mail=address) for n, address in enumerate(poison))]
    template = fill_template(folder, _files(folk), (one.address for one in _listeners(folk) if not one.silent), url)
    return Town(template=template, listeners=_listeners(folk))


def _listeners(folk: Iterable[_Soul]) -> tuple[Listener, ...]:
    found: dict[str, Listener] = {}
    for soul in folk:
        for channel, address in (("email", soul.mail.lower()), ("sms", soul.phone)):
            if address:
                knows = found[address].knows if address in found else frozenset()
                found[address] = Listener(
                    address=address, channel=channel, knows=knows | {word(soul.n)}, silent=soul.silent
                )
    return tuple(found.values())


def _files(folk: Sequence[_Soul]) -> dict[str, str]:
    customers = [f"C{s.n:03d},Cafe {word(s.n)},{s.status}" for s in folk]
    contacts = [f'K{s.n:03d},C{s.n:03d},Ann {s.n:03d},"{s.mail}",{s.phone},{s.contact_status}' for s in folk]
    circuits = [f"L{s.n:03d},C{s.n:03d},Line {word(s.n)},{s.pop}" for s in folk]
    return {
        "elements": f"id,kind\n{DOWN},pop\n{ELSEWHERE},pop\n",
        "customers": "\n".join(["id,name,status", *customers, ""]),
        "contacts": "\n".join(["id,customer_id,name,email,phone,status", *contacts, ""]),
        "circuits": "\n".join(["id,customer_id,label,depends_on", *circuits, ""]),
    }
