"""Which countries may be written to: the brake on toll fraud and mistyped numbers."""

from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType

from outagecast.domain.delivery import FailureScope, Rejected


def region_of(number: str) -> str:
    """The ISO 3166 region of an E.164 number; `001` for satellite and other networks of no country.

    Where the number's plan does not know it (555-0100, a new area code) the calling code's main region stands for it.
    Raises ValueError when it is no number.
    """
    return _region(_parsed(number))


def refusal(number: str, allowed: frozenset[str]) -> Rejected | None:
    """Why nothing goes to this number: its country is not allowed, or it bills who writes to it. None: it may go.

    The number is not suppressed: the list may grow tomorrow.
    """
    try:
        in_blocks = number.startswith("+1") and len(number) == 12 and number[1:].isdigit()
        region, premium = _kind_of_block(number[:-3]) if in_blocks else _kind_of(number)
    except ValueError:
        return _refused("not_a_number", "the number is not in E.164")
    if region not in allowed:
        return _refused("country", f"country {region} is not in allowed_countries")
    if premium:
        return _refused("premium", f"a premium-rate number of {region}")
    return None


def _kind_of(number: str) -> tuple[str, bool]:
    """Its region, and whether it bills who writes to it."""
    parsed = _parsed(number)
    return _region(parsed), phonenumbers.number_type(parsed) == PhoneNumberType.PREMIUM_RATE


@lru_cache(maxsize=65_536)
def _kind_of_block(block: str) -> tuple[str, bool]:
    """The same for a thousand numbers of the North American plan, which gives them out in such blocks: their last three
    digits decide nothing. Elsewhere they may (Liechtenstein's +423 900 2285), so that others are asked for one by
    one.
    """
    return _kind_of(f"{block}100")


def _parsed(number: str) -> PhoneNumber:
    try:
        return phonenumbers.parse(number)
    except NumberParseException as error:
        raise ValueError("not a phone number") from error


def _region(parsed: PhoneNumber) -> str:
    region = phonenumbers.region_code_for_number(parsed)
    return region or phonenumbers.region_code_for_country_code(parsed.country_code or 0)


def _refused(code: str, reason: str) -> Rejected:
    return Rejected(scope=FailureScope.MESSAGE, code=code, reason=reason)
