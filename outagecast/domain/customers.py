"""What customers and their contacts write about themselves, normalised once: addresses, language, zone and wishes.

Every function takes a trimmed text that is not empty and gives its one canonical form; ValueError says what is wrong,
as a clause that follows the text itself ("is not a phone number …").
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

import email_validator
import phonenumbers

from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName


class CustomerStatus(StrEnum):
    """Of customers, contacts, circuits and whatever else the inventory holds: `ended` is gone, but its past stays."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class ToldVia(StrEnum):
    """Who hears for a customer who has a parent (a reseller): rule 10."""

    SELF = "self"
    PARENT = "parent"
    BOTH = "both"


CHANNEL_WORDS = tuple(channel.value for channel in ChannelName)
WAKE_WORDS = tuple(level.word for level in (Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY))
NOTIFY_WORDS = (*WAKE_WORDS, "maintenance")
_NUMBER_MEND = "write it with + and the country's code, like +1 859 555 0100"
_CODES = (
    "aaabaeafakamanarasavayazbabebgbhbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfofrfygagdgl"
    "gngugvhahehihohrhthuhyhziaidieigiiikioisitiujajvkakgkikjkkklkmknkokrkskukvkwkylalblglilnloltlulvmgmhmimk"
    "mlmnmrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplpsptqurmrnrorurwsascsdsesgshsiskslsmsnsosqsrssstsusvsw"
    "tatetgthtitktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu"
)
_LANGUAGES = frozenset(_CODES[at : at + 2] for at in range(0, len(_CODES), 2))
"""ISO 639-1; languages of three letters are taken by their shape."""


def phone(text: str, region: str | None) -> str:
    """A number as E.164; `region` (`US`) is where one without a country code is dialled.

    Possible numbers are taken, not only assigned ones: numbering plans grow faster than the tables.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise ValueError(f"is not a phone number ({_NUMBER_MEND})") from None
    if number.extension:
        raise ValueError("has an extension, which no text message reaches (give a direct number)")
    if not phonenumbers.is_possible_number(number):
        raise ValueError(f"has too few or too many digits for a phone number ({_NUMBER_MEND})")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str:
    """An address in lower case, its domain in ASCII. Nobody is asked whether it exists.

    The local part is lowered too, against the letter of RFC 5321 2.4: no mail system in use tells `Bob` from `bob`, and
    whoever opted out as the one must not be written to as the other.
    """
    try:
        found = email_validator.validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except email_validator.EmailNotValidError as error:
        raise ValueError(f"is not an e-mail address: {str(error).rstrip('.')}") from None
    return (found.ascii_email or found.normalized).lower()


def language(text: str) -> str:
    """A language tag in BCP 47's spelling: `en`, `pt-BR`, `zh-Hant`."""
    first, *rest = text.replace("_", "-").split("-")
    known = first.lower() in _LANGUAGES or re.fullmatch(r"[A-Za-z]{3}", first)
    if not known or not all(re.fullmatch(r"[A-Za-z]{2}|[A-Za-z]{4}|[0-9]{3}", part) for part in rest):
        raise ValueError('is not a language (write its letters, like "en" or "pt-BR")')
    return "-".join([first.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])


def zone(text: str) -> str:
    """An IANA time zone."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError('is not a time zone (write one like "America/New_York")') from None
    return text


def quiet_hours(text: str) -> str:
    """`22:00-07:00`: from, until, by the contact's clock."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})", text, re.ASCII)  # noqa: RUF001
    try:
        if found is None:
            raise ValueError
        hour, minute, until_hour, until_minute = (int(part) for part in found.groups())
        start, end = time(hour, minute), time(until_hour, until_minute)
    except ValueError:
        raise ValueError('are not hours (write "22:00-07:00")') from None
    if start == end:
        raise ValueError('begin when they end (write "22:00-07:00", or nothing for none)')
    return f"{start:%H:%M}-{end:%H:%M}"


def words(text: str, known: Sequence[str]) -> str:
    """Some of the known words, with blanks or commas between, in the order in which they are known."""
    said = set(re.split(r"[\s,;]+", text.lower())) - {""}
    unknown = sorted(said - set(known))
    if unknown:
        raise ValueError(f"does not know {', '.join(unknown)} (use {' '.join(known)})")
    return " ".join(word for word in known if word in said)


def moment(text: str) -> datetime:
    """An RFC 3339 time; a date alone is its midnight, and one without an offset is meant in UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError('is not a time (write it like "2026-05-01T09:30:00Z" or "2026-05-01")') from None
