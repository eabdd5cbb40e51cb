"""The settings file: the example and the models agree, every mistake is told at once, no secret ever shows."""

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from outagecast.channels.email.settings import EmailSettings
from outagecast.config import Config, ConfigErrors, ConfigFile, load_config, parse_config
from outagecast.resources import example_config
from outagecast.settings_base import Settings
from outagecast.settings_errors import lines_of, model_at

GOLDEN = Path(__file__).parent / "golden" / "config"
EXAMPLE = example_config().read_text()
SECRETS = {"TWILIO_AUTH_TOKEN": "tw-geheim", "HOOK_TOKEN": "hook-geheim", "SMTP_PASSWORD": "smtp-geheim"}
SMALLEST = '[provider]\nname = "Bluegrass Fiber"\npublic_url = "https://status.example.net"\n'


def parsed(text: str, environ: Mapping[str, str] = MappingProxyType({}), folder: Path = Path("/nowhere")) -> Config:
    return parse_config(text, name="config.toml", folder=folder, environ=environ)


def mistakes_in(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        parsed(text, environ)
    return caught.value.lines


def with_examples_on(text: str) -> str:
    """The example with its `#key = …` and `#[table]` lines switched on."""
    return re.sub(r"^#(?=[\w\[])", "", text, flags=re.MULTILINE)


# The example and the models


def keys_of_example() -> set[str]:
    """Dotted keys; a list's tables and the free tier's name stand once."""

    def walk(value: object, path: str) -> Iterator[str]:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = value[0]
        if not isinstance(value, dict) or set(value) in ({"env"}, {"file"}):
            yield path
            return
        for key, inner in value.items():
            yield from walk(inner, f"{path}.{key}" if path else key)

    return set(walk(tomllib.loads(with_examples_on(EXAMPLE)), ""))


def keys_of_models() -> set[str]:
    def walk(model: type[Settings], path: tuple[str, ...]) -> Iterator[str]:
        for key in model.file_names():
            inner = model_at((*path, key), ConfigFile)
            if inner is None:
                yield ".".join((*path, key))
            else:
                yield from walk(inner, (*path, key))
        if model.sub_tables:
            yield from walk(model.sub_tables, (*path, "gold"))

    return set(walk(ConfigFile, ()))


def test_every_setting_stands_in_the_example() -> None:
    missing = {key for key in keys_of_models() - keys_of_example() if not key.startswith("import.")}
    assert missing == set()


def test_every_key_of_the_example_is_a_setting() -> None:
    assert keys_of_example() - keys_of_models() == set()


def test_every_import_file_is_named_in_the_example() -> None:
    for file in model_at(("import",), ConfigFile).file_names():  # type: ignore[union-attr]
        assert re.search(rf"\b{file}\b", EXAMPLE), file


def test_every_key_of_the_example_has_a_comment() -> None:
    lines = [line for line in EXAMPLE.splitlines() if re.match(r"\w+ = ", line)]
    commented = {line.split(" = ")[0] for line in lines if "  # " in line}
    bare = {line.split(" = ")[0] for line in lines} - commented
    assert bare == set()


def test_the_example_loads_as_it_is_and_with_its_examples_on() -> None:
    plain = parsed(EXAMPLE, SECRETS)
    assert plain.warnings == ()
    full = parsed(with_examples_on(EXAMPLE), SECRETS)
    assert full.imports["customers"] == {"id": "Account No", "name": "Account Name"}
    assert full.defaults.for_tier("gold").wake_for == {"outage"}


def test_the_example_shows_the_defaults() -> None:
    """What the comment calls "the value shown here", for the tables that nothing has to be said in."""
    shown, bare = parsed(EXAMPLE, SECRETS), parsed(SMALLEST)
    for table in ("server", "cadence", "delivery", "need", "notices", "defaults", "safety", "database"):
        assert getattr(shown, table) == getattr(bare, table), table
    for name, field in EmailSettings.model_fields.items():
        if not field.is_required():
            assert getattr(shown.email, name) == field.get_default(), name


# What a file means


def test_the_smallest_file() -> None:
    config = parsed(SMALLEST)
    assert config.email is None and config.sms is None
    assert {name: table.update_every for name, table in config.cadence.items()} == {
        "critical": (timedelta(minutes=30),),
        "major": (timedelta(minutes=60),),
        "minor": (timedelta(minutes=120),),
    }
    assert config.database.sqlite_path == Path("/nowhere/outagecast.db")
    assert config.warnings == ("config.toml:1: neither [email] nor [sms]: no customer can be told (add one of them)",)


def test_one_key_of_a_cadence_leaves_the_others() -> None:
    config = parsed(
        SMALLEST + '[cadence.critical]\nupdate_every = ["12s", "1h30m"]\n[cadence.minor]\nundo_for = "0s"\n'
    )
    assert config.cadence["critical"].update_every == (timedelta(seconds=12), timedelta(minutes=90))
    assert config.cadence["critical"].remind_before == timedelta(minutes=10)
    assert config.cadence["minor"].update_every == (timedelta(minutes=120),)
    assert config.cadence["minor"].undo_for == timedelta(0)


def test_the_kinds_that_go_by_sms() -> None:
    config = parsed(SMALLEST + '[cadence.major]\nsms_kinds = ["acknowledgement", "resolution"]\n')
    assert config.cadence["major"].sms_kinds == {"acknowledgement", "resolution"}
    assert "follow_up" in config.cadence["minor"].sms_kinds


def test_a_tier_overrides_only_what_it_names() -> None:
    config = parsed(
        SMALLEST + '[defaults]\nquiet_hours = "22:00-07:00"\nwake_for = "outage"\n[defaults.gold]\nquiet_hours = ""\n'
    )
    assert config.defaults.for_tier("silver").quiet_hours == (time(22), time(7))
    assert config.defaults.for_tier("gold").quiet_hours is None
    assert config.defaults.for_tier("gold").wake_for == {"outage"}
    assert config.defaults.for_tier("gold").notify == {"outage", "degraded", "maintenance"}


@pytest.mark.parametrize(
    ("extra", "region", "allowed"),
    [
        ('region = "de"\n[sms]\nallowed_countries = ["CH"]', "DE", ("CH",)),
        ('support_phone = "+44 20 7946 0000"\n[sms]', "GB", ("GB",)),
        ("[sms]", "US", ("US",)),
        ('[sms]\nallowed_countries = ["FR", "BE"]', "FR", ("FR", "BE")),
    ],
)
def test_the_region_is_found_where_it_is_not_given(extra: str, region: str, allowed: tuple[str, ...]) -> None:
    config = parsed(f'{SMALLEST}{extra}\naccount_sid = "AC1"\nauth_token = "t"\nfrom = "+1 859 555 0100"\n')
    assert config.sms is not None
    assert (config.provider.region, config.sms.allowed_countries, config.sms.sender) == (
        region,
        allowed,
        "+18595550100",
    )


def test_texts_to_nowhere_known_are_refused() -> None:
    text = SMALLEST + '[sms]\naccount_sid = "AC1"\nauth_token = "t"\nmessaging_service_sid = "MG1"\n'
    assert mistakes_in(text) == [
        'config.toml:4: sms.allowed_countries: is missing (add allowed_countries = ["US"], the countries you text to)'
    ]


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    text = SMALLEST + '[notices]\ntemplates = "words"\n[database]\nurl = "sqlite:///data/o.db"\n'
    config = parsed(text, folder=tmp_path)
    assert config.notices.templates == tmp_path / "words"
    assert config.database.url.get_secret_value() == f"sqlite:///{tmp_path}/data/o.db"
    assert parsed(SMALLEST + '[database]\nurl = "sqlite:////var/o.db"\n').database.sqlite_path == Path("/var/o.db")


def test_without_a_public_url_links_point_to_the_server() -> None:
    config = parsed('[provider]\nname = "B"\n[server]\nport = 8123\n[email]\nfrom = "noc@example.net"\n')
    assert config.provider.public_url == "http://127.0.0.1:8123"
    assert config.warnings == (
        "config.toml:1: provider.public_url: is missing: "
        "links in messages point to http://127.0.0.1:8123 (add public_url)",
    )


def test_the_sender_of_mails() -> None:
    email = parsed(SMALLEST + '[email]\nfrom = "Bluegrass, Inc. <Status@Example.net>"\n').email
    assert email is not None
    assert (email.sender_name, email.sender_address) == ("Bluegrass, Inc.", "status@example.net")


def test_monitors_take_one_place_or_several() -> None:
    text = '[[monitors]]\nname = "m"\nformat = "generic"\ntoken = "t"\nmap = { circuit = "a.b", site = ["c", "d"] }\n'
    (monitor,) = parsed(SMALLEST + text).monitors
    assert monitor.map.places().paths == {"circuit": ("a.b",), "site": ("c", "d")}


def test_a_file_with_bom_and_crlf_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert load_config(path, environ={}).provider.name == "Bluegrass Fiber"


# Mistakes


def test_every_kind_of_mistake_at_once() -> None:
    lines = mistakes_in((GOLDEN / "mistakes.toml").read_text())
    assert "\n".join(lines) + "\n" == (GOLDEN / "mistakes.txt").read_text()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "config.toml:1: provider: is missing (add a table [provider] with name)"),
        ("[server]\nport = 1\n", "config.toml:1: provider: is missing (add a table [provider] with name)"),
        ("[provider]\n\ntimezone = 'UTC'\n", 'config.toml:1: provider.name: is missing (add name = "Bluegrass Fiber")'),
        (SMALLEST + 'email = "x"\n', "config.toml:4: provider.email: unknown key (it belongs in [staff_alerts])"),
        ('email = "x"\n' + SMALLEST, "config.toml:1: email: must be a table (write its keys under a [table] line)"),
        (SMALLEST + "[monitors]\n", "config.toml:4: monitors: must be a list (write [[monitors]])"),
        (SMALLEST + "[server]\nport = 70000\n", "config.toml:5: server.port: is too large (write 65535 or less)"),
        (SMALLEST + "[email]\nfrom = 'noc'\n", None),
        (SMALLEST + "[sms]\naccount_sid='A'\nauth_token='t'\nfrom='1'\n", None),
        (SMALLEST + "[provider.x]\ny = 1\n", None),
    ],
)
def test_single_mistakes(text: str, line: str | None) -> None:
    lines = mistakes_in(text)
    assert len(lines) == 1
    assert line is None or lines == [line]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[provider\nname = 1\n", "config.toml:1: is not TOML at column 10: "),
        ("[provider]\nname = Bluegrass\n", "config.toml:2: is not TOML at column 8: "),
        ("[provider]\nname = 'a'\nname = 'b'\n", "config.toml:3: a key is given twice"),
        ("[provider]\nname = 'a'\n[server]\n[provider]\n", "config.toml:4: a table is given twice"),
        ("[provider]\nname = 'a'\nx = [1,\n", "config.toml:"),
    ],
)
def test_what_is_no_toml_says_where(text: str, start: str) -> None:
    (line,) = mistakes_in(text)
    assert line.startswith(start)
    assert re.fullmatch(r"config\.toml:\d+: [^\n]+\([^\n]+\)", line)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(ConfigErrors, match=r"config\.toml: there is no such file \(copy config\.example\.toml"):
        load_config(path, environ={})
    path.write_bytes(b"[provider]\nname = 'Bl\xfcgrass'\n")
    with pytest.raises(ConfigErrors, match=r"config\.toml:2: is not UTF-8 text"):
        load_config(path, environ={})
    with pytest.raises(ConfigErrors, match=r"cannot be read: Is a directory"):
        load_config(tmp_path, environ={})


def test_two_monitors_may_not_share_a_token() -> None:
    monitor = '[[monitors]]\nname = "{}"\nformat = "generic"\ntoken = {{ env = "{}" }}\n'
    text = SMALLEST + monitor.format("a", "A") + monitor.format("b", "B")
    assert mistakes_in(text, A="same-geheim", B="same-geheim") == [
        'config.toml:11: monitors[1].token: is the token of "a" as well (give each monitor its own)'
    ]


def test_lines_are_found_in_every_form_of_toml() -> None:
    text = 'a.b = 1\n\n# no\nlist = [\n  1, # one\n  2,\n]\nlong = """\n[x]\n"""\n'
    text += '[[t]]\nk = { in = 1 }\n[[t]]\n"q.r" = 2\n'
    lines = lines_of(text)
    expected: dict[tuple[str | int, ...], int] = {
        ("a", "b"): 1,
        ("list",): 4,
        ("list", 1): 4,
        ("long",): 8,
        ("t", 0): 11,
        ("t", 0, "k", "in"): 12,
        ("t", 1): 13,
        ("t", 1, "q.r"): 14,
    }
    assert {loc: lines[loc] for loc in expected} == expected


# Secrets


def test_secrets_from_the_environment_from_files_and_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "creds").mkdir()
    for path, secret in (("creds/hook", "from-creds"), ("smtp", "from-file\n")):
        (tmp_path / path).write_text(secret)
        (tmp_path / path).chmod(0o600)
    text = (
        SMALLEST
        + '[email]\nfrom = "a@example.net"\nusername = "u"\npassword = { file = "smtp" }\n'
        + '[[monitors]]\nname = "a"\nformat = "generic"\ntoken = { file = "hook" }\n'
        + '[[monitors]]\nname = "b"\nformat = "generic"\ntoken = { env = "T" }\n'
    )
    config = parsed(text, {"T": "from-env", "CREDENTIALS_DIRECTORY": str(tmp_path / "creds")}, tmp_path)
    assert config.email is not None
    assert config.email.password.get_secret_value() == "from-file"
    assert [m.token.get_secret_value() for m in config.monitors] == ["from-creds", "from-env"]
    assert config.warnings == ()


def test_a_password_is_not_looked_up_without_a_username() -> None:
    text = SMALLEST + '[email]\nfrom = "a@example.net"\nusername = ""\npassword = { env = "SMTP_PASSWORD" }\n'
    assert parsed(text).email is not None
    assert mistakes_in(text.replace('username = ""', "")) == [
        "config.toml:4: email: has a password but no username (add username)",
        "config.toml:7: email.password: needs the environment variable SMTP_PASSWORD, which is not set "
        "(set it before the start)",
    ]


def test_a_secret_that_others_can_read_is_told(tmp_path: Path) -> None:
    path, token = tmp_path / "config.toml", tmp_path / "token"
    token.write_text("geheim")
    token.chmod(0o644)
    path.write_text(
        SMALLEST
        + '[database]\nurl = "postgresql://u:geheim@db/o"\n'
        + '[email]\nfrom = "a@example.net"\nusername = "u"\npassword = "geheim"\n'
        + '[[monitors]]\nname = "a"\nformat = "generic"\ntoken = { file = "token" }\n'
    )
    path.chmod(0o644)
    open_to_all = f"a secret that others can read (chmod 600 {path}, or use {{ env = … }} or {{ file = … }})"
    assert load_config(path, environ={}).warnings == (
        f"{path}:5: database.url: {open_to_all}",
        f"{path}:9: email.password: {open_to_all}",
        f"{token}: others can read this secret (chmod 600 {token})",
    )
    path.chmod(stat.S_IRUSR)
    token.chmod(stat.S_IRUSR)
    assert load_config(path, environ={}).warnings == ()


def test_no_secret_is_ever_shown() -> None:
    everywhere = (
        '[database]\nurl = "postgresql://u:geheim@db/o"\n[email]\nusername = "u"\npassword = "geheim"\n{}'
        '[sms]\naccount_sid = "AC1"\nauth_token = "geheim"\nfrom = "+18595550100"\nallowed_countries = ["US"]\n'
        '[[monitors]]\nname = "a"\nformat = "generic"\ntoken = "geheim"\n'
    )
    good = parsed(SMALLEST + everywhere.format('from = "a@example.net"\n'))
    tables: list[Any] = [good, good.email, good.sms, good.database, *good.monitors]
    shown = [text for table in tables for text in (repr(table), str(table))]
    shown += [table.model_dump_json() for table in tables[1:]]
    shown += [good.database.shown, *good.warnings, *mistakes_in(SMALLEST + everywhere.format("port = 'x'\n"))]
    shown += mistakes_in(SMALLEST + '[sms]\naccount_sid = "AC1"\nauth_token = ["geheim"]\nfrom = "+18595550100"\n')
    shown += mistakes_in(SMALLEST + '[database]\nurl = "mysql://u:geheim@db/o"\n')
    shown += mistakes_in(SMALLEST + '[[monitors]]\nname = "a"\nformat = "generic"\ntoken = { geheim = 1 }\n')
    assert not [text for text in shown if "geheim" in text]
    assert good.database.shown == "postgresql://u:***@db/o"


# Several routes

ROUTES = (
    SMALLEST
    + """
[email]
from = "Bluegrass Fiber <status@example.net>"
[[email.relays]]
name = "backup"
host = "mail.example.com"
port = 587
security = "starttls"
[[email.relays]]
name = "last"
host = "mail.example.org"
from = "noc@example.org"
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "t"
from = "+18595550100"
[[sms.accounts]]
name = "backup"
account_sid = "AC00000000000000000000000000000001"
auth_token = "u"
messaging_service_sid = "MG1"
[staff_route.email]
host = "mail.example.edu"
[staff_route.sms]
account_sid = "AC00000000000000000000000000000002"
auth_token = "v"
from = "+18595550102"
"""
)


def test_routes_in_their_order() -> None:
    config = parsed(ROUTES)
    assert config.warnings == ()
    assert config.email is not None and config.sms is not None
    assert config.email.name == config.sms.name == "main"
    assert [(relay.name, relay.host, relay.sender) for relay in config.email.relays] == [
        ("backup", "mail.example.com", ""),
        ("last", "mail.example.org", "noc@example.org"),
    ]
    assert [account.name for account in config.sms.accounts] == ["backup"]
    assert config.staff_route.email is not None and config.staff_route.email.name == "staff"
    assert config.staff_route.sms is not None and config.staff_route.sms.account_sid.endswith("2")
    assert config.delivery.fail_over_after == timedelta(seconds=20)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'name = "last"', 'name = "backup"',
            'config.toml:13: email.relays[1].name: is taken: another way out is called "backup" '
            "(give each relay its own name)",
        ),
        (
            'name = "backup"\naccount_sid', 'name = "main"\naccount_sid',
            'config.toml:21: sms.accounts[0].name: is taken: another way out is called "main" '
            "(give each account its own name)",
        ),
        (
            'host = "mail.example.com"\nport', "port",
            'config.toml:7: email.relays[0].host: is missing (add host = "mail.example.com")',
        ),
        (
            'name = "last"\n', "",
            'config.toml:12: email.relays[1].name: is missing (add name = "backup")',
        ),
        (
            'name = "last"', 'name = "the last"',
            'config.toml:13: email.relays[1].name: is not a name for a way out '
            '(use letters, digits, ".", "-" and "_", like "backup")',
        ),
        (
            'messaging_service_sid = "MG1"', "",
            "config.toml:20: sms.accounts[0]: has no sender "
            '(add from = "+18595550100" or messaging_service_sid = "MG…")',
        ),
        (
            'host = "mail.example.edu"', 'host = "mail.example.edu"\nname = "main"',
            'config.toml:27: staff_route.email.name: is taken: [email] is called "main" (give it its own name)',
        ),
        (
            'host = "mail.example.org"', 'hots = "mail.example.org"\nhost = "x"',
            'config.toml:14: email.relays[1].hots: unknown key (did you mean "host"?)',
        ),
        ("[[email.relays]]\nname = \"last\"", "[email.x]\nname = \"last\"", None),
    ],
)  # fmt: skip
def test_mistakes_in_routes_name_line_and_mend(old: str, new: str, line: str | None) -> None:
    lines = mistakes_in(ROUTES.replace(old, new, 1))
    assert len(lines) == (1 if line else len(lines))
    assert line is None or lines == [line]


def test_a_route_that_is_another_one_again_is_told() -> None:
    warned = parsed(ROUTES.replace('host = "mail.example.org"', 'host = "MAIL.example.com"\nport = 587')).warnings
    assert any("mail.example.com:587 is a way out already (name another mail server)" in line for line in warned)
    again = ROUTES.replace("00001", "00000").replace('messaging_service_sid = "MG1"', 'from = "+18595550100"')
    assert any("is a way out already, with the same sender" in line for line in parsed(again).warnings)


def test_a_staff_route_without_mail_needs_a_sender() -> None:
    text = SMALLEST + '[staff_route.email]\nhost = "mail.example.edu"\n'
    assert mistakes_in(text) == [
        "config.toml:4: staff_route.email.from: is missing: there is no [email] to take it from "
        '(add from = "Bluegrass Fiber <noc@example.net>")'
    ]
    alone = parsed(text + 'from = "noc@example.net"\n')
    assert alone.email is None and alone.staff_route.email is not None
