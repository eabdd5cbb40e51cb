"""What people write about themselves has one canonical form, and says what is wrong with it otherwise."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain import customers
from outagecast.domain.inventory import clean
from outagecast.domain.recipients import Wishes, wishes

Read = Callable[[str], object]


def phone(text: str) -> str:
    return customers.phone(text, "US")


def notify(text: str) -> str:
    return customers.words(text, customers.NOTIFY_WORDS)


@pytest.mark.parametrize(
    ("read", "text", "canonical"),
    [
        (phone, "(859) 555-0100", "+18595550100"),
        (phone, "+49 30 901820", "+4930901820"),
        (phone, "011 49 30 901820", "+4930901820"),
        (customers.email, "Ann.Smith+x@Example.NET", "ann.smith+x@example.net"),
        (customers.email, "a@bücher.example", "a@xn--bcher-kva.example"),
        (customers.email, "c1@customer.test", "c1@customer.test"),
        (customers.language, "EN", "en"),
        (customers.language, "pt_br", "pt-BR"),
        (customers.language, "zh-hant-tw", "zh-Hant-TW"),
        (customers.language, "gsw", "gsw"),
        (customers.zone, "America/New_York", "America/New_York"),
        (customers.quiet_hours, "22:00 - 7:00", "22:00-07:00"),
        (notify, "Maintenance, outage;outage", "outage maintenance"),
        (customers.moment, "2026-05-01", "2026-05-01 00:00:00+00:00"),
        (customers.moment, "2026-05-01T09:30:00+02:00", "2026-05-01 07:30:00+00:00"),
    ],
)
def test_one_canonical_form(read: Read, text: str, canonical: str) -> None:
    assert str(read(text)) == canonical


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (phone, "call me", "is not a phone number"),
        (phone, "12", "too few or too many digits"),
        (phone, "859 555 0100 ext 7", "has an extension"),
        (lambda text: customers.phone(text, None), "859 555 0100", "country's code"),
        (customers.email, "ann@", "is not an e-mail address"),
        (customers.email, "a@x.example; b@x.example", "is not an e-mail address"),
        (customers.email, "noc@localhost", "is not an e-mail address"),
        (customers.email, "änn@x.example", "is not an e-mail address"),
        (customers.language, "english", "is not a language"),
        (customers.language, "zz", "is not a language"),
        (customers.zone, "EST5EDT/../x", "is not a time zone"),
        (customers.zone, "America", "is not a time zone"),
        (customers.quiet_hours, "22-7", "are not hours"),
        (customers.quiet_hours, "24:00-07:00", "are not hours"),
        (customers.quiet_hours, "07:00-7:00", "begin when they end"),
        (notify, "outage fire flood", "does not know fire, flood"),
        (customers.moment, "01/05/2026", "is not a time"),
        (customers.moment, "0001-01-01T00:00:00+14:00", "is not a time"),
    ],
)
def test_what_is_wrong_is_said(read: Read, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(text)


@given(st.text(min_size=1, max_size=30))
def test_any_text_is_taken_or_refused_and_taking_it_again_changes_nothing(text: str) -> None:
    for read in (phone, customers.email, customers.language, customers.zone, customers.quiet_hours, notify):
        try:
            once = read(text)
        except ValueError:
            continue
        assert not once or read(once) == once


@given(st.text())
def test_a_clean_text_is_one_line_that_sqlite_takes(text: str) -> None:
    once = clean(text)
    assert once == clean(once)
    assert len(once.splitlines()) <= 1
    assert "\0" not in once
    once.encode()


@given(
    st.lists(st.sampled_from(customers.NOTIFY_WORDS)),
    st.lists(st.sampled_from(customers.CHANNEL_WORDS)),
    st.times(),
    st.times(),
)
def test_canonical_cells_are_what_planning_reads(
    notified: list[str], channels: list[str], start: object, end: object
) -> None:
    hours = f"{start:%H:%M}-{end:%H:%M}"
    quiet = customers.quiet_hours(hours) if f"{start:%H:%M}" != f"{end:%H:%M}" else ""
    defaults = Wishes(notify=frozenset(), channels=frozenset(), quiet_hours=None, wake_for=frozenset())
    found = wishes(
        customers.words(" ".join(notified), customers.NOTIFY_WORDS),
        customers.words(" ".join(channels), customers.CHANNEL_WORDS),
        quiet,
        "",
        defaults,
    )
    assert {level.word for level in found.notify} == set(notified) - {"maintenance"}
    assert {channel.value for channel in found.channels} == set(channels)
