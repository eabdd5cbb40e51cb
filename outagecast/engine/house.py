"""What all verbs share: the database, the clock, the settings they decide by, and whom to wake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outagecast.domain.cadence import Cadence
from outagecast.domain.message import ChannelName
from outagecast.domain.need import NeedRules
from outagecast.domain.recipients import Wishes, levels
from outagecast.domain.throttle import wave_time
from outagecast.engine.changes import Changes
from outagecast.engine.flow import UNLIMITED, Flow
from outagecast.engine.settings import (
    CadenceSettings,
    ContactDefaults,
    DefaultsSettings,
    DeliverySettings,
    NoticesSettings,
    SafetySettings,
    StaffAlertSettings,
)
from outagecast.storage.engine import Database

__all__ = ["REACTION", "UNLIMITED", "House"]

REACTION = timedelta(seconds=2)
"""What passes at the most between a due time and the first message on the wire: the ticker's second, and planning."""


@dataclass(frozen=True, kw_only=True)
class House:
    """Handed to every room of the engine by app.py."""

    db: Database
    clock: Callable[[], datetime]
    cadences: Mapping[str, CadenceSettings]
    delivery: DeliverySettings
    notices: NoticesSettings
    safety: SafetySettings
    defaults: DefaultsSettings
    staff_alerts: tuple[StaffAlertSettings, ...]
    public_host: str
    provider_zone: str
    provider_language: str
    channels: tuple[ChannelName, ...]
    rates: Mapping[ChannelName, float]
    """Messages a second by channel as configured, 0 = no limit."""
    changes: Changes
    speed: float = 1.0
    """How fast the clock runs (`--speed`); time-outs and leases are stretched by it so that they stay as long as
    they are.
    """
    flow: Flow = field(default_factory=Flow)
    """What gets out at present; where nobody has measured it, what `rates` say."""
    need: NeedRules = field(default_factory=NeedRules)
    """Who is written to first where the rate is the limit."""
    staff_only: tuple[ChannelName, ...] = ()
    """Channels of which there is only a route for staff alerts."""
    _wishes: dict[str, Wishes] = field(default_factory=dict)

    def cadence(self, severity: str) -> Cadence:
        settings = self.cadences[severity]
        return Cadence(
            update_every=settings.update_every,
            remind_before=settings.remind_before,
            holding_notices=settings.holding_notices,
            hold_slow=settings.hold_slow,
        )

    def stretch(self, real: timedelta) -> timedelta:
        """A duration of real time on the house's clock."""
        return real * self.speed

    def default_wishes(self, tier: str) -> Wishes:
        """What an empty cell of a contact means for a customer of this tier."""
        found = self._wishes.get(tier)
        if found is None:
            found = self._wishes[tier] = _as_wishes(self.defaults.for_tier(tier))
        return found

    def wave(self, messages: Mapping[str, int]) -> timedelta:
        """How long a wave of so many messages by channel takes: the slowest channel's time, and the reaction."""
        times = [wave_time(count, self.rate(ChannelName(channel))) for channel, count in messages.items()]
        return self.stretch(max(times, default=timedelta(0)) + REACTION)

    def rate(self, channel: ChannelName) -> float:
        """Messages a second to reckon with, never 0."""
        return self.flow.present.get(channel) or self.rates.get(channel) or UNLIMITED[channel]


def _as_wishes(settings: ContactDefaults) -> Wishes:
    return Wishes(
        notify=levels(settings.notify),
        channels=frozenset(ChannelName(word) for word in settings.channels),
        quiet_hours=settings.quiet_hours,
        wake_for=levels(settings.wake_for),
    )
