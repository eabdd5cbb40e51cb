"""`doctor` tries the real thing: a mail server and a gateway on loopback sockets, then none."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outagecast.commands.doctor import examine
from outagecast.commands.findings import Finding, State
from outagecast.config import load_config
from outagecast.sandbox import SandboxSettings, start
from outagecast.sandbox.settings import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN

Run = Callable[..., Any]
CONFIG = """\
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"

[email]
host = "127.0.0.1"
port = {smtp}
from = "status@example.net"

[sms]
account_sid = "{sid}"
auth_token = "{token}"
from = "+18595550100"
api_url = "{url}"
allowed_countries = ["US"]
"""


async def found(folder: Path, *, smtp: int, url: str, token: str = DEFAULT_AUTH_TOKEN) -> dict[str, Finding]:
    config = folder / "config.toml"
    config.write_text(CONFIG.format(smtp=smtp, url=url, sid=DEFAULT_ACCOUNT_SID, token=token))
    return {finding.what: finding for finding in await examine(load_config(config, environ=os.environ), servers=[])}


async def test_what_works_is_ok_and_what_does_not_is_named(tmp_path: Path) -> None:
    sandbox = await start(SandboxSettings())
    try:
        good = await found(tmp_path, smtp=sandbox.smtp_port, url=sandbox.url)
        wrong = await found(tmp_path, smtp=sandbox.smtp_port, url=sandbox.url, token="wrong")
    finally:
        await sandbox.close()
    for what in ("database", "disk", "clock", "mail server", "SMS account", "network", "contacts", "public_url"):
        assert good[what].state is State.OK, good[what]
    assert wrong["SMS account"].state is State.PROBLEM
    gone = await found(tmp_path, smtp=sandbox.smtp_port, url=sandbox.url)
    assert gone["mail server"].state is gone["SMS account"].state is State.PROBLEM
    assert gone["mail server"].mend


async def test_templates_that_are_rendered_singly_are_named(tmp_path: Path) -> None:
    text = tmp_path / "words" / "notices" / "en" / "update" / "sms.txt"
    text.parent.mkdir(parents=True)
    text.write_text("{% if name == 'Anna' %}Hi{% endif %} {{ provider.sms_name }}: {{ name }}\n", encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text('[provider]\nname = "B"\npublic_url = "http://127.0.0.1:8080"\n', encoding="utf-8")
    [shipped] = [f for f in await examine(load_config(config, environ={}), servers=[]) if f.what == "templates"]
    assert shipped.state is State.OK
    config.write_text(config.read_text() + '[notices]\ntemplates = "words"\n', encoding="utf-8")
    [own] = [f for f in await examine(load_config(config, environ={}), servers=[]) if f.what == "templates"]
    assert own.state is State.WARNING
    assert "en/update/sms.txt: line 1" in own.detail


def test_exit_code_and_isolated_elements(oc: Run, folder: Path) -> None:
    config = (folder / "config.toml").read_text()
    without_mail = config[: config.index("[email]")] + config[config.index("[sms]") :]
    (folder / "config.toml").write_text(without_mail)
    (folder / "elements.csv").write_text(
        "id,kind,a,z,gateway\nA,pop,,,yes\nB,pop,,,\nC,pop,,,\nL,link,B,C,\n", encoding="utf-8"
    )
    imported = oc("import", str(folder / "elements.csv"), "--json")
    assert imported.json["isolated_elements"] == ["B", "C"]
    done = oc("doctor", "--json")
    assert done.code == 1
    findings = {finding["what"]: finding for finding in done.json["findings"]}
    assert "B, C" in findings["network"]["detail"]
    assert findings["SMS account"]["state"] == "problem"
    table = oc("doctor")
    assert table.code == 1
    assert "2 elements have no path to a gateway" in table.out


async def test_every_route_is_tried_and_named(tmp_path: Path) -> None:
    sandbox, second = await start(SandboxSettings()), await start(SandboxSettings())
    more = f"""
[[email.relays]]
name = "backup"
host = "127.0.0.1"
port = {second.smtp_port}

[[sms.accounts]]
name = "other"
account_sid = "{DEFAULT_ACCOUNT_SID}"
auth_token = "wrong"
from = "+18595550101"
api_url = "{second.url}"

[staff_route.email]
host = "127.0.0.1"
port = 1

[staff_route.sms]
account_sid = "{DEFAULT_ACCOUNT_SID}"
auth_token = "{DEFAULT_AUTH_TOKEN}"
from = "+18595550102"
api_url = "{second.url}"
"""
    config = tmp_path / "config.toml"
    base = CONFIG.format(smtp=sandbox.smtp_port, url=sandbox.url, sid=DEFAULT_ACCOUNT_SID, token=DEFAULT_AUTH_TOKEN)
    config.write_text(base + more)
    try:
        found = {each.what: each for each in await examine(load_config(config, environ=os.environ), servers=[])}
    finally:
        await sandbox.close()
        await second.close()
    for what in ("mail server", "mail server backup", "SMS account", "SMS account staff"):
        assert found[what].state is State.OK, found[what]
    assert found["SMS account other"].state is found["mail server staff"].state is State.PROBLEM
    assert "[[sms.accounts]] other" in found["SMS account other"].mend
    assert "[staff_route.email]" in found["mail server staff"].mend
