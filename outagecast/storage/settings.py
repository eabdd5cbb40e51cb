"""Which database."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from outagecast.settings_base import Settings
from outagecast.settings_types import Secret

_SQLITE = "sqlite:///"
_MEND = "write sqlite:///outagecast.db or postgresql://user@host/name"


def _database_url(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """SQLite's path made absolute, seen from the settings file, so that the working directory does not matter."""
    url = value.get_secret_value()
    if url.startswith(_SQLITE):
        name = url.removeprefix(_SQLITE)
        if not name or name.startswith(":") or "?" in name:
            raise ValueError(f"names no file ({_MEND})")
        path = info.context.path(name) if info.context is not None else Path(name)
        return SecretStr(f"{_SQLITE}{path}")
    if not url.startswith("postgresql://"):
        raise ValueError(f"is not a database ({_MEND})")
    try:
        parts = urlsplit(url)
        host, several = parts.hostname, "," in parts.netloc.rpartition("@")[2]
    except ValueError:
        host, several = None, False
    if several:
        raise ValueError("names several hosts: write postgresql://user@/name?host=one:5432&host=two:5432")
    if not host and "host=" not in url:
        raise ValueError(f"names no host ({_MEND})")
    return value


class DatabaseSettings(Settings):
    """`url` may hold a password, so it is a secret; `shown` is for people."""

    url: Annotated[Secret, AfterValidator(_database_url)] = Field(
        default=SecretStr("sqlite:///outagecast.db"), validate_default=True
    )

    @property
    def sqlite_path(self) -> Path | None:
        """The file, None for other databases."""
        url = self.url.get_secret_value()
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    @property
    def shown(self) -> str:
        """The address without its password."""
        parts = urlsplit(self.url.get_secret_value())
        if parts.password is None:
            return self.url.get_secret_value().partition("?")[0]
        user, _, host = parts.netloc.rpartition("@")
        return urlunsplit((parts.scheme, f"{user.partition(':')[0]}:***@{host}", parts.path, "", ""))
