"""How staff come in: who needs a second factor, how long a session holds."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from outagecast.settings_base import Settings
from outagecast.settings_types import PositiveDuration, one_of

ROLE_WORDS = ("viewer", "operator", "approver", "admin")


class StaffSettings(Settings):
    """`require_totp` names the roles that do nothing before their authenticator app is set up.

    A session ends `idle` after it was last used and `longest` after it began; links to join hold `invitation`.
    """

    require_totp: Annotated[frozenset[str], one_of(ROLE_WORDS)] = frozenset()
    idle: PositiveDuration = timedelta(minutes=30)
    longest: PositiveDuration = timedelta(hours=12)
    invitation: PositiveDuration = timedelta(days=3)

    @classmethod
    def across(cls, table: Mapping[str, Any]) -> str | None:
        idle, longest = table.get("idle"), table.get("longest")
        if isinstance(idle, timedelta) and isinstance(longest, timedelta) and idle > longest:
            return "idle is longer than longest (a session would never be idle so long: make idle the shorter one)"
        return None
