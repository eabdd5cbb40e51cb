"""The demo's daemon: prepares the sample's database once, copies it, and runs; prints where everything is."""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from outagecast.app import on_a_loop, open_core, run
from outagecast.commands.session import me, plainly
from outagecast.commands.shown import print_json
from outagecast.config import Config, parse_config
from outagecast.demo import (
    DATABASE,
    HOST,
    MONITOR,
    SAMPLE_HALF,
    STAFF_NAME,
    Keys,
    Sample,
    SandboxProcess,
    config_text,
    new_secret,
    write_keys,
    write_private,
)
from outagecast.domain.outage import Role
from outagecast.domain.phrases import OutageTemplate, Phrase
from outagecast.log import set_up_logging
from outagecast.sandbox.provider_phrases import PHRASES, TEMPLATES

_NOWHERE = {"smtp_port": 9, "url": "http://127.0.0.1:9"}
"""Preparing sends nothing."""


def run_demo(
    folder: Path, sample: Sample, sandbox: SandboxProcess, *, port: int, speed: float, epoch: datetime, as_json: bool
) -> None:
    """Until SIGINT or SIGTERM. Failed, DemoRefused."""
    with (folder / "demo.log").open("a", encoding="utf-8") as log:
        set_up_logging(log)
        with plainly():
            if not sample.is_ready:
                click.echo("preparing the sample provider (once) …", err=True)
                asyncio.run(_prepare(folder, sample))
            if not (folder / DATABASE).exists():
                shutil.copyfile(sample.database, folder / DATABASE)
            ready, keys = sandbox.ready(), sample.read_keys()
            text = config_text(port=port, keys=keys, ready=ready)
            write_private(folder / "config.toml", text)
            config = _parsed(text, folder)
            where = _where(folder, sample, keys, ready, port, speed)
            show = print_json if as_json else _welcome

            def listening(_port: int) -> None:
                show(where)
                sys.stdout.flush()

            on_a_loop(run(config, speed=speed, epoch=epoch, on_ready=listening))
    if not as_json:
        click.echo("stopped", err=True)


async def _prepare(folder: Path, sample: Sample) -> None:
    """The database with the inventory, one person and one token: what each fresh demo starts from."""
    keys = Keys(password=new_secret(), token="", hook_token=new_secret())
    half = folder / SAMPLE_HALF
    text = config_text(port=1, keys=keys, ready=_NOWHERE).replace(DATABASE, half.name)
    async with open_core(_parsed(text, folder)) as core:
        await core.inventory.import_files([sample.files], actor=me(), rejects_path=sample.files / "rejects.csv")
        for phrase in PHRASES:
            await core.phrases.put(Phrase(**phrase), actor=me())  # type: ignore[arg-type]
        for template in TEMPLATES:
            await core.phrases.put(OutageTemplate(**template), actor=me())  # type: ignore[arg-type]
        await core.people.add_staff(STAFF_NAME, keys.password, Role.ADMIN, actor=me())
        token = await core.people.add_token("demo", Role.ADMIN, actor=me())
    write_keys(sample, token, keys.password, keys.hook_token)
    half.replace(sample.database)


def _parsed(text: str, folder: Path) -> Config:
    return parse_config(text, name="config.toml", folder=folder, environ=os.environ)


def _where(
    folder: Path, sample: Sample, keys: Keys, ready: Mapping[str, Any], port: int, speed: float
) -> dict[str, Any]:
    base = f"http://{HOST}:{port}"
    walk = sample.walkthrough
    return {
        "desk": f"{base}/desk",
        "name": STAFF_NAME,
        "password": keys.password,
        "status_page": f"{base}/",
        "inbox": ready["url"],
        "smtp_port": ready["smtp_port"],
        "token": keys.token,
        "hook": f"{base}/hooks/{MONITOR}",
        "hook_token": keys.hook_token,
        "config": str(folder / "config.toml"),
        "log": str(folder / "demo.log"),
        "speed": speed,
        "scopes": {
            walk.spur_pop: f"the POP at the end of a line: {walk.spur_customers} customers down",
            walk.spur_link: "the only link there: the same outage, told by its cause",
            walk.ring_link: "one link of a ring: nobody down, redundancy reduced",
            walk.service: f"a service without circuits of its own: {walk.service_customers} customers",
            walk.power: "one of two power feeds of a large POP",
        },
    }


def _welcome(where: Mapping[str, Any]) -> None:
    base = str(where["desk"]).removesuffix("/desk")
    first = next(iter(where["scopes"]))
    scopes = "\n".join(f"    {name:<14} {what}" for name, what in where["scopes"].items())
    faster = f"\n  The clock runs {where['speed']:g} times faster.\n" if where["speed"] != 1.0 else ""
    click.echo(
        f"""
  Desk         {where["desk"]}    sign in as {where["name"]}, password {where["password"]}
  Inbox        {where["inbox"]}    what every customer received: mails and texts
  Status page  {where["status_page"]}
{faster}
  Declare an outage on the desk. Scopes worth trying:
{scopes}

  The same by API, or by a monitor's hook:
    curl -H 'Authorization: Bearer {where["token"]}' -H 'Content-Type: application/json' \\
      -d '{{"title": "Fibre cut", "scope": {{"elements": ["{first}"]}}}}' {base}/api/v1/outages
    curl -H 'Authorization: Bearer {where["hook_token"]}' -H 'Content-Type: application/json' \\
      -d '{{"key": "demo-1", "element": "{first}", "summary": "{first} does not answer"}}' {where["hook"]}

  On the command line:  outagecast --config {where["config"]} outages
  Log:                  {where["log"]}
  Ctrl-C ends it all; the next start is fresh (--keep goes on where this one ended).
"""
    )
