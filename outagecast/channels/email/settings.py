"""The mail servers that take our messages, in order, and who they are from."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, model_validator

from outagecast.settings_base import Settings
from outagecast.settings_types import (
    Email,
    Host,
    OptionalFile,
    OptionalHost,
    Port,
    PositiveDuration,
    Rate,
    RouteName,
    Secret,
)

_ADDRESS: TypeAdapter[str] = TypeAdapter(Email)
_MEND = 'write "Bluegrass Fiber <status@example.net>"'


def split_sender(text: str) -> tuple[str, str]:
    """`Name <address>` or a bare address as (name, address); ValueError with the mend."""
    found = re.fullmatch(r"\s*(?:\"?([^<>\"]*?)\"?\s*<([^<>]+)>|([^<>\s]+))\s*", text)
    if found is None or re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(f"is not a sender ({_MEND})")
    name, inner, bare = found.groups()
    try:
        return name or "", _ADDRESS.validate_python(inner or bare)
    except ValueError:
        raise ValueError(f"has no valid address ({_MEND})") from None


def _sender(text: str) -> str:
    name, address = split_sender(text)
    return f"{name} <{address}>" if name else address


def _optional_sender(text: str) -> str:
    return _sender(text) if text else text


class MailServer(Settings):
    """One mail server. `timeout` bounds each wait for it but that after the final dot."""

    host: Host = "127.0.0.1"
    port: Port = 25
    security: Literal["none", "starttls", "tls"] = "none"
    username: str = ""
    password: Secret = SecretStr("")
    connections: int = Field(default=10, strict=True, ge=1, le=200)
    rate_per_second: Rate = 0
    timeout: PositiveDuration = timedelta(seconds=60)
    helo: OptionalHost = ""
    """The name we greet with; empty: this machine's."""
    ca_file: OptionalFile = None
    """Certificates to trust besides the system's, for a mail server with a private authority."""

    @model_validator(mode="before")
    @classmethod
    def _unused_password(cls, data: Any) -> Any:
        # The shipped example names a password's variable beside an empty username: without a login it need not be set.
        if isinstance(data, dict) and data.get("username") == "":
            return {key: value for key, value in data.items() if key != "password"}
        return data

    @classmethod
    def across(cls, table: Mapping[str, Any]) -> str | None:
        # A secret that is looked up elsewhere counts as given: whether it is there is the field's own matter.
        username, password = table.get("username"), table.get("password")
        if username and not password:
            return "has a username but no password (add password, or leave username empty)"
        if password and username is None:
            return "has a password but no username (add username)"
        return None


class RelaySettings(MailServer):
    """A further mail server: its messages go by it while those before are down. `sender` is `from` in the file, empty:
    that of `[email]`.
    """

    name: RouteName = Field(examples=['"backup"'])
    host: Host = Field(examples=['"mail.example.com"'])
    sender: Annotated[str, AfterValidator(_optional_sender)] = Field(default="", validation_alias="from")


class StaffMailSettings(MailServer):
    """The mail server that staff alerts go by. `sender` is `from` in the file, empty: that of `[email]`."""

    name: RouteName = "staff"
    host: Host = Field(examples=['"mail.example.com"'])
    sender: Annotated[str, AfterValidator(_optional_sender)] = Field(default="", validation_alias="from")


class EmailSettings(MailServer):
    """The first mail server, and the further ones in their order. `sender` is `from` in the file."""

    name: RouteName = "main"
    sender: Annotated[str, AfterValidator(_sender)] = Field(
        validation_alias="from", examples=['"Bluegrass Fiber <status@example.net>"']
    )
    relays: tuple[RelaySettings, ...] = ()

    @property
    def sender_name(self) -> str:
        return split_sender(self.sender)[0]

    @property
    def sender_address(self) -> str:
        return split_sender(self.sender)[1]
