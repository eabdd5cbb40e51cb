"""The types of settings: durations, secrets, addresses, places; each with the words for what is wrong with it."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from outagecast.domain.customers import email, language, phone, quiet_hours, zone
from outagecast.domain.duration import parse_duration
from outagecast.settings_base import Surroundings

Hours = tuple[time, time]
"""From, until, in the clock of whoever they belong to; until is earlier than from where they span midnight."""


def parse_hours(text: str) -> Hours | None:
    """`"22:00-07:00"` as two clock times; None for an empty text."""
    if not text.strip():
        return None
    start, _, end = quiet_hours(text.strip()).partition("-")
    return time.fromisoformat(start), time.fromisoformat(end)


def one_of(words: tuple[str, ...]) -> Any:
    """A validator for a set of words, written as `"outage degraded"` or as a list."""

    def check(value: object) -> object:
        parts = value.split() if isinstance(value, str) else value
        if not isinstance(parts, list | tuple | set | frozenset) or not all(isinstance(part, str) for part in parts):
            raise ValueError(f'is not a list of words (write "{words[0]} {words[1]}")')
        unknown = sorted(set(parts) - set(words))
        if unknown:
            raise ValueError(f"does not know {', '.join(map(_quoted, unknown))} (use {', '.join(words)})")
        return frozenset(parts)

    return BeforeValidator(check)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError('is not a duration (write it in quotes with its unit, like "30m")')
    return parse_duration(value)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError('must be longer than nothing (write at least "1s")')
    return value


def _durations(value: object) -> object:
    parts = value if isinstance(value, list | tuple) else (value,)
    if not parts:
        raise ValueError('is empty (write at least one, like ["30m"])')
    return tuple(_duration(part) for part in parts)


def _all_positive(values: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    return tuple(_positive(value) for value in values)


def _hours(value: object) -> object:
    if isinstance(value, str):
        return parse_hours(value)
    if value is None or isinstance(value, tuple):
        return value
    raise ValueError('are not hours (write "22:00-07:00")')


def _secret(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Mapping):
        if info.context is None:
            raise ValueError("cannot be looked up here (give the secret itself)")
        surroundings: Surroundings = info.context
        return SecretStr(surroundings.secret(value))
    if not isinstance(value, str | SecretStr):
        raise ValueError('is not a secret (write { env = "NAME" }, { file = "PATH" } or a text)')
    return value


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError('is empty (write { env = "NAME" }, { file = "PATH" } or the secret itself)')
    return value


def _path(value: object, info: ValidationInfo) -> object:
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError("is not a path (write it in quotes)")
    if not value:
        return None
    return info.context.path(value) if info.context is not None else Path(value)


def _folder(value: Path | None) -> Path | None:
    if value is not None and not value.is_dir():
        raise ValueError(f'is not a folder: {value} (make it, or leave "")')
    return value


def _file(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        raise ValueError(f'is not a file: {value} (put it there, or leave "")')
    return value


def _email(text: str) -> str:
    return email(text.strip()) if text.strip() else ""


def _display_phone(text: str) -> str:
    if text.strip():
        # An extension is fine where people call.
        phone(re.sub(r"\s*(?:x|ext\.?|;ext=)\s*\d+\s*$", "", text), None)
    return _one_line(text)


def to_e164(text: str) -> str:
    """The number as `+18595550100`; ValueError with the mend if it is none."""
    return phone(text, None)


def region_of(number: str) -> str | None:
    """The two-letter region of an international number, None where it is none or belongs to no country."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    # A number may be possible without being assigned (+1 859 555 0100): then its code's main region has to do.
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    return region if region in phonenumbers.SUPPORTED_REGIONS else None


def _e164(text: str) -> str:
    return to_e164(text) if text else text


def _region(text: str) -> str:
    upper = text.strip().upper()
    if upper and upper not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError('is not a country (write its two letters, like "US")')
    return upper


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a web address (write https://host or http://host:port)") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise ValueError("is not a web address (write https://host or http://host:port)")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("holds more than host, port and path (leave out ?, # and user@)")
    return text.rstrip("/")


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", text):
        raise ValueError('is not a host (write a name or an address, like "127.0.0.1")')
    return text


def _optional_host(text: str) -> str:
    return _host(text) if text else text


def _network(value: object) -> object:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        if not isinstance(value, str):
            raise ValueError
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(f'"{value}" is not an address or network (write "10.0.0.5" or "10.0.0.0/24")') from None


def _route_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", text):
        raise ValueError('is not a name for a way out (use letters, digits, ".", "-" and "_", like "backup")')
    return text


def _one_line(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ValueError("holds a line break or control character (write one line)")
    return text.strip()


Line = Annotated[str, AfterValidator(_one_line)]
"""One line of text, trimmed."""
Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""`"30m"`; `"0s"` is allowed."""
PositiveDuration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
Durations = Annotated[tuple[timedelta, ...], BeforeValidator(_durations), AfterValidator(_all_positive)]
"""`"30m"` or `["15m", "30m", "1h"]`: at least one, each longer than nothing."""
OptionalHours = Annotated[Hours | None, BeforeValidator(_hours)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
FilledSecret = Annotated[SecretStr, BeforeValidator(_secret), AfterValidator(_filled)]
OptionalFolder = Annotated[Path | None, BeforeValidator(_path), AfterValidator(_folder)]
OptionalFile = Annotated[Path | None, BeforeValidator(_path), AfterValidator(_file)]
Email = Annotated[str, AfterValidator(_email)]
"""An address, or empty."""
DisplayPhone = Annotated[str, AfterValidator(_display_phone)]
"""An international number as its owner writes it, or empty."""
Phone = Annotated[str, AfterValidator(_e164)]
"""E.164, or empty."""
Region = Annotated[str, AfterValidator(_region)]
Zone = Annotated[str, AfterValidator(zone)]
Language = Annotated[str, AfterValidator(language)]
Url = Annotated[str, AfterValidator(_url)]
"""http or https, host, port, path; without the last slash."""
Host = Annotated[str, AfterValidator(_host)]
OptionalHost = Annotated[str, AfterValidator(_optional_host)]
RouteName = Annotated[str, AfterValidator(_route_name)]
"""What a way out is called on the desk, in metrics and with each attempt."""
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network)]
Count = Annotated[int, Field(strict=True, ge=0)]
Rate = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
"""Per second; 0 is no limit."""
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
