"""When to speak, how hard to try, what an empty cell means, and the brakes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from outagecast.domain.notices import NoticeKind
from outagecast.settings_base import Settings
from outagecast.settings_types import (
    Count,
    Duration,
    Durations,
    Email,
    OptionalFolder,
    OptionalHours,
    Phone,
    PositiveDuration,
    one_of,
)

NOTICE_KINDS = tuple(kind.value for kind in NoticeKind)
NOTIFY_WORDS = ("outage", "degraded", "reduced_redundancy", "maintenance")
WAKE_WORDS = ("outage", "degraded", "reduced_redundancy")
CHANNEL_WORDS = ("email", "sms")
ALERT_WORDS = ("promise", "eta", "escalation", "failure")
_MINUTE = timedelta(minutes=1)


def _all_kinds(value: object) -> object:
    return frozenset(NOTICE_KINDS) if value == "all" else value


class CadenceSettings(Settings):
    """One severity's rhythm. `sms_kinds` are the notice kinds that go out by SMS as well."""

    update_every: Durations = (60 * _MINUTE,)
    remind_before: Duration = 10 * _MINUTE
    holding_notices: Count = 4
    hold_slow: PositiveDuration = timedelta(hours=4)
    undo_for: Duration = timedelta(seconds=30)
    sms_kinds: Annotated[frozenset[str], one_of(NOTICE_KINDS), BeforeValidator(_all_kinds)] = frozenset(NOTICE_KINDS)


class CriticalCadence(CadenceSettings):
    update_every: Durations = (30 * _MINUTE,)


class MinorCadence(CadenceSettings):
    update_every: Durations = (120 * _MINUTE,)


class CadenceTables(Settings):
    """Each severity has its own defaults, so that one key can be set alone."""

    critical: CriticalCadence = CriticalCadence()
    major: CadenceSettings = CadenceSettings()
    minor: MinorCadence = MinorCadence()


class DeliverySettings(Settings):
    """How one delivery is tried. `retry_after` goes from try to try, the last repeats; each is spread by chance."""

    on_ambiguous: Literal["retry_once", "hold"] = "retry_once"
    ambiguous_retry_after: Duration = 10 * _MINUTE
    reconcile_after: Durations = (timedelta(seconds=30), 2 * _MINUTE)
    lease: PositiveDuration = timedelta(seconds=120)
    retry_after: Durations = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, 60 * _MINUTE)
    probe_after: PositiveDuration = timedelta(seconds=30)
    """How often a route that is down as a whole is tried again."""
    fail_over_after: Duration = timedelta(seconds=20)
    """How long every route before it must have been down until the next one takes the messages."""
    give_up_after: PositiveDuration = timedelta(days=1)
    """From when a message was due; an acknowledgement is tried as long as its outage is open."""


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip().casefold() for word in words)


class NeedSettings(Settings):
    """Who is written to first where the rate is the limit. `voice`: words in the name of a telephone service."""

    tiers: tuple[str, ...] = ("gold",)
    voice: Annotated[tuple[str, ...], AfterValidator(_lower)] = ("voice", "phone", "telephone", "voip")


class NoticesSettings(Settings):
    """`late_acknowledgement`: what an address hears that the end reached before its acknowledgement."""

    late_acknowledgement: Literal["combined", "none"] = "combined"
    templates: OptionalFolder = None
    """A folder whose files take the place of ours, None without."""


class ContactDefaults(Settings):
    """What a contact's empty cells mean."""

    notify: Annotated[frozenset[str], one_of(NOTIFY_WORDS)] = frozenset({"outage", "degraded", "maintenance"})
    channels: Annotated[frozenset[str], one_of(CHANNEL_WORDS)] = frozenset(CHANNEL_WORDS)
    quiet_hours: OptionalHours = None
    wake_for: Annotated[frozenset[str], one_of(WAKE_WORDS)] = frozenset()


class DefaultsSettings(ContactDefaults):
    """The keys of `[defaults]` itself, and one sub-table for each tier that differs."""

    model_config = ConfigDict(extra="allow")
    sub_tables = ContactDefaults
    __pydantic_extra__: dict[str, ContactDefaults] = Field(init=False)

    def for_tier(self, tier: str) -> ContactDefaults:
        """What holds for a customer of this tier: its own keys over the general ones; an unknown tier has none."""
        own = (self.__pydantic_extra__ or {}).get(tier)
        general = {name: getattr(self, name) for name in ContactDefaults.model_fields}
        return ContactDefaults(**general | ({name: getattr(own, name) for name in own.model_fields_set} if own else {}))


def _link_host(text: str) -> str:
    plain = text.strip().lower()
    if not plain or any(char in plain for char in "/:@ "):
        raise ValueError(f'"{text}" is not a host name (write "example.net", without https://)')
    return plain


class SafetySettings(Settings):
    """The brakes on every door; 0 is off. `link_hosts` come besides the provider's own.

    `approve_by`: what releases more than `approve_above` customers: a second person with the approver's role, or
    whoever types how many customers it reaches.
    """

    approve_above: Count = 0
    approve_by: Literal["second_person", "typed_number"] = "second_person"
    customers_per_hour: Count = 0
    sms_per_day: Count = 0
    link_hosts: tuple[Annotated[str, AfterValidator(_link_host)], ...] = ()


class StaffAlertSettings(Settings):
    """One place where reminders and alarms go. `hours` are the provider's clock; None is always."""

    email: Email = ""
    phone: Phone = ""
    when: Annotated[frozenset[str], one_of(ALERT_WORDS)] = Field(default=frozenset(ALERT_WORDS))
    hours: OptionalHours = None

    @classmethod
    def across(cls, table: Mapping[str, Any]) -> str | None:
        if not table.get("email") and not table.get("phone"):
            return 'goes nowhere (add email = "noc@example.net" or phone = "+18595550111")'
        return None
