"""Wires the sandbox: one log, one store, the SMTP port, the HTTP port (gateway, inbox, control), and how it stops."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from outagecast.sandbox.callbacks import Callbacks
from outagecast.sandbox.clock import SandboxClock
from outagecast.sandbox.control import Control
from outagecast.sandbox.faults import FaultBook
from outagecast.sandbox.gateway import Gateway
from outagecast.sandbox.guard import guard
from outagecast.sandbox.inbox import Inbox
from outagecast.sandbox.journal import Journal, Record
from outagecast.sandbox.mail import complaints, headers_of
from outagecast.sandbox.people import People, read_people
from outagecast.sandbox.phones import Phones
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.smtp import SmtpServer
from outagecast.sandbox.smtp_door import ReceivedMail
from outagecast.sandbox.store import Store

LOG_NAME = "sandbox.jsonl"


async def start(settings: SandboxSettings | None = None, *, clock: SandboxClock | None = None) -> "Sandbox":
    """A running sandbox; close it with `await sandbox.close()`. Raises OSError (a port is taken), JournalBusy."""
    sandbox = Sandbox(settings or SandboxSettings(), clock or SandboxClock())
    try:
        await sandbox.open()
    except BaseException:
        await sandbox.close()
        raise
    return sandbox


class Sandbox:
    """What tests hold: the ports, the log, the faults, and the doors to change them without HTTP."""

    def __init__(self, settings: SandboxSettings, clock: SandboxClock) -> None:
        self.settings = settings
        self.clock = clock
        self._temporary = settings.state_dir is None
        self._folder = settings.state_dir or Path(tempfile.mkdtemp(prefix="outagecast-sandbox-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self._folder / LOG_NAME, clock)
        self.store = Store()
        for record in self.journal.records():
            self.store.apply(record)
        self.faults = FaultBook(seed=settings.seed)
        self.callbacks = Callbacks(settings, self.write)
        self.phones = Phones(settings, self.store, self.callbacks, self.write)
        self.gateway = Gateway(settings, clock, self.store, self.faults, self.callbacks, self.phones, self.write)
        self.smtp = SmtpServer(settings, self.faults, self.take_mail, self.write)
        people = read_people(settings.people) if settings.people is not None else People()
        self.inbox = Inbox(settings, clock, self.journal, self.store, self.phones, people, self.write)
        self._runners: list[web.AppRunner] = []
        self._sms_site: web.TCPSite | None = None
        self._sms_runner: web.AppRunner | None = None
        self.http_port = settings.http_port
        self.sms_port = settings.sms_port

    @property
    def smtp_port(self) -> int:
        return self.smtp.port

    @property
    def url(self) -> str:
        """The inbox page, and the base of the gateway and the control API."""
        return f"http://{self.settings.host}:{self.http_port}"

    @property
    def sms_url(self) -> str:
        """The gateway for `[sms] api_url`: its own port where there is one."""
        return f"http://{self.settings.host}:{self.sms_port}" if self.sms_port is not None else self.url

    @property
    def log_path(self) -> Path:
        return self.journal.path

    def write(self, kind: str, fields: Mapping[str, Any]) -> Record:
        """Put a record in the log, then show it. The only way in."""
        record = self.journal.append(kind, fields)
        self.store.apply(record)
        return record

    def records(self, *kinds: str, after: int = 0) -> list[Record]:
        """The log so far, since the last reset."""
        found: list[Record] = []
        for record in self.journal.records(after=after):
            if record["type"] == "reset":
                found.clear()
            elif not kinds or record["type"] in kinds:
                found.append(record)
        return found

    async def open(self) -> None:
        await self.callbacks.open()
        await self.smtp.listen()
        control = Control(
            journal=self.journal,
            store=self.store,
            faults=self.faults,
            callbacks=self.callbacks,
            phones=self.phones,
            changed=self.apply_faults,
            reset=self.reset,
            extra_counts=lambda: {"smtp_sessions": self.smtp.sessions, "boxes": len(self.store.boxes)},
        )
        main = web.Application(middlewares=[guard], client_max_size=1024 * 1024)
        main.add_routes([*self.inbox.routes(), *control.routes(), *self.gateway.routes()])
        main.on_shutdown.append(self._let_go)
        _, _, self.http_port = await self._serve(main, self.settings.http_port)
        if self.settings.sms_port is not None:
            only_sms = web.Application(client_max_size=1024 * 1024)
            only_sms.add_routes(self.gateway.routes())
            self._sms_runner, self._sms_site, self.sms_port = await self._serve(only_sms, self.settings.sms_port)

    async def apply_faults(self) -> None:
        """Close and open ports as `refuse` asks; call it after changing `faults` by hand."""
        if self.faults.refused("smtp"):
            self.smtp.refuse()
        else:
            await self.smtp.listen()
        if self._sms_runner is None or self.sms_port is None:
            return
        if self.faults.refused("sms"):
            if self._sms_site is not None:
                await self._sms_site.stop()
                self._sms_site = None
        elif self._sms_site is None:
            self._sms_site = web.TCPSite(self._sms_runner, self.settings.host, self.sms_port)
            await self._sms_site.start()

    async def reset(self) -> None:
        """Forget what arrived, the faults and what was still to be called back; the log goes on after a mark."""
        self.faults.reset()
        self.callbacks.forget()
        self.write("reset", {})
        await self.apply_faults()

    async def close(self) -> None:
        self.smtp.close()
        self.gateway.closing.set()
        for runner in self._runners:
            await runner.cleanup()
        await self.callbacks.close()
        self.journal.close()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self, app: web.Application, port: int) -> tuple[web.AppRunner, web.TCPSite, int]:
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=75, shutdown_timeout=2, handler_cancellation=True
        )
        self._runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, self.settings.host, port, backlog=512)
        await site.start()
        return runner, site, int(runner.addresses[0][1])

    async def _let_go(self, app: web.Application) -> None:
        self.gateway.closing.set()
        self.inbox.close()

    def take_mail(self, mail: ReceivedMail) -> None:
        """Put a mail into the log, as the SMTP port does."""
        headers = headers_of(mail.raw)
        found = complaints(
            mail.raw,
            headers,
            utf8="SMTPUTF8" in mail.parameters,
            eight_bit="8BITMIME" in mail.parameters,
        )
        self.write(
            "mail",
            {
                "rcpt": mail.rcpt,
                "mail_from": mail.mail_from,
                "message_id": headers.get("message-id", ""),
                "subject": headers.get("subject", ""),
                "headers": headers,
                "session": mail.session,
                "size": len(mail.raw),
                "complaints": found,
                "raw": mail.raw.decode("utf-8", "surrogateescape"),
            },
        )
