"""The brakes on every door (rules 22 to 25): desk, API and hooks meet the same ones. The end of an outage is exempt."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from outagecast.domain.errors import Forbidden
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.throttle import start_of_day
from outagecast.engine.house import House
from outagecast.storage import deliveries, outages
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
        used = await deliveries.texts_since(conn, start_of_day(now))
        return Brake.SMS_PER_DAY if used + texts > safety.sms_per_day else None

    def foreign_link(self, message: str) -> str | None:
        """The first host a message links to that is neither the provider's own nor listed."""
        allowed = {self._house.public_host, *self._house.safety.link_hosts}
        for link in _LINK.findall(message):
            host = (urlsplit(link).hostname or "").lower()
            if host not in allowed and not any(host.endswith(f".{known}") for known in self._house.safety.link_hosts):
                return host
        return None

    def may_release(
        self, *, actor: Actor, declared_by: str, declared_kind: str, customers: int, held_because: str | None
    ) -> None:
        """Forbidden unless this person may release it: above `approve_above` a second one, with the approver's role."""
        above = self._house.safety.approve_above
        if not above or (customers <= above and held_because != Brake.APPROVE_ABOVE.value):
            return
        if actor.role not in (Role.APPROVER, Role.ADMIN):
            raise Forbidden(
                f"this reaches {customers} customers: above {above} someone with the approver's role releases it"
            )
        if actor.name == declared_by and declared_kind != ActorKind.MONITOR.value:
            raise Forbidden(f"this reaches {customers} customers: above {above} a second person releases it")
