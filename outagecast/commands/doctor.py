"""`outagecast doctor`: tries everything the daemon needs, and says what to mend."""

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click

from outagecast.app import Core, Daemon, open_core
from outagecast.channels.email.channel import EmailChannel
from outagecast.channels.email.settings import EmailSettings, split_sender
from outagecast.channels.sms.channel import SmsChannel
from outagecast.commands.dns import name_servers
from outagecast.commands.findings import Finding, State
from outagecast.commands.mail_records import mail_records
from outagecast.commands.options import FAILED, Failed, config_option, json_option
from outagecast.commands.session import plainly
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, print_table
from outagecast.config import Config
from outagecast.engine.owners import Running, running
from outagecast.engine.routes import Route
from outagecast.log import set_up_logging
from outagecast.parts import make_renderer
from outagecast.storage import health, server

_LITTLE_SPACE, _NO_SPACE = 1 << 30, 100 << 20
_SKEW = timedelta(seconds=30)
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows less was never set."""
_RESOLVE_SECONDS = 5.0


@click.command("doctor", short_help="Try everything the daemon needs; says what to mend.")
@click.option("--dkim-selector", default="", metavar="NAME", help="The DKIM key your mail server signs with.")
@config_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, dkim_selector: str, as_json: bool) -> None:
    """Try settings, database, disk, clock, mail server, SMS account, DNS and inventory. Exit code 1 on a problem."""
    config = read_config(ctx)
    set_up_logging(sys.stderr, level="error")
    findings = asyncio.run(examine(config, dkim_selector))
    bad = any(finding.state is State.PROBLEM for finding in findings)
    if as_json:
        print_json({"ok": not bad, "findings": [asdict(finding) for finding in findings]})
    else:
        print_table(["", "", "found", "mend"], [(f.state.value, f.what, f.detail, f.mend) for f in findings])
    raise SystemExit(FAILED if bad else 0)


async def examine(
    config: Config, dkim_selector: str = "", *, servers: Sequence[tuple[str, int]] | None = None
) -> list[Finding]:
    """Everything that was found, the settings first. `servers`: the name servers to ask; None: the system's."""
    findings = [Finding(what="settings", state=State.WARNING, detail=warning) for warning in config.warnings]
    findings = findings or [Finding(what="settings", state=State.OK, detail="no mistakes, no warnings")]
    try:
        with plainly():
            async with open_core(config) as core:
                findings += await _on_core(core)
    except Failed as failed:
        findings += [Finding(what="database", state=State.PROBLEM, detail=line) for line in failed.lines]
    findings.append(await _public_url(config))
    if config.email is not None:
        asked = await asyncio.to_thread(name_servers) if servers is None else servers
        for domain in _mail_domains(config.email):
            findings += await mail_records(domain, dkim_selector, asked)
    return findings


def _mail_domains(email: EmailSettings) -> list[str]:
    """Those of all senders, the first mail server's first: each needs its records."""
    senders = [email.sender_address, *(split_sender(relay.sender)[1] for relay in email.relays if relay.sender)]
    return list(dict.fromkeys(sender.rpartition("@")[2] for sender in senders))


async def _on_core(core: Core) -> list[Finding]:
    async with core.db.read() as conn:
        wrong = await health.integrity(conn)
        newest = await health.newest_time(conn)
        contacts, customers = await health.unreachable(conn)
        there = await server.look(conn) if core.db.is_postgresql else None
    routes = Daemon(core).routes
    try:
        tried = [await _route(route) for route in routes]
    finally:
        for route in routes:
            await route.carrier.close()
    isolated = (await core.reckoner.network()).isolated()
    return [
        _database(core, wrong, there),
        *([Finding(what="server", state=State.WARNING, detail=d, mend=m) for d, m in there.warnings] if there else ()),
        _daemons(await running(core.db, core.house.clock())),
        _disk(core),
        _clock(core.house.clock(), newest),
        *tried,
        _templates(make_renderer(core.config, core.links).rendered_singly()),
        _isolated(isolated),
        _reach(contacts, customers),
    ]


def _database(core: Core, wrong: Sequence[str], there: server.Server | None) -> Finding:
    where = str(core.db.path or core.config.database.shown)
    if wrong:
        return Finding(
            what="database", state=State.PROBLEM, detail=f"{where}: {'; '.join(wrong)}", mend="restore a backup"
        )
    also = f" (PostgreSQL {there.shown}, {there.encoding}, {there.size / (1 << 20):,.0f} MiB)" if there else ""
    return Finding(what="database", state=State.OK, detail=f"{where} is sound and up to date{also}")


def _daemons(found: Sequence[Running]) -> Finding:
    """Those that run, and those that are missed."""
    missed = [one for one in found if one.state != "running"]
    there = [one for one in found if one.state == "running"]
    detail = ", ".join(f"{one.role} on {one.host}{' (keeps the promises)' * one.leads}" for one in there) or "none runs"
    if not missed:
        return Finding(what="daemons", state=State.OK, detail=detail)
    lost = ", ".join(f"{one.role} on {one.host} ({one.state} since {one.seen_at:%H:%M} UTC)" for one in missed)
    return Finding(
        what="daemons", state=State.WARNING, detail=f"{detail}; missed: {lost}", mend="start them again, or let them be"
    )


def _disk(core: Core) -> Finding:
    """SQLite's, or where a daemon on PostgreSQL keeps what it works on for a while; the server's own we cannot see."""
    folder = core.db.path.parent if core.db.path else Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    state = State.PROBLEM if free < _NO_SPACE else State.WARNING if free < _LITTLE_SPACE else State.OK
    then = "a full disk stops every verb" if core.db.path else "imports over the desk and rehearsals need it"
    mend = "" if state is State.OK else f"free disk space: {then}"
    return Finding(what="disk", state=state, detail=f"{free / (1 << 30):.1f} GiB free at {folder}", mend=mend)


def _clock(now: datetime, newest: datetime | None) -> Finding:
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _BUILT:
        return Finding(what="clock", state=State.PROBLEM, detail=f"shows {shown}", mend="set the clock (NTP)")
    if newest is not None and newest > now + _SKEW:
        return Finding(
            what="clock",
            state=State.PROBLEM,
            detail=f"shows {shown}, but {newest:%Y-%m-%d %H:%M:%S} UTC was recorded",
            mend="set the clock (NTP); promises and schedules follow it",
        )
    return Finding(what="clock", state=State.OK, detail=f"shows {shown}, after all that was recorded")


def _templates(singly: Sequence[str]) -> Finding:
    """What is not filled in for each reader takes five times as long."""
    if not singly:
        return Finding(what="templates", state=State.OK, detail="all are filled in for each reader")
    return Finding(
        what="templates",
        state=State.WARNING,
        detail=f"rendered singly for each reader: {'; '.join(singly)}",
        mend="only print what is a reader's own, or be content with a slower wave",
    )


async def _route(route: Route) -> Finding:
    """Each by its name where there is more than one; the table of its settings where something is to be mended."""
    name = f" {route.name}" if route.place else ""
    match route.carrier:
        case EmailChannel() as server:
            what, table = f"mail server{name}", _table(route, "email", "relays")
            found = await server.check()
            if not found.up:
                return Finding(
                    what=what,
                    state=State.PROBLEM,
                    detail=f"{found.code} {found.reason}".strip(),
                    mend=f"check {table} host, port, security, username and password",
                )
            tls = f"TLS {found.tls}" if found.tls else "no TLS"
            login = "logged in" if found.logged_in else "no login"
            return Finding(what=what, state=State.OK, detail=f"answers in {found.seconds:.1f} s, {tls}, {login}")
        case SmsChannel() as texts:
            what, table = f"SMS account{name}", _table(route, "sms", "accounts")
            account = await texts.check()
            state = State.OK if account.ok else State.PROBLEM
            mend = "" if account.ok else f"check {table} account_sid, auth_token and api_url"
            return Finding(what=what, state=state, detail=account.detail, mend=mend)
        case other:
            return Finding(what=type(other).__name__, state=State.UNKNOWN, detail="cannot be tried")


def _table(route: Route, channel: str, further: str) -> str:
    if route.is_staff:
        return f"[staff_route.{channel}]"
    return f"[[{channel}.{further}]] {route.name}" if route.place else f"[{channel}]"


async def _public_url(config: Config) -> Finding:
    host = urlsplit(config.provider.public_url).hostname or ""
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (TimeoutError, OSError) as error:
        reason = str(error) or f"no answer within {_RESOLVE_SECONDS:g} s"
        return Finding(
            what="public_url",
            state=State.UNKNOWN,
            detail=f"{host} could not be looked up: {reason}",
            mend="links in messages and callbacks of the SMS provider need it",
        )
    return Finding(what="public_url", state=State.OK, detail=f"{host} is {found[0][4][0]}")


def _isolated(ids: Sequence[str]) -> Finding:
    if not ids:
        return Finding(what="network", state=State.OK, detail="every node with links has a path to a gateway")
    some = ", ".join(ids[:10]) + (" …" if len(ids) > 10 else "")
    return Finding(
        what="network",
        state=State.WARNING,
        detail=f"{len(ids)} elements have no path to a gateway: {some}",
        mend="check their links and which elements are gateways; until then only their needs are judged",
    )


def _reach(contacts: int, customers: int) -> Finding:
    if not contacts and not customers:
        return Finding(what="contacts", state=State.OK, detail="every customer has a contact with an address")
    return Finding(
        what="contacts",
        state=State.WARNING,
        detail=f"{contacts} contacts without an address, {customers} customers nobody can be told",
        mend="see rejects.csv of the last import",
    )
