"""Who speaks in every message, and where its links lead."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """The provider as messages name it. `zone` and `language` serve readers who have none of their own.

    `sms_name` is the name in texts, where it differs (a registered brand), else empty. `phone`, `email` may be empty.
    """

    name: str
    url: str
    phone: str
    email: str
    zone: str
    language: str
    sms_name: str = ""


class LinkMaker(Protocol):
    """Makes the links of one address, on the provider's own domain; each token has at most 22 characters."""

    def my(self, address_ref: int) -> str:
        """The address's own page: how it stands, what it is sent."""
        ...

    def unsubscribe(self, address_ref: int) -> str:
        """The address for the one-click POST of RFC 8058."""
        ...
