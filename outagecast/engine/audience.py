"""Who hears of a supposed outage, counted without planning each message: for previews of any size.

An address that no open outage has told or touches hears of a new one exactly when one of its contacts wants to know of
the level, and what stands against it is decided by `screen` as in a real plan. All others are `entangled`: the preview
has the planner decide about them. tests/engine/test_preview.py holds the sum of both against real declarations.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import NoticeKind, NoticeReason
from outagecast.domain.recipients import AddressState, Hearer, Wishes, screen, wishes
from outagecast.domain.suppression import SuppressReason
from outagecast.engine.house import House
from outagecast.engine.reach import Reach
from outagecast.storage import views_reach
from outagecast.storage.engine import Connection
from outagecast.storage.views_reach import Blocked, Buyer

_NOTHING = Blocked(suppressed=None, held_shared=False)
VIA_PARENT = ("parent", "both")


Address: TypeAlias = tuple[str, str, int, str]
"""An address that hears: (channel, the first customer it hears for, how many touched lines, a contact's name)."""


@dataclass(kw_only=True, slots=True)
class Audience:
    """Everybody behind the touched customers. `addresses` are those that would get a row, by number; `joined` are the
    further customers of those that hear for several.
    """

    customers: set[str] = field(default_factory=set)
    """The touched customers that are active."""
    addresses: dict[int, Address] = field(default_factory=dict)
    joined: dict[int, set[str]] = field(default_factory=dict)
    contacts: dict[str, Level] = field(default_factory=dict)
    """Each contact that hears for them, with the worst level among its customers'."""
    unreachable: list[str] = field(default_factory=list)
    """Customers told by default for whom no contact has an address."""
    lacking: int = 0
    """Contacts that ask for a channel by name and have no address there."""


async def audience(conn: Connection, house: House, reach: Reach) -> Audience:
    """Who hears of what is touched, as far as the contacts' own wishes go."""
    rows = await views_reach.buyers(conn, reach.by_customer)
    above = {row[1] for row in rows if row[1] and row[2] in VIA_PARENT}
    parents: dict[str, list[Buyer]] = {}
    for row in await views_reach.contacts_of(conn, above):
        parents.setdefault(row[0], []).append(row)
    return await asyncio.to_thread(_Listing(house, reach).of, rows, parents)


def standing(house: House, severity: str, channel: ChannelName, blocked: Blocked, now: datetime) -> str | None:
    """Why an acknowledgement to such an address would say nothing; None if it goes out."""
    everything = Wishes(
        notify=frozenset(Level), channels=frozenset(ChannelName), quiet_hours=None, wake_for=frozenset(Level)
    )
    hearer = Hearer(
        address_id=0, channel=channel, contact_id="", name="", customer_id="", language="", zone="UTC",
        wishes=everything,
    )  # fmt: skip
    verdict = screen(
        kind=NoticeKind.ACKNOWLEDGEMENT,
        why=NoticeReason.NEWLY_TOUCHED,
        silent=False,
        worst=Level.OUTAGE,
        hearer=hearer,
        address=AddressState(
            value="",
            suppressed=SuppressReason(blocked.suppressed) if blocked.suppressed else None,
            held_shared=blocked.held_shared,
        ),
        sms_kinds=house.cadences[severity].sms_kinds,
        now=now,
    )
    return verdict.reason.value if verdict.state is DeliveryState.SUPPRESSED and verdict.reason else None


def what_stands_against(
    house: House, severity: str, addresses: Mapping[int, Address], blocked: Mapping[int, Blocked], now: datetime
) -> dict[int, str]:
    """The reason by address, of those that would hear nothing."""
    usual = {name.value: standing(house, severity, name, _NOTHING, now) for name in house.channels}
    found: dict[int, str] = {}
    for number, address in addresses.items():
        stands = blocked.get(number)
        name = ChannelName(address[0]) if stands else None
        reason = standing(house, severity, name, stands, now) if name and stands else usual[address[0]]
        if reason:
            found[number] = reason
    return found


class _Listing:
    """One pass over the contacts of all touched customers."""

    def __init__(self, house: House, reach: Reach) -> None:
        self._house = house
        self._by_customer = reach.by_customer
        self._levels = reach.levels
        self._told_by_default = house.default_wishes("").notify
        self._wishes: dict[tuple[str | None, str | None, str], Wishes] = {}
        self._found = Audience()
        self._reached: set[str] = set()

    def of(self, rows: list[Buyer], parents: Mapping[str, list[Buyer]]) -> Audience:
        found, via_parent = self._found, set[str]()
        for row in rows:
            customer_id, parent_id, told_via, tier, contact_id = row[:5]
            found.customers.add(customer_id)
            if contact_id is not None:
                # Told via a parent that is not there, a customer hears for himself.
                if told_via != "parent" or not parent_id:
                    self._hear(row, customer_id, tier)
                self._lack(row)
            if parent_id and told_via in VIA_PARENT and customer_id not in via_parent:
                via_parent.add(customer_id)
                for contact in parents.get(parent_id, ()):
                    self._hear(contact, customer_id, tier)
        found.unreachable = [
            customer_id
            for customer_id in self._by_customer
            if customer_id in found.customers and customer_id not in self._reached and self._is_told(customer_id)
        ]
        return found

    def _hear(self, contact: Buyer, customer_id: str, tier: str) -> None:
        """A contact, on behalf of a customer: its own or one whose parent's contact it is."""
        _, _, _, _, contact_id, name, email_id, phone_id, notify, channels = contact
        assert contact_id is not None
        worst, contacts = self._worst(customer_id), self._found.contacts
        contacts[contact_id] = max(worst, contacts.get(contact_id, worst))
        wanted = self._wanted(notify, channels, tier)
        lines = -1
        for channel in self._house.channels:
            number = email_id if channel is ChannelName.EMAIL else phone_id
            if number is None:
                continue
            self._reached.add(customer_id)
            if channel not in wanted.channels:
                continue
            if lines < 0:
                lines = sum(level in wanted.notify for level in self._levels[customer_id])
            if lines:
                self._add(number, channel, name or "", customer_id, lines)

    def _add(self, number: int, channel: ChannelName, name: str, customer_id: str, lines: int) -> None:
        known = self._found.addresses.get(number)
        if known is None:
            self._found.addresses[number] = (channel.value, customer_id, lines, name)
        elif customer_id != known[1] and customer_id not in self._found.joined.get(number, ()):
            self._found.joined.setdefault(number, set()).add(customer_id)
            self._found.addresses[number] = (known[0], known[1], known[2] + lines, known[3])

    def _lack(self, row: Buyer) -> None:
        if not row[9]:
            return
        for channel in self._house.channels:
            number = row[6] if channel is ChannelName.EMAIL else row[7]
            if number is None and channel.value in row[9] and self._is_told(row[0]):
                self._found.lacking += 1

    def _is_told(self, customer_id: str) -> bool:
        return self._worst(customer_id) in self._told_by_default

    def _worst(self, customer_id: str) -> Level:
        return max(self._levels[customer_id])

    def _wanted(self, notify: str | None, channels: str | None, tier: str) -> Wishes:
        key = (notify, channels, tier)
        found = self._wishes.get(key)
        if found is None:
            found = self._wishes[key] = wishes(notify or "", channels or "", "", "", self._house.default_wishes(tier))
        return found
