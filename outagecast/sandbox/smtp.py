"""The SMTP server's port: opened, closed on demand, opened again.

Own code on asyncio.Protocol because the fault suites must stop at exact moments (after the final dot, before the
record), and because a sink must not be the bottleneck: aiosmtpd takes some 1,000 mails a second, this one several times
that.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from outagecast.sandbox.faults import FaultBook
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.smtp_door import Door, ReceivedMail
from outagecast.sandbox.smtp_session import Session


class SmtpServer:
    """`taken` is called with each mail before the 250 is written, `write` puts a record into the log."""

    def __init__(
        self,
        settings: SandboxSettings,
        faults: FaultBook,
        taken: Callable[[ReceivedMail], None],
        write: Callable[[str, Mapping[str, Any]], object],
    ) -> None:
        self.port = settings.smtp_port
        self._door = Door(settings=settings, faults=faults, taken=taken, write=write)
        self._listener: asyncio.Server | None = None

    @property
    def sessions(self) -> int:
        """How many connections there have been."""
        return self._door.sessions

    async def listen(self) -> None:
        """Open the port (again, after `refuse`); raises OSError when somebody else has it."""
        if self._listener is not None:
            return
        settings = self._door.settings
        at_once = settings.smtp_tls if settings.smtp_tls_at_once else None
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Session(self._door), settings.host, self.port, ssl=at_once, backlog=512
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Close the port: connections are refused, those that are open stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        self.refuse()
        for session in tuple(self._door.open):
            session.abort()
