"""How long personal data are kept, by class."""

from datetime import timedelta

from outagecast.settings_base import Settings
from outagecast.settings_types import PositiveDuration

_DAY = timedelta(days=1)


class RetentionSettings(Settings):
    """`events`: what monitors said, word for word. `words`: who was told what, notes, the providers' answers; counted
    from an outage's end. `contacts`: names and addresses, after a contact or its customer has ended. `sessions`:
    sign-ins that are over, links that were used, keys of requests. What belongs to an open outage is kept.
    """

    events: PositiveDuration = 30 * _DAY
    words: PositiveDuration = 395 * _DAY
    contacts: PositiveDuration = 90 * _DAY
    sessions: PositiveDuration = 30 * _DAY
