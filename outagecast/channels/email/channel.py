"""The e-mail channel: kept sessions to one mail server, one lane each."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from outagecast.channels.base import RouteDown
from outagecast.channels.email.connection import Endpoint, Security, open_session, tls_context
from outagecast.channels.email.message import Mailbox, MessageWriter, sender_mailbox
from outagecast.channels.email.session import Capabilities, Fault, Session
from outagecast.channels.email.transaction import Envelope, NotBegun, transact
from outagecast.channels.email.written import Mail, Written, written
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f.:IPv]+\]")
_GOODBYE_SECONDS = 2.0
_AT_ONCE = 65_536
"""Octets of a content that a socket takes at once, so that nothing of it stays behind what follows it."""
_LOOKED_TOO_FAR = frozenset({Fault.TIMED_OUT, Fault.GARBAGE, Fault.UNASKED})
"""What becomes of a session whose server does not understand an envelope right behind a content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What `doctor` learns from one fresh session. `code` and `reason` say why there is none."""

    up: bool
    seconds: float
    code: str = ""
    reason: str = ""
    tls: str = ""
    logged_in: bool = False
    capabilities: Capabilities | None = None


class EmailChannel:
    """Carries mails to one mail server over at most `connections` kept sessions. See `channels.base.Channel`.

    `sender` is `Name <address>` or a bare address. `connect_timeout` covers connecting, EHLO, TLS and login together,
    `command_timeout` MAIL, RCPT and DATA together, `data_timeout` the content and the answer to its final dot (RFC 5321
    §4.5.3.2.6 asks for ten minutes). A session is left after `messages_per_session` mails or `idle_timeout` at rest.
    `ca_file` is trusted besides the system's authorities; `tls` takes the place of both. ValueError on a bad sender.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        security: Security = "none",
        username: str = "",
        password: str = "",
        connections: int = 10,
        rate_per_second: float = 0.0,
        ehlo_name: str = "",
        unsubscribe_mailto: str = "",
        connect_timeout: timedelta = timedelta(seconds=60),
        command_timeout: timedelta = timedelta(seconds=60),
        data_timeout: timedelta = timedelta(seconds=600),
        idle_timeout: timedelta = timedelta(seconds=60),
        messages_per_session: int = 100,
        ca_file: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if ehlo_name and not _HOST_NAME.fullmatch(ehlo_name):
            raise ValueError(f"not a host name to greet with: {ehlo_name!a}")
        self.connections = connections
        self.rate_per_second = rate_per_second
        self.command_seconds = command_timeout.total_seconds()
        self.data_seconds = data_timeout.total_seconds()
        self.writer = MessageWriter(sender_mailbox(sender), unsubscribe_mailto=unsubscribe_mailto)
        self._endpoint = Endpoint(
            host=host,
            port=port,
            security=security,
            username=username,
            password=password,
            ehlo_name=ehlo_name,
            tls=None if security == "none" else tls or tls_context(ca_file),
            timeout=connect_timeout,
        )
        self._idle_timeout = idle_timeout
        self.messages_per_session = messages_per_session
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[Session] = []
        self._closed = False
        self.looks_ahead = True
        """Whether the envelope of the next mail may leave with the content of the one before."""

    @asynccontextmanager
    async def lane(self) -> AsyncIterator["EmailLane"]:
        """A lane on a session that is up, waiting while all `connections` are taken. Raises RouteDown."""
        async with self._slots:
            lane = EmailLane(self, await self._take())
            try:
                yield lane
            finally:
                self._give_back(lane.session)

    async def check(self) -> Check:
        """Open a session of its own as a lane would (connect, EHLO, TLS, login), say QUIT, and tell. Never raises."""
        started = time.monotonic()
        try:
            session = await self.fresh_session()
        except RouteDown as down:
            seconds = time.monotonic() - started
            return Check(up=False, seconds=seconds, code=down.outcome.code, reason=down.outcome.reason)
        found = Check(
            up=True,
            seconds=time.monotonic() - started,
            tls=session.tls,
            logged_in=bool(self._endpoint.username),
            capabilities=session.capabilities,
        )
        await _part_from([session])
        return found

    def prepared(self, message: Mail) -> Mail:
        """As it goes onto the wire. One that cannot be written stays what it is, and is refused at its turn."""
        found = written(message, self.writer)
        return message if isinstance(found, Rejected) else found

    async def close(self) -> None:
        """Say goodbye on every session at rest; those in use end when their lane is left."""
        self._closed = True
        idle, self._idle = self._idle, []
        await _part_from(idle)

    def spent(self, session: Session) -> bool:
        """It has carried as many mails as one session should."""
        return session.messages >= self.messages_per_session

    def look_no_further(self) -> None:
        """A server lost what followed a content, as some do for all their PIPELINING: one mail after the other then."""
        self.looks_ahead = False

    async def fresh_session(self) -> Session:
        """A new session. Raises RouteDown."""
        if not self._endpoint.ehlo_name:
            name = await asyncio.to_thread(socket.getfqdn)
            name = name if _HOST_NAME.fullmatch(name) else "localhost.localdomain"
            self._endpoint = replace(self._endpoint, ehlo_name=name)
        return await open_session(self._endpoint)

    async def _take(self) -> Session:
        # The last used first, so that what is not needed grows old and leaves.
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
        return await self.fresh_session()

    def _give_back(self, session: Session) -> None:
        if self._closed or self.spent(session) or session.begun:
            session.quit()
            return
        session.rest(self._idle_timeout)
        if session.usable:
            self._idle.append(session)


class EmailLane:
    """One session, one mail after the other.

    With the content of a mail leaves the envelope of the one that is promised to follow. Should another one come
    instead, the session is left: the server would take its content for the promised one's.
    """

    def __init__(self, channel: EmailChannel, session: Session) -> None:
        self.session = session
        self._channel = channel
        self._promised: Written | None = None
        self._disappointed = False

    async def send(self, message: Mail, following: Mail | None = None) -> Outcome:
        """Carry one mail to its one recipient. Never raises for what the network, the server or the address does."""
        promised, self._promised = self._promised, None
        if promised is not None and (promised is message or promised.message is message):
            mail = promised
        else:
            if promised is not None:
                self._break_promise()
            found = written(message, self._channel.writer)
            if isinstance(found, Rejected):
                return found
            mail = found
        try:
            return await self._carry(mail, self._may_follow(following))
        except RouteDown as down:
            return down.outcome

    def _may_follow(self, following: Mail | None) -> Written | None:
        """The next mail, where its envelope may leave with this content. What cannot be written waits for its turn."""
        if following is None or self._disappointed or not self._channel.looks_ahead:
            # Rows are refused in bursts (an outage is held): that costs each session once, not at every row.
            self._disappointed = False
            return None
        found = written(following, self._channel.writer)
        return None if isinstance(found, Rejected) else found

    def _break_promise(self) -> None:
        if self.session.begun:
            self.session.abort()
        self._disappointed = True

    async def _carry(self, mail: Written, following: Written | None) -> Outcome:
        if not self.session.usable or self._channel.spent(self.session):
            self.session.quit()
            self.session = await self._channel.fresh_session()
        kept, ahead = self.session.messages > 0, self.session.begun
        outcome = await self._try(mail, following)
        if ahead and self.session.fault in _LOOKED_TOO_FAR and not isinstance(outcome, Accepted | Ambiguous):
            self._channel.look_no_further()
            kept, outcome = True, NotBegun(outcome=Deferred(scope=FailureScope.ROUTE, code="", reason=""))
        if isinstance(outcome, NotBegun) and kept:
            # A kept session may have died of age just now. Nothing was sent on it, so a new one may try at once.
            self.session = await self._channel.fresh_session()
            outcome = await self._try(mail, following)
        return outcome.outcome if isinstance(outcome, NotBegun) else outcome

    async def _try(self, mail: Written, following: Written | None) -> Outcome | NotBegun:
        session, sender = self.session, self._channel.writer.sender
        refused = _beyond(session.capabilities, mail)
        if refused is not None:
            return refused
        next_one = following if following is not None and self._has_room(mail, following) else None
        outcome = await transact(
            session,
            _envelope(session.capabilities, sender, mail),
            mail.content.octets,
            envelope_seconds=self._channel.command_seconds,
            content_seconds=self._channel.data_seconds,
            following=_envelope(session.capabilities, sender, next_one) if next_one is not None else None,
        )
        if session.begun:
            self._promised = next_one
        return outcome

    def _has_room(self, mail: Written, following: Written) -> bool:
        """Whether this session can carry both, and the kernel will take all of the first at once."""
        session = self.session
        return (
            session.capabilities.pipelining
            and session.messages + 1 < self._channel.messages_per_session
            and len(mail.content.octets) <= _AT_ONCE
            and _beyond(session.capabilities, following) is None
        )


def _beyond(capabilities: Capabilities, mail: Written) -> Rejected | None:
    """What this server cannot take, known before a word is said."""
    to, content = mail.to, mail.content
    if to.needs_utf8 and not capabilities.utf8:
        reason = f"{to.address} needs a mail server with SMTPUTF8 (RFC 6531), and ours has none"
        return Rejected(scope=FailureScope.ADDRESS, code="smtputf8_missing", reason=reason)
    if capabilities.size is not None and content.size > capabilities.size:
        reason = f"the mail has {content.size} octets, the mail server takes {capabilities.size} at most"
        return Rejected(scope=FailureScope.MESSAGE, code="too_large", reason=reason)
    return None


def _envelope(capabilities: Capabilities, sender: Mailbox, mail: Written) -> Envelope:
    to, words = mail.to, f"MAIL FROM:<{sender.address}>"
    if capabilities.announces_size:
        words += f" SIZE={mail.content.size}"
    if to.needs_utf8:
        # The To header is raw UTF-8 then, so the content is no longer 7 bit (RFC 6531 §3.1 asks for 8BITMIME as well).
        words += " BODY=8BITMIME SMTPUTF8" if capabilities.eight_bit else " SMTPUTF8"
    return Envelope(mail=words.encode("ascii"), rcpt=f"RCPT TO:<{to.address}>".encode())


async def _part_from(sessions: list[Session]) -> None:
    """Say QUIT everywhere; who has not hung up after two seconds is cut off."""
    for session in sessions:
        session.quit()
    if sessions:
        await asyncio.wait([session.ended for session in sessions], timeout=_GOODBYE_SECONDS)
    for session in sessions:
        session.abort()
