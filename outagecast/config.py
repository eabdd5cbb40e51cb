"""The settings file: all rooms' tables gathered into one `Config`, every mistake told at once.

Beside `app.py` the only place that reads settings, environment and secret files.
"""

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError

from outagecast.channels.email.settings import EmailSettings, MailServer, StaffMailSettings
from outagecast.channels.sms.settings import SmsAccount, SmsSettings, StaffSmsSettings
from outagecast.engine.retention_settings import RetentionSettings
from outagecast.engine.settings import (
    CadenceSettings,
    CadenceTables,
    DefaultsSettings,
    DeliverySettings,
    NeedSettings,
    NoticesSettings,
    SafetySettings,
    StaffAlertSettings,
)
from outagecast.engine.staff_settings import StaffSettings
from outagecast.importers.settings import ImportSettings
from outagecast.monitors.settings import MonitorSettings
from outagecast.rendering.settings import ProviderSettings
from outagecast.settings_base import Settings
from outagecast.settings_errors import Loc, line_of, lines_of, mistakes, mistakes_across, spell
from outagecast.settings_types import region_of
from outagecast.storage.settings import DatabaseSettings
from outagecast.web.settings import OidcSettings, ServerSettings

_LARGEST_SECRET = 65536
"""Bytes of a secret's file: a slip of the path must not read a disk image."""


class ConfigErrors(Exception):
    """The settings cannot be used: `lines` are ready to print, each `file:line: section.key: reason (mend)`."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class StaffRouteSettings(Settings):
    """Ways out of the staff's own, so that their alerts arrive while the customers' are down."""

    email: StaffMailSettings | None = None
    sms: StaffSmsSettings | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a start needs. `warnings` are lines like those of ConfigErrors that forbid nothing."""

    provider: ProviderSettings
    server: ServerSettings
    database: DatabaseSettings
    email: EmailSettings | None
    sms: SmsSettings | None
    cadence: Mapping[str, CadenceSettings]
    """By severity: critical, major, minor."""
    delivery: DeliverySettings
    need: NeedSettings
    notices: NoticesSettings
    defaults: DefaultsSettings
    safety: SafetySettings
    staff_alerts: tuple[StaffAlertSettings, ...]
    staff_route: StaffRouteSettings
    monitors: tuple[MonitorSettings, ...]
    imports: Mapping[str, Mapping[str, str]]
    """By file (`customers`): our columns that it calls otherwise, and how."""
    staff: StaffSettings
    oidc: OidcSettings | None
    retention: RetentionSettings
    folder: Path
    warnings: tuple[str, ...] = ()


class ConfigFile(Settings):
    """The file itself: one field a table."""

    provider: ProviderSettings
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings
    email: EmailSettings | None = None
    sms: SmsSettings | None = None
    cadence: CadenceTables = CadenceTables()
    delivery: DeliverySettings = DeliverySettings()
    need: NeedSettings = NeedSettings()
    notices: NoticesSettings = NoticesSettings()
    defaults: DefaultsSettings = DefaultsSettings()
    safety: SafetySettings = SafetySettings()
    staff: StaffSettings = StaffSettings()
    retention: RetentionSettings = RetentionSettings()
    oidc: OidcSettings | None = None
    staff_alerts: tuple[StaffAlertSettings, ...] = ()
    staff_route: StaffRouteSettings = StaffRouteSettings()
    monitors: tuple[MonitorSettings, ...] = ()
    imports: ImportSettings = Field(default=ImportSettings(), validation_alias="import")


def load_config(path: Path, *, environ: Mapping[str, str]) -> Config:
    """The settings of a file; ConfigErrors with every mistake in it, or with why it cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        readable = bool(path.stat().st_mode & stat.S_IROTH)
    except FileNotFoundError:
        raise ConfigErrors([f"{path}: there is no such file (copy config.example.toml there and edit it)"]) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigErrors([f"{path}:{line}: is not UTF-8 text (save the file as UTF-8)"]) from None
    except OSError as error:
        raise ConfigErrors([f"{path}: cannot be read: {error.strerror} (check its path and permissions)"]) from None
    return parse_config(text, name=str(path), folder=path.parent, environ=environ, readable_by_others=readable)


def parse_config(
    text: str, *, name: str, folder: Path, environ: Mapping[str, str], readable_by_others: bool = False
) -> Config:
    """The settings of a text. `name` stands in front of each mistake; relative paths are seen from `folder`."""
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors([f"{name}:{_syntax(str(error), text)}"]) from None
    surroundings = _Surroundings(folder=folder.absolute(), environ=environ)
    found = [*mistakes_across(data, ConfigFile), *_doubled_names(data)]
    try:
        file = ConfigFile.model_validate(_completed(data), context=surroundings, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigErrors(_ready(name, text, [*mistakes(error, ConfigFile), *found])) from None
    found += _last_checks(file)
    if found:
        raise ConfigErrors(_ready(name, text, found))
    warned = [*_warnings(file, data), *(_open_secrets(file, data, name) if readable_by_others else ())]
    return _config(file, folder.absolute(), (*_ready(name, text, warned), *surroundings.warnings))


@dataclass(frozen=True, kw_only=True)
class _Surroundings:
    """Looks up what the file points at; collects warnings about files of secrets on the way."""

    folder: Path
    environ: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    def path(self, text: str) -> Path:
        return self.folder / text

    def secret(self, source: Mapping[str, object]) -> str:
        match dict(source):
            case {"env": str(name), **rest} if not rest:
                return self._variable(name)
            case {"file": str(name), **rest} if not rest:
                return self._file(name)
            case _:
                raise ValueError('is not a secret (write { env = "NAME" }, { file = "PATH" } or a text)')

    def _variable(self, name: str) -> str:
        value = self.environ.get(name, "")
        if not value:
            raise ValueError(f"needs the environment variable {name}, which is not set (set it before the start)")
        return value

    def _file(self, name: str) -> str:
        credentials = Path(self.environ.get("CREDENTIALS_DIRECTORY") or self.folder) / name
        path = credentials if credentials.exists() else self.folder / name
        try:
            with path.open("rb") as file:
                value = file.read(_LARGEST_SECRET + 1).decode().rstrip("\r\n")
                readable = path.stat().st_mode & stat.S_IROTH
        except UnicodeDecodeError:
            raise ValueError(f"is not text: {path} (save the secret as UTF-8)") from None
        except OSError as error:
            raise ValueError(f"cannot be read from {path}: {error.strerror} (check the path and its owner)") from None
        if not value or len(value) > _LARGEST_SECRET:
            raise ValueError(f"is {'empty' if not value else 'too long'}: {path} (put the secret alone into the file)")
        if readable:
            self.warnings.append(f"{path}: others can read this secret (chmod 600 {path})")
        return value


def _ready(name: str, text: str, found: list[tuple[Loc, str]]) -> list[str]:
    if not found:
        return []
    lines = lines_of(text)
    placed = sorted({(line_of(loc, lines), spell(loc), reason) for loc, reason in found})
    return [
        f"{name}:{line}: {place}: {reason}" if place else f"{name}:{line}: {reason}" for line, place, reason in placed
    ]


def _syntax(message: str, text: str) -> str:
    """tomllib says `what (at line 3, column 5)` or `what (at end of document)`."""
    at = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    what = re.sub(r" \(at [^()]*\)$", "", message)
    line, column = (int(at[1]), f" at column {at[2]}") if at else (max(1, len(text.splitlines())), " at the end")
    if what == "Cannot overwrite a value":
        return f"{line}: a key is given twice{column} (keep one of them)"
    if what.startswith("Cannot declare"):
        return f"{line}: a table is given twice{column} (put its keys under one [table] line)"
    return f"{line}: is not TOML{column}: {what[:1].lower()}{what[1:]} (texts stand in quotes, tables are [name])"


def _completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without `public_url` links point at the server itself; an absent database table is validated as an empty one."""
    whole = {"database": {}, **data}
    provider, server = data.get("provider"), data.get("server", {})
    if isinstance(provider, dict) and "public_url" not in provider and isinstance(server, dict):
        host, port = server.get("host", "127.0.0.1"), server.get("port", 8080)
        shown = f"[{host}]" if isinstance(host, str) and ":" in host else host
        whole["provider"] = {**provider, "public_url": f"http://{shown}:{port}"}
    return whole


def _doubled_names(data: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    yield from _doubled_routes(data)
    monitors = data.get("monitors")
    names = [each.get("name") for each in monitors if isinstance(each, dict)] if isinstance(monitors, list) else []
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            yield ("monitors", index, "name"), f'is taken: another monitor is called "{name}" (give it its own name)'


def _doubled_routes(data: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """The ways out of a channel are told apart by their names; the first one's is "main" where it has none."""
    staff = data.get("staff_route")
    for channel, key, mend in (("email", "relays", "relay"), ("sms", "accounts", "account")):
        table = data.get(channel)
        table = table if isinstance(table, dict) else {}
        taken = [table.get("name", "main")] if table else []
        own = staff.get(channel) if isinstance(staff, dict) else None
        if isinstance(own, dict):
            name = own.get("name", "staff")
            if name in taken:
                reason = f'is taken: [{channel}] is called "{name}" (give it its own name)'
                yield ("staff_route", channel, "name"), reason
            taken.append(name)
        further = table.get(key)
        for index, each in enumerate(further if isinstance(further, list) else ()):
            name = each.get("name") if isinstance(each, dict) else None
            if isinstance(name, str) and name in taken:
                reason = f'is taken: another way out is called "{name}" (give each {mend} its own name)'
                yield (channel, key, index, "name"), reason
            taken.append(name)


def _last_checks(file: ConfigFile) -> Iterator[tuple[Loc, str]]:
    """What can only be seen once every value is known."""
    if file.staff_route.email and not file.staff_route.email.sender and file.email is None:
        reason = 'is missing: there is no [email] to take it from (add from = "Bluegrass Fiber <noc@example.net>")'
        yield ("staff_route", "email", "from"), reason
    tokens = [monitor.token.get_secret_value() for monitor in file.monitors]
    for index, token in enumerate(tokens):
        if token in tokens[:index]:
            first = file.monitors[tokens.index(token)].name
            # POST /v2/enqueue tells its monitor by the token alone.
            yield ("monitors", index, "token"), f'is the token of "{first}" as well (give each monitor its own)'
    if file.sms and not file.sms.allowed_countries and not _region(file):
        yield ("sms", "allowed_countries"), 'is missing (add allowed_countries = ["US"], the countries you text to)'


def _region(file: ConfigFile) -> str:
    """The provider's region: its own word, else the first country it texts to, else that of its phone numbers."""
    allowed = file.sms.allowed_countries if file.sms else ()
    sender = file.sms.sender if file.sms else ""
    candidates = (
        file.provider.region,
        *allowed[:1],
        region_of(file.provider.support_phone),
        region_of(sender),
    )
    return next((region for region in candidates if region), "")


def _warnings(file: ConfigFile, data: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    if "public_url" not in data["provider"]:
        url = file.provider.public_url
        yield ("provider", "public_url"), f"is missing: links in messages point to {url} (add public_url)"
    if file.email is None and file.sms is None:
        yield (), "neither [email] nor [sms]: no customer can be told (add one of them)"
    for loc, server in _mail_servers(file):
        if server.port == 465 and server.security != "tls":
            yield (*loc, "security"), 'port 465 speaks TLS from the first byte (write security = "tls")'
        if server.username and server.security == "none" and not _is_local(server.host):
            yield (*loc, "security"), 'the password travels in the clear (write security = "starttls" or "tls")'
    for loc, account in _sms_accounts(file):
        if account.speaks_to_twilio and not re.fullmatch(r"AC[0-9a-fA-F]{32}", account.account_sid):
            yield (*loc, "account_sid"), "does not look like Twilio's (AC and 32 hex digits, from its console)"
    yield from _same_way_twice(file)


def _same_way_twice(file: ConfigFile) -> Iterator[tuple[Loc, str]]:
    """A second way out that is the first one again helps nobody when that is down."""
    servers = [(server.host.lower(), server.port, loc) for loc, server in _mail_servers(file)]
    for index, (host, port, loc) in enumerate(servers):
        if (host, port) in [(h, p) for h, p, _ in servers[:index]]:
            yield (*loc, "host"), f"{host}:{port} is a way out already (name another mail server)"
    accounts = [((a.api_url, a.account_sid, a.sender, a.messaging_service_sid), loc) for loc, a in _sms_accounts(file)]
    for index, (account, loc) in enumerate(accounts):
        if account in [other for other, _ in accounts[:index]]:
            yield (*loc, "account_sid"), "is a way out already, with the same sender (name another account or sender)"


def _mail_servers(file: ConfigFile) -> Iterator[tuple[Loc, MailServer]]:
    if file.email:
        yield ("email",), file.email
        yield from ((("email", "relays", n), relay) for n, relay in enumerate(file.email.relays))
    if file.staff_route.email:
        yield ("staff_route", "email"), file.staff_route.email


def _sms_accounts(file: ConfigFile) -> Iterator[tuple[Loc, SmsAccount]]:
    if file.sms:
        yield ("sms",), file.sms
        yield from ((("sms", "accounts", n), account) for n, account in enumerate(file.sms.accounts))
    if file.staff_route.sms:
        yield ("staff_route", "sms"), file.staff_route.sms


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _open_secrets(file: ConfigFile, data: Mapping[str, Any], name: str) -> Iterator[tuple[Loc, str]]:
    for loc in _secrets(file, data, ()):
        yield loc, f"a secret that others can read (chmod 600 {name}, or use {{ env = … }} or {{ file = … }})"


def _secrets(value: object, raw: object, loc: Loc) -> Iterator[Loc]:
    """Where a filled secret stands in the file itself; the database's address is one only with a password in it."""
    if isinstance(value, SecretStr) and isinstance(raw, str) and raw:
        if loc != ("database", "url") or re.search(r"://[^/@]*:[^/@]+@", raw):
            yield loc
    elif isinstance(value, Settings) and isinstance(raw, dict):
        for key, field_name in type(value).file_names().items():
            if key in raw:
                yield from _secrets(getattr(value, field_name), raw[key], (*loc, key))
    elif isinstance(value, tuple) and isinstance(raw, list):
        for index, (inner, raw_inner) in enumerate(zip(value, raw, strict=False)):
            yield from _secrets(inner, raw_inner, (*loc, index))


def _config(file: ConfigFile, folder: Path, warnings: tuple[str, ...]) -> Config:
    region = _region(file)
    sms = file.sms
    if sms and not sms.allowed_countries:
        sms = sms.model_copy(update={"allowed_countries": (region,)})
    return Config(
        provider=file.provider.model_copy(update={"region": region}),
        server=file.server,
        database=file.database,
        email=file.email,
        sms=sms,
        cadence={"critical": file.cadence.critical, "major": file.cadence.major, "minor": file.cadence.minor},
        delivery=file.delivery,
        need=file.need,
        notices=file.notices,
        defaults=file.defaults,
        safety=file.safety,
        staff_alerts=file.staff_alerts,
        staff_route=file.staff_route,
        monitors=file.monitors,
        imports=file.imports.headers(),
        staff=file.staff,
        oidc=file.oidc,
        retention=file.retention,
        folder=folder,
        warnings=warnings,
    )
