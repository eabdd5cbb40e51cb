"""TOTP against the standard's own values."""

from datetime import UTC, datetime, timedelta

import pytest

from outagecast.domain.totp import code_at, enrolment_uri, fitting_step, in_groups, new_secret, step_of

SECRET = new_secret(b"12345678901234567890")
NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "eight_digits"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
     (2000000000, "69279037"), (20000000000, "65353130")],
)  # fmt: skip
def test_the_codes_are_those_of_rfc_6238(seconds: int, eight_digits: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert code_at(SECRET, step_of(at)) == eight_digits[-6:]


def test_a_clock_may_be_one_step_off_and_no_more() -> None:
    here = step_of(NOW)
    for drift in (-1, 0, 1):
        assert fitting_step(SECRET, code_at(SECRET, here + drift), after=0, now=NOW) == here + drift
    for drift in (-2, 2, 1000):
        assert fitting_step(SECRET, code_at(SECRET, here + drift), after=0, now=NOW) is None


def test_a_step_that_was_used_and_those_before_it_fit_no_more() -> None:
    here = step_of(NOW)
    assert fitting_step(SECRET, code_at(SECRET, here), after=here, now=NOW) is None
    assert fitting_step(SECRET, code_at(SECRET, here - 1), after=here, now=NOW) is None
    later = NOW + timedelta(seconds=30)
    assert fitting_step(SECRET, code_at(SECRET, here + 1), after=here, now=later) == here + 1


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "12 34 5"])
def test_what_is_no_code_fits_nothing(code: str) -> None:
    assert fitting_step(SECRET, code, after=0, now=NOW) is None


def test_people_may_write_a_space_in_the_middle() -> None:
    code = code_at(SECRET, step_of(NOW))
    assert fitting_step(SECRET, f" {code[:3]} {code[3:]} ", after=0, now=NOW) is not None


def test_the_app_is_told_who_and_where() -> None:
    uri = enrolment_uri(SECRET, issuer="Bluegrass Fiber", account="ann@noc")
    assert uri.startswith("otpauth://totp/Bluegrass%20Fiber%3Aann%40noc?secret=")
    assert f"secret={SECRET}&issuer=Bluegrass%20Fiber" in uri
    assert in_groups("ABCDEFGHIJ") == "ABCD EFGH IJ"
