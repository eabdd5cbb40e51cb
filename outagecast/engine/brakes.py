"""The brakes on every door (rules 22 to 25): desk, API and hooks meet the same ones. The end of an outage is exempt."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from outagecast.domain.errors import Forbidden, Invalid
from outagecast.domain.outage import Actor, Role
from outagecast.domain.throttle import start_of_day
from outagecast.engine.house import House
from outagecast.storage import claims, outages
from outagecast.storage.engine import Connection

_LINK = re.compile(r"https?://[^\s<>\"')]+", re.IGNORECASE)


class Brake(StrEnum):
    """What held a revision back."""

    DRAFT = "draft"
    """Nobody released it yet: asked for as a draft."""
    APPROVE_ABOVE = "approve_above"
    CUSTOMERS_PER_HOUR = "customers_per_hour"
    SMS_PER_DAY = "sms_per_day"
    LINK_HOSTS = "link_hosts"
    MAX_CUSTOMERS = "max_customers"
    NO_SCOPE = "no_scope"
    """A monitor named nothing that the inventory knows."""
    ON_CLEAR = "on_clear"
    """A monitor says it is over; a person releases the resolution."""


class Brakes:
    def __init__(self, house: House) -> None:
        self._house = house

    async def check(
        self, conn: Connection, *, actor: Actor, customers: int, texts: int, message: str, now: datetime
    ) -> Brake | None:
        """The first brake that a revision exceeds: how many customers it newly tells, how many texts it plans, what
        it links to.
        """
        safety = self._house.safety
        if safety.approve_above and customers > safety.approve_above:
            return Brake.APPROVE_ABOVE
        if self.foreign_link(message):
            return Brake.LINK_HOSTS
        if safety.customers_per_hour and customers:
            told = await outages.customers_told_since(conn, actor.name, now - timedelta(hours=1))
            if told + customers > safety.customers_per_hour:
                return Brake.CUSTOMERS_PER_HOUR
        if not safety.sms_per_day or not texts:
            return None
        used = await claims.texts_since(conn, start_of_day(now))
        return Brake.SMS_PER_DAY if used + texts > safety.sms_per_day else None

    def foreign_link(self, message: str) -> str | None:
        """The first host a message links to that is neither the provider's own nor listed."""
        allowed = {self._house.public_host, *self._house.safety.link_hosts}
        for link in _LINK.findall(message):
            host = (urlsplit(link).hostname or "").lower()
            if host not in allowed and not any(host.endswith(f".{known}") for known in self._house.safety.link_hosts):
                return host
        return None

    def may_release(self, held: "HeldStep", actor: Actor, typed: int | None) -> None:
        """Forbidden or Invalid unless this person may release it: above `approve_above` a second one with the
        approver's role, or whoever has typed how many customers it reaches (`approve_by`).

        `typed`: that number. One that is wrong releases nothing, whatever the setting: the person has seen another
        outage than the one that would leave.
        """
        if typed is not None and typed != held.customers:
            raise Invalid.one("customers", f"{typed} was typed, and it reaches {held.customers} now: look at it again")
        above, reaches = self._house.safety.approve_above, f"this reaches {held.customers} customers"
        match self.refusal(held, actor):
            case Refusal.TYPE_NUMBER:
                if typed is None:
                    raise Invalid.one("customers", f"{reaches}: above {above} that number has to be typed")
            case Refusal.NEEDS_APPROVER:
                raise Forbidden(f"{reaches}: above {above} someone with the approver's role releases it")
            case Refusal.SECOND_PERSON:
                raise Forbidden(f"{reaches}: above {above} a second person releases it")
            case None:
                pass

    def refusal(self, held: "HeldStep", actor: Actor) -> "Refusal | None":
        """What stands between this person and a release; None if nothing does. The end of an outage never waits."""
        above = self._house.safety.approve_above
        beyond = held.customers > above or held.held_because == Brake.APPROVE_ABOVE.value
        if not above or not beyond or held.ends:
            return None
        if self._house.safety.approve_by == "typed_number":
            return Refusal.TYPE_NUMBER
        if actor.role not in (Role.APPROVER, Role.ADMIN):
            return Refusal.NEEDS_APPROVER
        return Refusal.SECOND_PERSON if actor.name in held.authors else None


class Refusal(StrEnum):
    """Why a release is not this person's to make, or not yet."""

    TYPE_NUMBER = "type_number"
    """He has to type how many customers it reaches."""
    NEEDS_APPROVER = "needs_approver"
    SECOND_PERSON = "second_person"
    """It is his own."""


class HeldStep(Protocol):
    """What waits: how many customers it reaches, the brake that held it, whose own work it is, and whether it ends
    the outage.
    """

    @property
    def customers(self) -> int: ...
    @property
    def held_because(self) -> str | None: ...
    @property
    def authors(self) -> frozenset[str]: ...
    @property
    def ends(self) -> bool: ...
