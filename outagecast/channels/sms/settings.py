"""The accounts that send our texts, in order, and as whom."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from outagecast.settings_base import Settings
from outagecast.settings_types import FilledSecret, PositiveDuration, Rate, Region, RouteName, Url, to_e164


def _sid(text: str) -> str:
    # Twilio's are AC and 32 hex digits; compatible gateways have ids of their own.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError("is not an account's id (copy it from the provider's console)")
    return text


def _service(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError('is not a messaging service\'s id (write its "MG…")')
    return text


def _sender(text: str) -> str:
    """A number as E.164, a short code (3 to 8 digits), or a name of at most 11 characters with a letter among them."""
    plain = text.strip()
    if not plain or re.fullmatch(r"\d{3,8}", plain, re.ASCII):
        return plain
    if plain.startswith("+"):
        return to_e164(plain)
    if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}", plain):
        return plain
    raise ValueError("is not a sender (write +18595550100, a short code, or a name of at most 11 letters)")


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError('is not a currency (write its three letters, like "USD")')
    return text


class SmsAccount(Settings):
    """One account. `sender` is `from` in the file; either it or `messaging_service_sid` is set."""

    account_sid: Annotated[str, AfterValidator(_sid)] = Field(examples=['"AC…"'])
    auth_token: FilledSecret = Field(examples=['{ env = "TWILIO_AUTH_TOKEN" }'])
    sender: Annotated[str, AfterValidator(_sender)] = Field(default="", validation_alias="from")
    messaging_service_sid: Annotated[str, AfterValidator(_service)] = ""
    api_url: Url = "https://api.twilio.com"
    rate_per_second: Rate = 10
    connections: int = Field(default=20, strict=True, ge=1, le=200)
    timeout: PositiveDuration = timedelta(seconds=15)

    @classmethod
    def across(cls, table: Mapping[str, Any]) -> str | None:
        if not table.get("from") and not table.get("messaging_service_sid"):
            return 'has no sender (add from = "+18595550100" or messaging_service_sid = "MG…")'
        if table.get("from") and table.get("messaging_service_sid"):
            return "has two senders (keep either from or messaging_service_sid)"
        return None

    @property
    def speaks_to_twilio(self) -> bool:
        """False for a gateway of another address."""
        return (urlsplit(self.api_url).hostname or "").endswith("twilio.com")


class FurtherAccount(SmsAccount):
    """A further account: texts go by it while those before are down."""

    name: RouteName = Field(examples=['"backup"'])


class StaffSmsSettings(SmsAccount):
    """The account that staff alerts go by."""

    name: RouteName = "staff"


class SmsSettings(SmsAccount):
    """The first account, and the further ones in their order.

    `allowed_countries` is never empty after `load_config`: texts go to no other country.
    """

    name: RouteName = "main"
    allowed_countries: tuple[Region, ...] = ()
    price_per_segment: Rate = 0
    """What one segment costs, for the preview; 0: no cost is shown."""
    currency: Annotated[str, AfterValidator(_currency)] = "USD"
    accounts: tuple[FurtherAccount, ...] = ()
