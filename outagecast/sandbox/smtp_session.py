"""One SMTP session: RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, AUTH and STARTTLS, and faults on demand."""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from outagecast.sandbox.faults import Fault
from outagecast.sandbox.smtp_door import Door, ReceivedMail
from outagecast.sandbox.wire import FaultyWire

PATH = re.compile(rb"(FROM|TO):\s*<([^<>]*)>\s*(.*)", re.IGNORECASE)
LINE_LIMIT = 4096
DOT = b"\r\n.\r\n"


@dataclass(kw_only=True, slots=True)
class _Envelope:
    mail_from: str | None = None
    parameters: str = ""
    rcpts: list[str] = field(default_factory=list)


class Session(FaultyWire):
    """One connection: commands in, replies out, mails to the door."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door
        self.number = 0
        self.in_data = False
        self.scanned = 0
        self.greeted = False
        self.secure = door.settings.smtp_tls_at_once
        self.logged_in = not door.settings.smtp_user
        self.auth_step = ""
        self.auth_user = ""
        self.envelope = _Envelope()

    def opened(self) -> None:
        self.door.sessions += 1
        self.number = self.door.sessions
        self.door.open.add(self)
        self._at("connect", (), lambda: self.reply(b"220 sandbox ESMTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.open.discard(self)
        super().connection_lost(exc)

    def take(self) -> bool:
        return self._take_body() if self.in_data else self._take_line()

    def _at(self, point: str, addresses: Sequence[str], usual: Callable[[], None]) -> None:
        """The one gate for faults: do the usual thing, or what was ordered for this moment."""
        fault = self.door.faults.take("smtp", point, addresses)
        if fault is None:
            usual()
        else:
            self._note(fault, addresses)
            self.play(fault, usual)

    def _note(self, fault: Fault, addresses: Sequence[str]) -> None:
        played = {"channel": "smtp", "fault": fault.id, "mode": fault.mode, "point": fault.at}
        self.door.write("fault", {**played, "to": list(addresses), "session": self.number, "record": fault.record})

    def _take_line(self) -> bool:
        end = self.buffer.find(b"\n")
        if end < 0:
            if len(self.buffer) > LINE_LIMIT:
                self.reply(b"500 5.5.2 Line too long")
                self.close()
            return False
        line = bytes(self.buffer[:end]).rstrip(b"\r")
        del self.buffer[: end + 1]
        if self.auth_step:
            self._auth_answer(line)
        else:
            verb, _, rest = line.partition(b" ")
            self._command(verb.upper(), rest.strip())
        return True

    # the body

    def _take_body(self) -> bool:
        # The buffer begins with the CRLF that ended "DATA", so that a lone dot in the first line is found as well.
        if self.scanned == 0 and len(self.buffer) > 2:
            self.scanned = 1
            self._at("body", self.envelope.rcpts, lambda: None)
            if self.waiting:
                return False
        end = self.buffer.find(DOT, max(0, self.scanned - len(DOT)))
        if end < 0:
            self.scanned = max(self.scanned, len(self.buffer) if len(self.buffer) > 2 else 0)
            return False
        raw = bytes(self.buffer[2 : end + 2])
        del self.buffer[: end + len(DOT)]
        self.in_data, self.scanned = False, 0
        raw = raw.replace(b"\r\n..", b"\r\n.")
        if raw.startswith(b".."):
            raw = raw[1:]
        envelope, self.envelope = self.envelope, _Envelope()
        self._finish(raw, envelope)
        return True

    def _finish(self, raw: bytes, envelope: _Envelope) -> None:
        fault = self.door.faults.take("smtp", "dot", envelope.rcpts)
        if fault is None:
            self._accept(raw, envelope)
            return
        self._note(fault, envelope.rcpts)
        if fault.mode == "slow":
            self.play(fault, lambda: self._accept(raw, envelope))
        else:
            if fault.record:
                self._record(raw, envelope)
            self.play(fault, lambda: None)

    def _accept(self, raw: bytes, envelope: _Envelope) -> None:
        if len(raw) > self.door.settings.size_limit:
            self.reply(b"552 5.3.4 Message too big")
            return
        self._record(raw, envelope)
        self.reply(b"250 2.0.0 Ok: taken")
        self._at("after", envelope.rcpts, lambda: None)

    def _record(self, raw: bytes, envelope: _Envelope) -> None:
        for rcpt in envelope.rcpts:
            self.door.taken(
                ReceivedMail(
                    session=self.number,
                    mail_from=envelope.mail_from or "",
                    rcpt=rcpt,
                    parameters=envelope.parameters,
                    raw=raw,
                )
            )

    # commands

    def _command(self, verb: bytes, rest: bytes) -> None:
        match verb:
            case b"MAIL":
                self._mail(rest)
            case b"RCPT":
                self._rcpt(rest)
            case b"DATA":
                self._data()
            case b"EHLO" | b"HELO":
                self._at("ehlo", (), lambda: self._hello(verb, rest))
            case b"RSET":
                self.envelope = _Envelope()
                self.reply(b"250 2.0.0 Ok")
            case b"NOOP":
                self.reply(b"250 2.0.0 Ok")
            case b"VRFY":
                self.reply(b"252 2.1.5 Send some mail")
            case b"QUIT":
                self._at("quit", (), self._quit)
            case b"AUTH":
                self._at("auth", (), lambda: self._auth(rest))
            case b"STARTTLS":
                self._at("starttls", (), self._starttls)
            case _:
                self.reply(b"500 5.5.2 Unknown command")

    def _hello(self, verb: bytes, rest: bytes) -> None:
        if not rest:
            self.reply(b"501 5.5.4 Say who you are")
            return
        self.greeted, self.envelope = True, _Envelope()
        if verb == b"HELO":
            self.reply(b"250 sandbox")
            return
        settings = self.door.settings
        offers = ["sandbox", "PIPELINING", f"SIZE {settings.size_limit}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if settings.smtp_tls is not None and not self.secure:
            offers.append("STARTTLS")
        if settings.smtp_user:
            offers.append("AUTH PLAIN LOGIN")
        for offer in offers[:-1]:
            self.reply(f"250-{offer}".encode())
        self.reply(f"250 {offers[-1]}".encode())

    def _mail(self, rest: bytes) -> None:
        path = PATH.fullmatch(rest)
        if path is None or path.group(1).upper() != b"FROM":
            self.reply(b"501 5.5.4 MAIL FROM:<address>")
        elif not self.greeted:
            self.reply(b"503 5.5.1 EHLO first")
        elif not self.logged_in:
            self.reply(b"530 5.7.0 Authentication required")
        elif self.envelope.mail_from is not None:
            self.reply(b"503 5.5.1 Nested MAIL")
        else:
            sender, parameters = path.group(2).decode("utf-8", "replace"), path.group(3).upper().decode("latin-1")
            self._at("mail", (sender,), lambda: self._mail_from(sender, parameters))

    def _mail_from(self, sender: str, parameters: str) -> None:
        size = re.search(r"SIZE=(\d+)", parameters)
        if size is not None and int(size.group(1)) > self.door.settings.size_limit:
            self.reply(b"552 5.3.4 Message too big")
        elif not sender.isascii() and "SMTPUTF8" not in parameters:
            self.reply(b"553 5.6.7 SMTPUTF8 needed")
        else:
            self.envelope.mail_from, self.envelope.parameters = sender, parameters
            self.reply(b"250 2.1.0 Ok")

    def _rcpt(self, rest: bytes) -> None:
        path = PATH.fullmatch(rest)
        if self.envelope.mail_from is None:
            self.reply(b"503 5.5.1 MAIL first")
        elif path is None or path.group(1).upper() != b"TO" or not path.group(2):
            self.reply(b"501 5.5.4 RCPT TO:<address>")
        elif not path.group(2).isascii() and "SMTPUTF8" not in self.envelope.parameters:
            self.reply(b"553 5.6.7 SMTPUTF8 needed")
        else:
            address = path.group(2).decode("utf-8", "replace")
            self._at("rcpt", (address,), lambda: self._rcpt_to(address))

    def _rcpt_to(self, address: str) -> None:
        self.envelope.rcpts.append(address)
        self.reply(b"250 2.1.5 Ok")

    def _data(self) -> None:
        if self.envelope.rcpts:
            self._at("data", self.envelope.rcpts, self._open_body)
        else:
            self.reply(b"554 5.5.1 No recipients" if self.envelope.mail_from is not None else b"503 5.5.1 MAIL first")

    def _open_body(self) -> None:
        self.in_data, self.scanned = True, 0
        self.buffer[:0] = b"\r\n"
        self.reply(b"354 End with a dot")

    def _quit(self) -> None:
        self.reply(b"221 2.0.0 Bye")
        self.close()

    # login and TLS

    def _auth(self, rest: bytes) -> None:
        method, _, initial = rest.partition(b" ")
        if not self.door.settings.smtp_user:
            self.reply(b"502 5.5.1 No login here")
        elif method.upper() == b"PLAIN" and initial:
            self._plain(initial)
        elif method.upper() in (b"PLAIN", b"LOGIN"):
            self.auth_step = "plain" if method.upper() == b"PLAIN" else "user"
            self.reply(b"334 " + (b"" if self.auth_step == "plain" else b"VXNlcm5hbWU6"))
        else:
            self.reply(b"504 5.5.4 Unknown method")

    def _auth_answer(self, line: bytes) -> None:
        step, self.auth_step = self.auth_step, ""
        if step == "plain":
            self._plain(line)
        elif step == "user":
            self.auth_user, self.auth_step = _unbase64(line), "password"
            self.reply(b"334 UGFzc3dvcmQ6")
        else:
            self._judge_login(self.auth_user, _unbase64(line))

    def _plain(self, line: bytes) -> None:
        parts = _unbase64(line).split("\0")
        user, password = parts[1:3] if len(parts) == 3 else ("", "")
        self._judge_login(user, password)

    def _judge_login(self, user: str, password: str) -> None:
        settings = self.door.settings
        self.logged_in = (user, password) == (settings.smtp_user, settings.smtp_password)
        self.reply(b"235 2.7.0 Welcome" if self.logged_in else b"535 5.7.8 Wrong user or password")

    def _starttls(self) -> None:
        if self.door.settings.smtp_tls is None or self.secure:
            self.reply(b"502 5.5.1 Not offered")
            return
        self.reply(b"220 2.0.0 Go ahead")
        self.flush()
        self.buffer.clear()  # what came with the plain text is not to be believed (RFC 3207 section 6)
        self.waiting = True
        self.upgrade = asyncio.get_running_loop().create_task(self._upgrade())

    async def _upgrade(self) -> None:
        context = self.door.settings.smtp_tls
        assert self.transport is not None and context is not None
        try:
            secure = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_side=True)
        except OSError:  # the other side does not like our certificate: the connection is gone
            return
        self.transport = cast(asyncio.Transport, secure)
        self.secure, self.greeted, self.envelope, self.waiting = True, False, _Envelope(), False
        self.run()


def _unbase64(line: bytes) -> str:
    try:
        return base64.b64decode(line, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
