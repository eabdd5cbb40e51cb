"""The whole product in this process, as the demo runs it, with a clock that can be put forward; and a browser.

Mails and texts go to a real sandbox on loopback sockets; what the tests believe about them is its log.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from time import monotonic
from typing import Any

from playwright.async_api import Browser, async_playwright

from outagecast.app import Core, Daemon, open_core
from outagecast.config import parse_config
from outagecast.demo import HOST, Keys, config_text
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.sandbox import Sandbox, SandboxClock, SandboxSettings, start
from outagecast.sandbox.mail import raw_of
from outagecast.sandbox.provider import PROVIDER_TIMEZONE, write_provider
from outagecast.web.server import make_app, serve
from tests.support.daemon import free_port

STAFF, PASSWORD = "anna", "a-long-enough-sentence"
SETUP = Actor(kind=ActorKind.CLI, name="setup", role=Role.ADMIN)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
REPOSITORY = Path(__file__).parents[2]


def find_chromium() -> str | None:
    """$OUTAGECAST_CHROMIUM, else the usual place, else PATH; None where there is none."""
    named = os.environ.get("OUTAGECAST_CHROMIUM", "")
    usual = Path("/usr/bin/chromium")
    return named or (str(usual) if usual.exists() else shutil.which("chromium") or shutil.which("chromium-browser"))


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class ForwardClock:
    """Real time, some way ahead (or behind): `put_forward` lets a quarter of an hour pass at once."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def put_forward(self, **length: float) -> None:
        self.ahead += timedelta(**length)


@dataclass(kw_only=True)
class SampleHouse:
    """Daemon and sandbox, and what a test needs of them."""

    core: Core
    sandbox: Sandbox
    clock: ForwardClock
    url: str

    def mails(self, *, after: int = 0) -> list[dict[str, Any]]:
        """`to`, `subject`, `text` of each mail since a record's number, staff's left out."""
        return [_mail(record) for record in self.sandbox.records("mail", after=after) if "noc@" not in record["rcpt"]]

    def texts(self, *, after: int = 0) -> list[dict[str, Any]]:
        return [record for record in self.sandbox.records("sms", after=after) if record["to"] != "+18595550111"]

    def mark(self) -> int:
        """The number of the last record so far."""
        records = self.sandbox.records()
        return int(records[-1]["n"]) if records else 0

    async def rest(self) -> None:
        """Until everything due has been sent and the providers have said so."""
        await until(self._at_rest, "the outbox is at rest")

    async def _at_rest(self) -> bool:
        async with self.core.db.read() as conn:
            left = (
                "SELECT count(*) FROM deliveries WHERE state IN ('planned', 'leased', 'transmitting') AND due_at <= ?"
            )
            micros = int(self.clock().timestamp() * 1_000_000)
            waiting = (await conn.exec_driver_sql(left, (micros,))).scalar_one()
            pending = (
                await conn.exec_driver_sql("SELECT count(*) FROM revisions WHERE state = 'pending'")
            ).scalar_one()
        return not waiting and not pending


@asynccontextmanager
async def sample_house(
    folder: Path, *, customers: int, clock: ForwardClock | None = None, undo_for: str = "30s", more: str = ""
) -> AsyncIterator[SampleHouse]:
    """Bluegrass Fiber with so many customers, imported; one admin (STAFF, PASSWORD) may sign in. `more`: further
    tables of the settings.
    """
    clock = clock or ForwardClock()
    files = folder / "provider"
    write_provider(files, customers=customers)
    port = free_port()
    settings = SandboxSettings(
        state_dir=folder / "sandbox",
        people=files,
        timezone=PROVIDER_TIMEZONE,
        inbound_url=f"http://{HOST}:{port}/callbacks/twilio/inbound",
        sent_after=0.02,
        delivered_after=0.05,
    )
    async with AsyncExitStack() as stack:
        sandbox = await start(settings, clock=SandboxClock(wall=lambda: clock().timestamp()))
        stack.push_async_callback(sandbox.close)
        ready = {"smtp_port": sandbox.smtp_port, "url": sandbox.url}
        text = config_text(
            port=port, keys=Keys(password="", token="", hook_token="hook-token-of-the-tests"), ready=ready
        )
        text = text.replace('undo_for = "5s"', f'undo_for = "{undo_for}"')
        config = parse_config(f"{text}\n{more}", name="config.toml", folder=folder, environ={})
        core = await stack.enter_async_context(open_core(config, clock=clock))
        await core.inventory.import_files([files], actor=SETUP, rejects_path=folder / "rejects.csv")
        await core.people.add_staff(STAFF, PASSWORD, Role.ADMIN, actor=SETUP)
        daemon = Daemon(core)
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        await stack.enter_async_context(serve(make_app(daemon.services()), host=HOST, port=port))
        yield SampleHouse(core=core, sandbox=sandbox, clock=clock, url=f"http://{HOST}:{port}")


async def until(true: Callable[[], Awaitable[Any]], what: str, *, within: float = 20.0) -> Any:
    """The first answer that holds; AssertionError naming `what` after so many seconds."""
    deadline = monotonic() + within
    while not (found := await true()):
        assert monotonic() < deadline, f"{what}: not within {within} s"
        await asyncio.sleep(0.05)
    return found


def _mail(record: dict[str, Any]) -> dict[str, Any]:
    mail = message_from_bytes(raw_of(record), policy=policy.default)
    body = mail.get_body(preferencelist=("plain",))
    return {
        "to": record["rcpt"],
        "subject": str(mail["Subject"]),
        "text": body.get_content() if body is not None else "",
    }
