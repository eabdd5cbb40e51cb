"""What every change in the outbox asks first: whose row it is, and whether it may go."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    bindparam,
    or_,
    select,
    text,
    tuple_,
)

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.notices import END_KINDS
from outagecast.storage.outages import OPEN_WORDS
from outagecast.storage.tables import addresses, deliveries, meta, outages

S = DeliveryState
END_WORDS = tuple(kind.value for kind in END_KINDS)
IN_FLIGHT = (S.LEASED.value, S.TRANSMITTING.value)
IS_PLANNED = text("deliveries.state = 'planned'")
"""As the partial indexes of rows that wait say it."""
IS_BUSY = text("deliveries.state IN ('leased', 'transmitting', 'ambiguous')")
"""Letter by letter what ix_deliveries_busy says: only so does SQLite know that the few rows in it are all there are."""


def may_go(now: datetime | BindParameter[datetime]) -> list[ColumnElement[bool]]:
    """Whether a row may start towards the wire: nothing holds its outage, and only the end starts after the end."""
    outage = select(outages.c.id).where(
        outages.c.id == deliveries.c.outage_id,
        outages.c.hold_reason.is_(None),
        outages.c.pending_until.is_(None),
        or_(
            one_of(outages.c.status, OPEN_WORDS),
            one_of(deliveries.c.kind, END_WORDS),
            deliveries.c.audience == "staff",
        ),
    )
    staff = deliveries.c.audience == "staff"
    stopped = select(meta.c.key).where(meta.c.key == "paused")
    return [
        or_(deliveries.c.expires_at.is_(None), deliveries.c.expires_at > now),
        or_(staff, outage.exists()),
        or_(staff, ~stopped.exists()),
        # Also staff's: after a restore nothing leaves until a person has looked.
        ~select(meta.c.key).where(meta.c.key == "restored").exists(),
    ]


def one_of(column: ColumnElement[Any], words: Iterable[str]) -> ColumnElement[bool]:
    """A few fixed words, written out: a list behind IN is spelled anew at every execution."""
    return or_(*(column == word for word in words))


def ours(pairs: Sequence[tuple[int, int]]) -> list[ColumnElement[bool]]:
    """These rows under these fences. The ids alone stand beside the pairs because SQLite finds rows by them only."""
    return [
        deliveries.c.id.in_([delivery_id for delivery_id, _ in pairs]),
        tuple_(deliveries.c.id, deliveries.c.fence).in_(pairs),
    ]


def address_is_clean() -> ColumnElement[bool]:
    bad = select(addresses.c.id).where(addresses.c.id == deliveries.c.address_id, addresses.c.suppressed.is_not(None))
    return ~bad.exists()


NOW = bindparam("b_now", type_=deliveries.c.transmitting_at.type)
