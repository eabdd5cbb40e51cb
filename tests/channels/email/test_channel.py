"""Sessions: how they come up (TLS, login), how long they are kept, what they are asked not to carry."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from outagecast.channels.base import Channel, RouteDown
from outagecast.channels.email import EmailChannel
from outagecast.channels.email.written import Mail
from outagecast.domain.delivery import Accepted, Deferred, FailureScope, Outcome, Rejected
from outagecast.domain.message import EmailMessage
from tests.support.mails import MAIL, channel_to, mail, send
from tests.support.smtp_server import At, Drop, Fault, Hang, Say, ScriptedServer, serving

DATA = Path(__file__).parents[2] / "data"
CA = DATA / "smtp_server_ca.pem"
ROUTE = FailureScope.ROUTE


def encrypting(**changes: object) -> ScriptedServer:
    """A server whose certificate is for `localhost`, signed by itself."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(DATA / "smtp_server.pem")
    return ScriptedServer(tls=tls, host="localhost", **changes)  # type: ignore[arg-type]


def as_channel(channel: EmailChannel) -> Channel[Mail]:
    """The type checker's word that it has the common shape."""
    return channel


async def test_a_mail_arrives_as_written() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        outcome = await send(channel)
    assert outcome == Accepted(provider_id="4FQX", code="250 2.0.0")
    assert server.commands == [
        "EHLO noc.example.net",
        f"MAIL FROM:<status@example.net> SIZE={len(server.dots[0]) - 2}",  # two dots were stuffed
        "RCPT TO:<ada@example.net>",
        "DATA",
        "QUIT",
    ]
    assert b"\r\n..\r\n...\r\nyour line LEX-1 is down.\r\n" in server.dots[0]


@pytest.mark.parametrize("implicit", [True, False], ids=["tls", "starttls"])
async def test_an_encrypted_session_logs_in_and_sends(implicit: bool) -> None:
    server = encrypting(implicit_tls=implicit, login=("oc", "s3cret"))
    security = "tls" if implicit else "starttls"
    async with (
        serving(server),
        channel_to(server, security=security, ca_file=CA, username="oc", password="s3cret") as channel,
    ):
        assert isinstance(await send(channel), Accepted)
        assert isinstance(await send(channel), Accepted)
        found = await channel.check()
    assert found.up
    assert found.logged_in
    assert found.tls.startswith("TLSv1.")
    assert server.connections == 2
    assert server.acknowledged == 2


async def test_a_large_mail_goes_through_tls_whole() -> None:
    server = encrypting()
    text = "0123456789" * 50_000
    async with serving(server), channel_to(server, security="starttls", ca_file=CA) as channel:
        assert isinstance(await send(channel, mail(text=text)), Accepted)
    assert len(server.dots[0]) > 500_000


@pytest.mark.parametrize("at", [At.RCPT, At.DOT])
async def test_hanging_up_under_tls_is_told_apart_as_without(at: At) -> None:
    server = encrypting(faults={at: Drop()})
    async with serving(server), channel_to(server, security="starttls", ca_file=CA) as channel:
        outcome = await send(channel)
    assert outcome.code == "smtp_dropped"
    assert isinstance(outcome, Deferred) is (at is At.RCPT)
    assert len(server.dots) == (at is At.DOT)


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("fault", ["unknown authority", "other name"])
async def test_a_certificate_that_does_not_hold_stops_the_route(security: str, fault: str) -> None:
    server = encrypting(implicit_tls=security == "tls")
    async with serving(server):
        if fault == "other name":
            server.host = "127.0.0.1"
        ca_file = CA if fault == "other name" else None
        async with channel_to(server, security=security, ca_file=ca_file) as channel:
            outcome = await send(channel)
    assert isinstance(outcome, Rejected)
    assert (outcome.scope, outcome.code, outcome.suppress_as) == (ROUTE, "tls_certificate", None)
    assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)


async def test_a_server_without_starttls_is_not_spoken_to_in_clear() -> None:
    server = ScriptedServer(login=("oc", "s3cret"))
    async with (
        serving(server),
        channel_to(server, security="starttls", username="oc", password="s3cret") as channel,
    ):
        outcome = await send(channel)
    assert isinstance(outcome, Rejected)
    assert (outcome.scope, outcome.code) == (ROUTE, "smtp_not_supported")
    assert server.commands == ["EHLO noc.example.net"]


@pytest.mark.parametrize(
    "injected",
    [b"250-evil\r\n250 AUTH PLAIN SMTPUTF8 SIZE 7\r\n", b"250 ok\r\n", b"421 go away\r\n", b"250-half", b"junk"],
    ids=str,
)
async def test_what_was_said_in_clear_before_tls_is_not_taken_for_what_is_said_after(injected: bytes) -> None:
    server = encrypting(extensions=("PIPELINING",), faults={At.STARTTLS: Say(octets=b"220 go\r\n" + injected)})
    async with serving(server), channel_to(server, security="starttls", ca_file=CA) as channel:
        assert isinstance(await send(channel), Accepted)
        async with channel.lane() as lane:
            assert lane.session.capabilities.words == ("PIPELINING",)
    assert [command.split(":")[0].split()[0] for command in server.commands] == [
        "EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "fault", "kind", "code"),
    [
        (At.STARTTLS, Drop(), Deferred, "smtp_dropped"),
        (At.STARTTLS, Hang(), Deferred, "smtp_timeout"),
        (At.STARTTLS, Say(octets=b"454 4.7.0 not now\r\n"), Deferred, "454 4.7.0"),
        (At.STARTTLS, Say(octets=b"501 never\r\n"), Deferred, "501"),
        (At.STARTTLS, Say(octets=b"what?\r\n"), Deferred, "smtp_garbage"),
        (At.STARTTLS, Say(octets=b"220 go\r\n", then_drop=True), Deferred, ""),
        (At.AUTH, Drop(), Deferred, "smtp_dropped"),
        (At.AUTH, Hang(), Deferred, "smtp_timeout"),
        (At.AUTH, Say(octets=b"454 4.7.0 not now\r\n"), Deferred, "454 4.7.0"),
        (At.AUTH, Say(octets=b"421 4.7.0 too many\r\n", then_drop=True), Deferred, "421 4.7.0"),
        (At.AUTH, Say(octets=b"535 5.7.8 wrong\r\n"), Rejected, "535 5.7.8"),
        (At.AUTH, Say(octets=b"535 5.7.8 wrong\r\n", then_drop=True), Rejected, "535 5.7.8"),
        (At.AUTH, Say(octets=b"534 5.7.9 stronger, please\r\n"), Rejected, "534 5.7.9"),
        (At.AUTH, Say(octets=b"what?\r\n"), Deferred, "smtp_garbage"),
    ],
    ids=str,
)
async def test_a_fault_before_the_session_is_up_says_whether_staff_must_act(
    at: At, fault: Fault, kind: type[Outcome], code: str
) -> None:
    server = encrypting(login=("oc", "s3cret"), faults={at: fault})
    settings = {"security": "starttls", "ca_file": CA, "username": "oc", "password": "s3cret"}
    async with (
        serving(server),
        channel_to(server, patience=0.5 if isinstance(fault, Hang) else 10, **settings) as channel,
    ):
        with pytest.raises(RouteDown) as down:
            async with channel.lane():
                pass
        outcome = down.value.outcome
        assert type(outcome) is kind, outcome
        assert outcome.scope is ROUTE
        assert outcome.code.startswith(code), outcome
        assert "s3cret" not in repr(outcome)
        server.faults.clear()
        assert isinstance(await send(channel), Accepted)


async def test_a_wrong_password_is_refused_for_staff_to_mend() -> None:
    server = ScriptedServer(login=("oc", "s3cret"))
    async with serving(server), channel_to(server, username="oc", password="guess") as channel:
        outcome = await send(channel)
        found = await channel.check()
    assert isinstance(outcome, Rejected)
    assert (outcome.scope, outcome.code) == (ROUTE, "535 5.7.8")
    assert (found.up, found.code) == (False, "535 5.7.8")
    assert "guess" not in found.reason


async def test_a_server_that_offers_no_login_is_for_staff_to_mend() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server, username="oc", password="s3cret") as channel:
        outcome = await send(channel)
    assert isinstance(outcome, Rejected)
    assert outcome.scope is ROUTE


async def test_an_old_server_without_ehlo_is_spoken_to_all_the_same() -> None:
    commands: list[bytes] = []

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = {b"EHLO": b"502 what?\r\n", b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}
        writer.write(b"220 old\r\n")
        while line := await reader.readline():
            commands.append(line)
            writer.write(answers.get(line[:4], b"250 ok\r\n"))
            if line == b"DATA\r\n":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 ok\r\n")
        writer.close()

    async with await asyncio.start_server(old, "127.0.0.1", 0) as listener:
        server = ScriptedServer(port=listener.sockets[0].getsockname()[1])
        async with channel_to(server) as channel:
            assert isinstance(await send(channel), Accepted)
    assert commands[:3] == [
        b"EHLO noc.example.net\r\n",
        b"HELO noc.example.net\r\n",
        b"MAIL FROM:<status@example.net>\r\n",
    ]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_the_envelope_goes_in_one_write_only_where_the_server_says_so(pipelining: bool) -> None:
    first_reads: list[bytes] = []

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 patient\r\n")
        await reader.readuntil(b"\n")
        writer.write(b"250-patient\r\n250 " + (b"PIPELINING" if pipelining else b"HELP") + b"\r\n")
        first_reads.append(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(patient, "127.0.0.1", 0) as listener:
        server = ScriptedServer(port=listener.sockets[0].getsockname()[1])
        async with channel_to(server) as channel:
            assert isinstance(await send(channel), Deferred)
    envelope = b"MAIL FROM:<status@example.net>\r\nRCPT TO:<ada@example.net>\r\nDATA\r\n"
    assert first_reads == [envelope if pipelining else envelope[: envelope.index(b"RCPT")]]


async def test_a_session_is_kept_for_the_next_mail_up_to_a_limit() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server, messages_per_session=3) as channel:
        for _ in range(7):
            assert isinstance(await send(channel), Accepted)
    assert (server.connections, server.acknowledged) == (3, 7)


async def test_a_lane_that_is_held_renews_its_session_at_the_limit() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server, messages_per_session=3) as channel, channel.lane() as lane:
        for _ in range(7):
            assert isinstance(await lane.send(MAIL), Accepted)
    assert (server.connections, server.acknowledged) == (3, 7)


async def test_a_session_at_rest_says_quit_in_time() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server, idle_timeout=timedelta(seconds=0.05)) as channel:
        assert isinstance(await send(channel), Accepted)
        async with asyncio.timeout(5):
            await server.left.wait()
        assert server.commands[-1] == "QUIT"
        assert isinstance(await send(channel), Accepted)
        assert server.connections == 2


async def test_lanes_are_as_many_as_connections_and_wait_for_each_other() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server, connections=2) as channel:
        assert as_channel(channel).connections == 2
        outcomes = await asyncio.gather(*[send(channel) for _ in range(10)])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert server.connections == 2


async def test_a_closed_channel_keeps_nothing() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        async with channel.lane() as lane:
            await lane.send(MAIL)
            await channel.close()
            assert isinstance(await lane.send(MAIL), Accepted)
        async with asyncio.timeout(5):
            await server.left.wait()


async def test_a_mail_too_large_for_the_server_is_refused_without_a_word() -> None:
    server = ScriptedServer(extensions=("PIPELINING", "SIZE 1000"))
    async with serving(server), channel_to(server) as channel:
        outcome = await send(channel, mail(text="x" * 2000))
    assert isinstance(outcome, Rejected)
    assert (outcome.scope, outcome.code) == (FailureScope.MESSAGE, "too_large")
    assert server.commands == ["EHLO noc.example.net", "QUIT"]


async def test_an_address_that_needs_smtputf8_goes_only_where_it_is_spoken() -> None:
    server = ScriptedServer(extensions=("PIPELINING", "8BITMIME", "SMTPUTF8"))
    message = mail(to="jürgen@bücher.example")
    async with serving(server), channel_to(server) as channel:
        assert isinstance(await send(channel, message), Accepted)
    assert server.commands[1:3] == [
        "MAIL FROM:<status@example.net> BODY=8BITMIME SMTPUTF8",
        "RCPT TO:<jürgen@xn--bcher-kva.example>",
    ]
    plain = ScriptedServer(extensions=("PIPELINING",))
    async with serving(plain), channel_to(plain) as channel:
        outcome = await send(channel, message)
    assert isinstance(outcome, Rejected)
    assert (outcome.scope, outcome.suppress_as) == (FailureScope.ADDRESS, None)
    assert "SMTPUTF8" in outcome.reason


@pytest.mark.parametrize(
    ("message", "scope"),
    [
        (mail(to="ada@example.net> SIZE=1"), FailureScope.ADDRESS),
        (mail(to="ada@example.net\r\nRCPT TO:<eve@example.net"), FailureScope.ADDRESS),
        (mail(subject="a\r\nBcc: eve@example.net"), FailureScope.MESSAGE),
        (mail(text="\ud800"), FailureScope.MESSAGE),
    ],
)
async def test_what_cannot_be_written_is_refused_and_harms_nobody_else(
    message: EmailMessage, scope: FailureScope
) -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        outcome = await send(channel, message)
        assert isinstance(outcome, Rejected)
        assert (outcome.scope, outcome.suppress_as) == (scope, None)
        assert server.commands == ["EHLO noc.example.net"]
        assert isinstance(await send(channel), Accepted)


async def test_check_tells_what_the_server_can_do() -> None:
    server = ScriptedServer(extensions=("PIPELINING", "SIZE 1000"))
    async with serving(server), channel_to(server) as channel:
        found = await channel.check()
    assert found.up
    assert (found.tls, found.logged_in) == ("", False)
    assert found.capabilities is not None
    assert found.capabilities.words == ("PIPELINING", "SIZE 1000")
    assert found.capabilities.pipelining
    assert found.capabilities.size == 1000
    assert not found.capabilities.utf8
    assert server.commands == ["EHLO noc.example.net", "QUIT"]


@pytest.mark.parametrize("name", ["two words", "a\r\nMAIL", "ä.example", "-x"])
def test_a_name_to_greet_with_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        EmailChannel(host="127.0.0.1", port=25, sender="a@example.net", ehlo_name=name)


async def test_a_host_that_is_none_is_a_route_that_is_down() -> None:
    channel = EmailChannel(host="no-such-host.invalid", port=25, sender="a@example.net", ehlo_name="noc.example.net")
    outcome = await send(channel)
    assert isinstance(outcome, Deferred)
    assert (outcome.scope, outcome.code) == (ROUTE, "connect_failed")
