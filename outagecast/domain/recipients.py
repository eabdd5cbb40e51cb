"""Which addresses of which contacts hear of which level, and when a message may reach them."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import END_KINDS, NoticeKind, NoticeReason
from outagecast.domain.suppression import SuppressReason

Hours = tuple[time, time]
SHARED_BY_AT_MOST = 5
"""Customers without a common parent that one address may serve before staff must confirm it (rule 10)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a contact wants, empty cells already filled from the defaults of its customer's tier."""

    notify: frozenset[Level]
    channels: frozenset[ChannelName]
    quiet_hours: Hours | None
    wake_for: frozenset[Level]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearer:
    """One contact behind one address, on behalf of one customer (its own, or one whose parent's contact it is)."""

    address_id: int
    channel: ChannelName
    contact_id: str
    name: str
    customer_id: str
    language: str
    zone: str
    wishes: Wishes
    active: bool = True
    former: bool = False
    """The address was told as this contact's, and is nobody's any more: only the end goes there (rule 12)."""
    tier: str = ""
    """The customer's."""
    only_address: bool = False
    """The contact has no address on another channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressState:
    """What stands against writing to an address."""

    value: str
    suppressed: SuppressReason | None
    held_shared: bool
    """On too many customers without a common parent, and nobody has confirmed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Where a planned delivery starts: PLANNED at `due_at`, or SUPPRESSED with its reason."""

    state: DeliveryState
    reason: SuppressReason | None
    due_at: datetime


@lru_cache(maxsize=4096)
def wishes(notify: str, channels: str, quiet_hours: str, wake_for: str, defaults: Wishes) -> Wishes:
    """A contact's cells as imported (words with blanks between, `22:00-07:00`); empty cells take the defaults."""
    return Wishes(
        notify=_levels(notify) if notify else defaults.notify,
        channels=frozenset(ChannelName(word) for word in channels.split()) if channels else defaults.channels,
        quiet_hours=_hours(quiet_hours) if quiet_hours else defaults.quiet_hours,
        wake_for=_levels(wake_for) if wake_for else defaults.wake_for,
    )


def levels(words: frozenset[str]) -> frozenset[Level]:
    """The levels among `notify` words; `maintenance` is no level."""
    return frozenset(Level.of(word) for word in words if word != "maintenance")


def hears(hearers: tuple[Hearer, ...], customer_id: str, level: Level) -> Level:
    """The level as an address hears it: NO_IMPACT where none of its contacts for this customer wants to know."""
    wanted = any(h.customer_id == customer_id and level in h.wishes.notify for h in hearers)
    return level if wanted else Level.NO_IMPACT


def spokesman(hearers: tuple[Hearer, ...]) -> Hearer:
    """Whose name, language and zone an address gets: those of the lowest contact id (rule 9)."""
    return min(hearers, key=lambda h: (not h.active, h.contact_id))


def screen(
    *,
    kind: NoticeKind,
    why: NoticeReason,
    silent: bool,
    worst: Level,
    hearer: Hearer,
    address: AddressState,
    sms_kinds: frozenset[str],
    now: datetime,
) -> Verdict:
    """Whether and when this notice may go to this address. The order is that of certainty: the first reason stands."""
    reason = _against(kind, why, silent, hearer, address, sms_kinds)
    if reason is not None:
        return Verdict(state=DeliveryState.SUPPRESSED, reason=reason, due_at=now)
    held = hearer.channel is ChannelName.SMS and worst not in hearer.wishes.wake_for
    due = quiet_until(hearer.wishes.quiet_hours, hearer.zone, now) if held else None
    return Verdict(state=DeliveryState.PLANNED, reason=None, due_at=due or now)


def quiet_until(hours: Hours | None, zone: str, now: datetime) -> datetime | None:
    """The end of the quiet hours that hold at `now`, None outside them. The clock is the contact's, DST included."""
    if hours is None:
        return None
    here = now.astimezone(_zone(zone))
    start, end = hours
    clock = here.time().replace(tzinfo=None)
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return None
    day = here.date() + timedelta(days=1 if start > end and clock >= start else 0)
    # In the hour that the clocks show twice, the end comes twice as well: the next one counts.
    ends = (datetime.combine(day, end.replace(fold=fold), tzinfo=here.tzinfo).astimezone(now.tzinfo) for fold in (0, 1))
    return next((at for at in ends if at > now), None)


def _against(
    kind: NoticeKind, why: NoticeReason, silent: bool, hearer: Hearer, address: AddressState, sms_kinds: frozenset[str]
) -> SuppressReason | None:
    if why is NoticeReason.COVERED:
        return SuppressReason.COVERED
    if address.suppressed is not None:
        return address.suppressed
    if not hearer.active or (hearer.former and kind not in END_KINDS):
        return SuppressReason.CONTACT_REMOVED
    if address.held_shared:
        return SuppressReason.SHARED_ADDRESS
    if silent:
        return SuppressReason.NEVER_ACKNOWLEDGED
    if hearer.channel is ChannelName.SMS and kind.value not in sms_kinds:
        return SuppressReason.KIND_NOT_TEXTED
    return None


def _levels(cell: str) -> frozenset[Level]:
    return levels(frozenset(cell.split()))


def _hours(cell: str) -> Hours:
    start, end = cell.split("-")
    return time.fromisoformat(start.strip()), time.fromisoformat(end.strip())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
