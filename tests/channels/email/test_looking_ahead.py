"""The next mail's envelope leaves with the content of the one before: nobody ever gets what was meant for another, and
what can be known of either mail is still told apart."""

import asyncio
import re
from typing import Any

import pytest

from outagecast.channels.email import EmailChannel
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected
from outagecast.domain.message import EmailMessage
from tests.support.breaking_smtp import Break, BreakingServer, How, breaking
from tests.support.mails import MAIL, channel_to, mail, send
from tests.support.smtp_server import At, Drop, Fault, Say, ScriptedServer, serving

AT_ONCE = 60
"""Sessions played at the same time."""


def mail_to(name: str) -> EmailMessage:
    return mail(to=f"{name}@example.net", message_id=f"{name}@status.example.net")


ANN, BEN, CID = mail_to("ann"), mail_to("ben"), mail_to("cid")


async def send_all(channel: EmailChannel, *messages: EmailMessage) -> list[Outcome]:
    """One lane, each mail with the next one announced."""
    async with channel.lane() as lane:
        following = [*messages[1:], None]
        return [await lane.send(message, then) for message, then in zip(messages, following, strict=True)]


async def test_the_next_envelope_leaves_in_one_write_with_the_content_before() -> None:
    read: list[bytes] = []

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 patient\r\n")
        await reader.readuntil(b"\n")
        writer.write(b"250-patient\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 ok\r\n250 ok\r\n354 go\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        read.append(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(patient, "127.0.0.1", 0) as listener:
        server = ScriptedServer(port=listener.sockets[0].getsockname()[1])
        async with channel_to(server) as channel, channel.lane() as lane:
            assert isinstance(await lane.send(ANN, BEN), Ambiguous)  # its dot was read, and nothing was said to it
    assert read == [b"MAIL FROM:<status@example.net>\r\nRCPT TO:<ben@example.net>\r\nDATA\r\n"]


async def test_each_gets_his_own_in_one_session() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        outcomes = await send_all(channel, ANN, BEN, CID, MAIL)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert announced(server) == addressed(server) == ["ann", "ben", "cid", "ada"]
    assert server.connections == 1
    assert server.commands[-1] == "QUIT"


def announced(server: ScriptedServer) -> list[str]:
    """Whom the envelopes named, in order."""
    return [found[1] for command in server.commands if (found := re.match(r"RCPT TO:<(\w+)@", command))]


def addressed(server: ScriptedServer) -> list[str]:
    """Whom the contents that arrived were meant for, in order."""
    return [found[1].decode() for content in server.dots if (found := re.search(rb"To: .*<(\w+)@", content))]


async def test_where_another_comes_than_was_announced_the_session_is_left() -> None:
    """The mark of the announced one was refused: whatever is written now must not reach its address."""
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel, channel.lane() as lane:
        assert isinstance(await lane.send(ANN, BEN), Accepted)
        assert isinstance(await lane.send(CID, MAIL), Accepted)
        assert isinstance(await lane.send(MAIL), Accepted)
    assert announced(server) == ["ann", "ben", "cid", "ada"]
    assert addressed(server) == ["ann", "cid", "ada"]
    assert server.connections == 2


async def test_refusals_in_a_row_cost_a_lane_one_session() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel, channel.lane() as lane:
        assert isinstance(await lane.send(ANN, BEN), Accepted)
        for _ in range(4):  # after a disappointment nothing is announced to the server until one has gone well
            assert isinstance(await lane.send(mail_to("dee"), mail_to("eve")), Accepted)
    assert server.connections <= 3


async def test_an_announced_mail_that_never_comes_leaves_no_content_behind() -> None:
    """The daemon stops, or the route is left: not even an empty mail may reach the announced one."""
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        async with channel.lane() as lane:
            assert isinstance(await lane.send(ANN, BEN), Accepted)
        async with asyncio.timeout(5):
            await server.left.wait()
        assert len(server.dots) == 1
        assert "QUIT" not in server.commands
        assert isinstance(await send(channel, CID), Accepted)
    assert server.connections == 2


class SecondTime(dict[At, Fault]):
    """A fault that holds the second time its step is reached, and then no more."""

    def __init__(self, at: At, fault: Fault) -> None:
        self._at, self._fault, self._times = at, fault, 0

    def get(self, at: At, default: Any = None) -> Any:
        self._times += at is self._at
        return self._fault if at is self._at and self._times == 2 else None


@pytest.mark.parametrize(
    ("at", "fault", "kind", "scope"),
    [
        (At.RCPT, Say(octets=b"550 5.1.1 no such user\r\n"), Rejected, FailureScope.ADDRESS),
        (At.RCPT, Say(octets=b"450 4.2.0 greylisted\r\n"), Deferred, FailureScope.ADDRESS),
        (At.DATA, Say(octets=b"554 no\r\n"), Rejected, FailureScope.MESSAGE),
    ],
    ids=str,
)
async def test_a_refused_envelope_is_told_in_its_own_turn_and_the_next_goes_on(
    at: At, fault: Say, kind: type[Outcome], scope: FailureScope
) -> None:
    server = ScriptedServer(faults=SecondTime(at, fault))
    async with serving(server), channel_to(server) as channel:
        first, second, third, fourth = await send_all(channel, ANN, BEN, CID, MAIL)
    assert [type(outcome) for outcome in (first, third, fourth)] == [Accepted] * 3
    assert type(second) is kind
    assert getattr(second, "scope", None) is scope
    assert addressed(server) == ["ann", "cid", "ada"]
    assert server.connections == 1


@pytest.mark.parametrize("at", [At.MAIL, At.RCPT, At.DATA])
async def test_a_session_that_ends_at_an_announced_envelope_harms_neither(at: At) -> None:
    server = ScriptedServer(faults=SecondTime(at, Drop()))
    async with serving(server), channel_to(server) as channel:
        first, second, third = await send_all(channel, ANN, BEN, CID)
    assert isinstance(first, Accepted)
    # Unanswered at MAIL it had not begun: a new session may try at once.
    assert isinstance(second, Accepted if at is At.MAIL else Deferred)
    assert isinstance(third, Accepted)
    assert addressed(server) == (["ann", "ben", "cid"] if at is At.MAIL else ["ann", "cid"])


async def test_silence_behind_a_content_ends_looking_ahead() -> None:
    """It takes the content, and never answers the envelope that came with it."""

    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        await reader.readuntil(b"\n")
        writer.write(b"250-x\r\n250 PIPELINING\r\n")
        try:
            while True:
                await reader.readuntil(b"DATA\r\n")
                writer.write(b"250 ok\r\n250 ok\r\n354 go\r\n")
                contents.append(await reader.readuntil(b"\r\n.\r\n"))
                reader._buffer.clear()  # type: ignore[attr-defined]  # as some firewalls do
                writer.write(b"250 ok\r\n")
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    contents: list[bytes] = []
    async with await asyncio.start_server(forgetful, "127.0.0.1", 0) as listener:
        server = ScriptedServer(port=listener.sockets[0].getsockname()[1])
        async with channel_to(server, patience=0.3) as channel:
            assert channel.looks_ahead
            outcomes = await send_all(channel, ANN, BEN, CID, MAIL)
            assert not channel.looks_ahead
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    assert len(contents) == 4


async def test_no_one_looks_ahead_without_pipelining() -> None:
    server = ScriptedServer(extensions=("SIZE 20971520",))
    async with serving(server), channel_to(server) as channel:
        outcomes = await send_all(channel, ANN, BEN, CID)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert server.connections == 1


async def play(server: BreakingServer) -> None:
    """Two mails on a lane, the second announced; the server breaks at one byte."""
    async with breaking(server):
        patience = 1.0 if server.broken is not None and server.broken.how is How.STALL else 20.0
        async with channel_to(ScriptedServer(port=server.port), patience=patience) as channel:
            outcomes = await send_all(channel, ANN, BEN)
            dots = [(bytes(dot.content), bytes(dot.said)) for dot in server.dots]
    for name, outcome in zip((b"ann", b"ben"), outcomes, strict=True):
        judge(server, name, outcome, [said for content, said in dots if b"<" + name + b"@" in content])
    for content, _ in dots:
        assert content.endswith(b"--\r\n"), (server.broken, content)


def judge(server: BreakingServer, name: bytes, outcome: Outcome, said: list[bytes]) -> None:
    """What was said to each dot of a mail, against what the channel says became of it."""
    about = (server.broken, name, outcome, said)
    assert len(said) <= 1, about  # no second try of what may have arrived
    match outcome:
        case Accepted():
            assert said, about
            assert re.match(rb"25\d[ \r\n]", said[0]), about
        case Ambiguous():
            assert server.granted, about
        case Deferred() | Rejected():
            # Its dot was not read, or was refused in so many words, be it before it was read.
            assert not said or said[0][:1] in (b"4", b"5") or refused_amid(server), about


def refused_amid(server: BreakingServer) -> bool:
    return server.broken is not None and server.broken.how is How.REFUSE and server.broken.read is not None


async def unbroken() -> BreakingServer:
    server = BreakingServer(pipelining=True)
    async with breaking(server), channel_to(ScriptedServer(port=server.port)) as channel:
        assert [type(outcome) for outcome in await send_all(channel, ANN, BEN)] == [Accepted, Accepted]
    assert len(server.dots) == 2
    return server


async def play_all(breaks: list[Break]) -> None:
    for start in range(0, len(breaks), AT_ONCE):
        batch = breaks[start : start + AT_ONCE]
        await asyncio.gather(*[play(BreakingServer(pipelining=True, broken=one)) for one in batch])


@pytest.mark.parametrize("how", How)
async def test_no_byte_of_its_answers_at_which_a_server_breaks_is_mistaken(how: How) -> None:
    said = (await unbroken()).said
    begin = said.index(b"250 PIPELINING\r\n") + 16
    await play_all([Break(how=how, written=at) for at in range(begin + 1, said.index(b"221 ") + 1)])


@pytest.mark.parametrize("how", How)
async def test_no_byte_around_the_joint_at_which_a_server_breaks_is_mistaken(how: How) -> None:
    heard = (await unbroken()).heard
    joint = heard.index(b"\r\n.\r\n") + 5
    begin = heard.index(b"DATA\r\n", joint) + 6
    end = heard.index(b"\r\n.\r\n", begin) + 5
    reads = {*range(joint - 8, begin + 5), *range(begin, end - 5, 97), *range(end - 8, end + 1)}
    await play_all([Break(how=how, read=at) for at in sorted(reads)])
