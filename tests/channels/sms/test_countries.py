"""Which numbers may be written to, and that asking once for a block of them is the same as asking for each."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outagecast.channels.sms.countries import refusal

EVERYWHERE = frozenset(phonenumbers.SUPPORTED_REGIONS) | {"001"}


def plainly(number: str, allowed: frozenset[str]) -> str | None:
    """The answer from the library itself, number by number."""
    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    if region not in allowed:
        return "country"
    premium = phonenumbers.PhoneNumberType.PREMIUM_RATE
    return "premium" if phonenumbers.number_type(parsed) == premium else None


@given(st.integers(min_value=2_000_000_000, max_value=9_999_999_999), st.sampled_from(["US", "CA", "BS"]))
@example(9002345678, "US")
@example(8595550100, "US")
@example(2423456789, "BS")
def test_in_the_north_american_plan_a_block_stands_for_its_numbers(national: int, region: str) -> None:
    number, allowed = f"+1{national}", frozenset({region})
    refused = refusal(number, allowed)
    assert (refused.code if refused else None) == plainly(number, allowed)


@pytest.mark.parametrize("number", ["+4239002285", "+4239002100", "+491713920055", "+49900123456", "+442079460000"])
def test_elsewhere_each_number_is_asked_for(number: str) -> None:
    refused = refusal(number, EVERYWHERE)
    assert (refused.code if refused else None) == plainly(number, EVERYWHERE)


def test_what_is_no_number_is_refused_with_its_reason() -> None:
    refused = refusal("noc", frozenset({"US"}))
    assert refused is not None
    assert (refused.code, refused.suppress_as) == ("not_a_number", None)
