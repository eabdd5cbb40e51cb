from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import NoticeKind, NoticeReason
from outagecast.domain.recipients import (
    AddressState,
    Hearer,
    Hours,
    Verdict,
    Wishes,
    hears,
    levels,
    quiet_until,
    screen,
    spokesman,
    wishes,
)
from outagecast.domain.suppression import SuppressReason

NIGHT = (time(22), time(7))
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)
"""Half past midnight in Berlin."""
DEFAULTS = Wishes(
    notify=frozenset({Level.OUTAGE, Level.DEGRADED}),
    channels=frozenset({ChannelName.EMAIL, ChannelName.SMS}),
    quiet_hours=None,
    wake_for=frozenset(),
)
ALL_KINDS = frozenset(kind.value for kind in NoticeKind)


def utc(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def hearer(
    contact: str = "C1",
    customer: str = "K1",
    *,
    notify: str = "",
    channel: ChannelName = ChannelName.SMS,
    quiet: str = "",
    wake: str = "",
    active: bool = True,
    language: str = "en",
) -> Hearer:
    return Hearer(
        address_id=1,
        channel=channel,
        contact_id=contact,
        name=contact.title(),
        customer_id=customer,
        language=language,
        zone=BERLIN,
        wishes=wishes(notify, "", quiet, wake, DEFAULTS),
        active=active,
    )


def address(suppressed: SuppressReason | None = None, *, held_shared: bool = False) -> AddressState:
    return AddressState(value="+491701234567", suppressed=suppressed, held_shared=held_shared)


def screened(
    *,
    kind: NoticeKind = NoticeKind.ACKNOWLEDGEMENT,
    why: NoticeReason = NoticeReason.NEWLY_TOUCHED,
    silent: bool = False,
    worst: Level = Level.OUTAGE,
    who: Hearer | None = None,
    to: AddressState | None = None,
    sms_kinds: frozenset[str] = ALL_KINDS,
    now: datetime = NOON,
) -> Verdict:
    return screen(
        kind=kind,
        why=why,
        silent=silent,
        worst=worst,
        hearer=who or hearer(),
        address=to or address(),
        sms_kinds=sms_kinds,
        now=now,
    )


# --- wishes (rule 8) ---


def test_empty_cells_take_the_defaults() -> None:
    assert wishes("", "", "", "", DEFAULTS) == DEFAULTS


def test_each_cell_stands_for_itself() -> None:
    own = wishes("outage maintenance", "email", "22:00-07:00", "outage", DEFAULTS)
    assert own.notify == {Level.OUTAGE}
    assert own.channels == {ChannelName.EMAIL}
    assert own.quiet_hours == NIGHT
    assert own.wake_for == {Level.OUTAGE}
    assert wishes("", "email", "", "", DEFAULTS).notify == DEFAULTS.notify


def test_who_asks_for_maintenance_only_hears_of_no_level() -> None:
    assert wishes("maintenance", "", "", "", DEFAULTS).notify == frozenset()
    assert levels(frozenset({"maintenance", "reduced_redundancy"})) == {Level.REDUCED_REDUNDANCY}


def test_an_address_hears_what_any_of_its_contacts_for_that_customer_wants() -> None:
    group = (hearer("C1", "K1", notify="outage"), hearer("C2", "K1", notify="degraded"), hearer("C3", "K2"))
    assert hears(group, "K1", Level.OUTAGE) is Level.OUTAGE
    assert hears(group, "K1", Level.DEGRADED) is Level.DEGRADED
    assert hears(group[:1], "K1", Level.DEGRADED) is Level.NO_IMPACT


def test_nobody_hears_of_a_customer_for_whom_he_is_no_contact() -> None:
    assert hears((hearer("C3", "K2"),), "K1", Level.OUTAGE) is Level.NO_IMPACT


def test_reduced_redundancy_only_reaches_those_who_ask_for_it() -> None:
    assert hears((hearer(),), "K1", Level.REDUCED_REDUNDANCY) is Level.NO_IMPACT
    asking = hearer(notify="reduced_redundancy")
    assert hears((asking,), "K1", Level.REDUCED_REDUNDANCY) is Level.REDUCED_REDUNDANCY


# --- whose language (rule 9) ---


def test_the_lowest_contact_id_lends_its_language() -> None:
    assert spokesman((hearer("C2", language="de"), hearer("C1", language="fr"))).language == "fr"


def test_who_has_left_speaks_for_the_address_only_if_nobody_else_is_there() -> None:
    gone = hearer("C1", active=False, language="fr")
    assert spokesman((gone, hearer("C2", language="de"))).language == "de"
    assert spokesman((gone,)).language == "fr"


# --- what stands against writing ---


def test_nothing_against_it_means_planned_at_once() -> None:
    assert screened() == Verdict(state=DeliveryState.PLANNED, reason=None, due_at=NOON)


def test_the_most_certain_reason_stands() -> None:
    """Each reason stands before all below it: take away one after the other."""
    against: dict[str, object] = {
        "why": NoticeReason.COVERED,
        "to": address(SuppressReason.OPTED_OUT, held_shared=True),
        "who": hearer(active=False),
        "silent": True,
        "sms_kinds": frozenset(),
    }

    def reason() -> SuppressReason | None:
        verdict = screened(**against)  # type: ignore[arg-type]
        assert verdict.state is (DeliveryState.SUPPRESSED if verdict.reason else DeliveryState.PLANNED)
        return verdict.reason

    assert reason() is SuppressReason.COVERED
    del against["why"]
    assert reason() is SuppressReason.OPTED_OUT
    against["to"] = address(held_shared=True)
    assert reason() is SuppressReason.CONTACT_REMOVED
    del against["who"]
    assert reason() is SuppressReason.SHARED_ADDRESS
    against["to"] = address()
    assert reason() is SuppressReason.NEVER_ACKNOWLEDGED
    del against["silent"]
    assert reason() is SuppressReason.KIND_NOT_TEXTED
    del against["sms_kinds"]
    assert reason() is None


def test_kinds_that_are_not_texted_are_still_mailed() -> None:
    texted = frozenset({"acknowledgement", "resolution"})
    mail = hearer(channel=ChannelName.EMAIL)
    assert screened(kind=NoticeKind.HOLDING, sms_kinds=texted).reason is SuppressReason.KIND_NOT_TEXTED
    assert screened(kind=NoticeKind.HOLDING, sms_kinds=texted, who=mail).reason is None
    assert screened(kind=NoticeKind.RESOLUTION, sms_kinds=texted).reason is None


# --- quiet hours (rule 11) ---


def test_quiet_hours_hold_a_text_until_they_end() -> None:
    verdict = screened(who=hearer(quiet="22:00-07:00"), now=MIDNIGHT)
    assert verdict == Verdict(state=DeliveryState.PLANNED, reason=None, due_at=utc(2026, 6, 2, 5))


def test_quiet_hours_hold_no_mail() -> None:
    mail = hearer(channel=ChannelName.EMAIL, quiet="22:00-07:00")
    assert screened(who=mail, now=MIDNIGHT).due_at == MIDNIGHT


def test_who_wants_to_be_woken_for_a_level_is_woken_for_that_level_only() -> None:
    who = hearer(quiet="22:00-07:00", wake="outage")
    assert screened(who=who, now=MIDNIGHT, worst=Level.OUTAGE).due_at == MIDNIGHT
    assert screened(who=who, now=MIDNIGHT, worst=Level.DEGRADED).due_at == utc(2026, 6, 2, 5)


@pytest.mark.parametrize(
    ("here", "until"),
    [
        ((1, 21, 59), None),
        ((1, 22, 0), (2, 7)),
        ((1, 23, 59), (2, 7)),
        ((2, 0, 0), (2, 7)),
        ((2, 6, 59), (2, 7)),
        ((2, 7, 0), None),
    ],
)
def test_the_night_spans_midnight(here: tuple[int, int, int], until: tuple[int, int] | None) -> None:
    zone = ZoneInfo(BERLIN)
    now = datetime(2026, 6, *here, tzinfo=zone).astimezone(UTC)
    end = quiet_until(NIGHT, BERLIN, now)
    assert end == (until and datetime(2026, 6, *until, tzinfo=zone))


def test_hours_within_a_day_end_on_that_day() -> None:
    assert quiet_until((time(12), time(14)), "UTC", utc(2026, 6, 1, 13)) == utc(2026, 6, 1, 14)
    assert quiet_until((time(12), time(14)), "UTC", utc(2026, 6, 1, 23)) is None


def test_no_quiet_hours_hold_nothing() -> None:
    assert quiet_until(None, BERLIN, NOON) is None


@pytest.mark.parametrize(
    ("zone", "evening", "morning"),
    [
        (BERLIN, utc(2026, 3, 28, 22), utc(2026, 3, 29, 5)),
        (BERLIN, utc(2026, 10, 24, 21), utc(2026, 10, 25, 6)),
        (NEW_YORK, utc(2026, 3, 8, 4), utc(2026, 3, 8, 11)),
        (NEW_YORK, utc(2026, 11, 1, 3), utc(2026, 11, 1, 12)),
    ],
)
def test_in_the_night_the_clocks_change_the_quiet_ends_at_seven_by_the_new_clock(
    zone: str, evening: datetime, morning: datetime
) -> None:
    assert quiet_until(NIGHT, zone, evening) == morning


def test_an_end_that_the_clocks_leap_over_is_reached_with_the_leap() -> None:
    # 02:30 does not exist in Berlin on 29 March: an hour's leap at 02:00 leads past it.
    end = quiet_until((time(22), time(2, 30)), BERLIN, utc(2026, 3, 29, 0, 30))
    assert end == utc(2026, 3, 29, 1, 30)


def test_an_end_that_the_clocks_show_twice_never_lies_behind() -> None:
    # 02:10 for the second time in Berlin on 25 October; 02:30 comes once more.
    hours, again = (time(22), time(2, 30)), utc(2026, 10, 25, 1, 10)
    assert quiet_until(hours, BERLIN, again) == utc(2026, 10, 25, 1, 30)


CLOCKS = st.times(datetime.min.time(), time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0))
AROUND_CHANGES = st.sampled_from([utc(2026, 3, 29, 0), utc(2026, 10, 25, 0), utc(2026, 3, 8, 6), utc(2026, 11, 1, 5)])


@given(
    st.tuples(CLOCKS, CLOCKS).filter(lambda hours: hours[0] != hours[1]),
    st.sampled_from([BERLIN, NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    AROUND_CHANGES,
    st.integers(-36 * 60, 36 * 60),
)
def test_quiet_hours_always_end_ahead_and_within_a_day(hours: Hours, zone: str, change: datetime, minutes: int) -> None:
    now = change + timedelta(minutes=minutes)
    end = quiet_until(hours, zone, now)
    assert end is None or now < end <= now + timedelta(hours=25)
    assert end is None or end.tzinfo is UTC
