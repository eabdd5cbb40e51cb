"""Who speaks in every message, and in which words."""

from zoneinfo import ZoneInfo

from pydantic import Field

from outagecast.settings_base import Settings
from outagecast.settings_types import DisplayPhone, Email, Language, Line, Region, Url, Zone


class ProviderSettings(Settings):
    """The provider. `public_url` and `region` are filled by `load_config` where the file leaves them out."""

    name: Line = Field(min_length=1, max_length=60, examples=['"Bluegrass Fiber"'])
    sms_name: Line = Field(default="", max_length=40)
    """The name in texts where it is another (a registered brand); empty: `name`."""
    public_url: Url = "http://127.0.0.1:8080"
    support_phone: DisplayPhone = ""
    support_email: Email = ""
    timezone: Zone = "UTC"
    language: Language = "en"
    region: Region = ""
    """Where phone numbers without a country's code belong; empty where nothing in the settings tells it."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)
