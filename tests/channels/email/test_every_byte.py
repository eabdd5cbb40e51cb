"""A server that breaks at any byte of what it says or reads: nothing unsent is called sent, nor the other way round."""

import asyncio
import re
from collections.abc import Iterable

import pytest

from outagecast.channels.email import EmailChannel
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, Outcome, Rejected
from tests.support.breaking_smtp import Break, BreakingServer, How, breaking
from tests.support.mails import MAIL, channel_to, mail, send
from tests.support.smtp_server import ScriptedServer

SECOND = mail(message_id="second@status.example.net", text="second\n")
AT_ONCE = 100
"""Sessions played at the same time."""


async def play(server: BreakingServer) -> None:
    async with breaking(server):
        patience = 1.0 if server.broken is not None and server.broken.how is How.STALL else 20.0
        async with channel_to(ScriptedServer(port=server.port), patience=patience) as channel:
            outcome = await send(channel)
            dots = list(server.dots)
            second = await eventually(channel)
    judge(server, outcome, [bytes(dot.said) for dot in dots])
    assert isinstance(second, Accepted), (server.broken, outcome, second)
    arrived = [dot.content for dot in server.dots if b"second@status" in dot.content]
    assert len(arrived) == 1, server.broken
    assert arrived[0].endswith(b"--\r\n")


async def eventually(channel: EmailChannel) -> Outcome:
    """The next mail; a session that is broken only now costs one attempt that is told to be unsent."""
    outcome = await send(channel, SECOND)
    return await send(channel, SECOND) if isinstance(outcome, Deferred) else outcome


def judge(server: BreakingServer, outcome: Outcome, said: list[bytes]) -> None:
    about = (server.broken, outcome, said)
    assert len(said) <= 1, about
    answer = said[0] if said else None
    match outcome:
        case Accepted():
            assert answer is not None, about
            assert re.match(rb"25\d[ \r\n]", answer), about
        case Ambiguous():
            assert server.granted, about
        case Deferred() | Rejected():
            # Its dot was not read, or was refused in so many words.
            assert answer is None or answer[:1] in (b"4", b"5") or refused_amid(server), about


def refused_amid(server: BreakingServer) -> bool:
    """It said no before it had read the dot, and did read it then."""
    return server.broken is not None and server.broken.how is How.REFUSE and server.broken.read is not None


async def play_all(pipelining: bool, breaks: Iterable[Break]) -> None:
    left = list(breaks)
    for start in range(0, len(left), AT_ONCE):
        batch = left[start : start + AT_ONCE]
        await asyncio.gather(*[play(BreakingServer(pipelining=pipelining, broken=one)) for one in batch])


async def whole(pipelining: bool) -> BreakingServer:
    """An unbroken run: how much is said and read."""
    server = BreakingServer(pipelining=pipelining)
    async with breaking(server), channel_to(ScriptedServer(port=server.port)) as channel:
        assert isinstance(await send(channel), Accepted)
        assert len(server.dots) == 1
    return server


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "stepwise"])
async def test_no_byte_of_its_answers_at_which_a_server_breaks_is_mistaken(pipelining: bool, how: How) -> None:
    length = (await whole(pipelining)).said.index(b"221 ")
    await play_all(pipelining, [Break(how=how, written=at) for at in range(1, length + 1)])


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "stepwise"])
async def test_no_byte_it_reads_at_which_a_server_breaks_is_mistaken(pipelining: bool, how: How) -> None:
    heard = (await whole(pipelining)).heard
    end = heard.index(b"\r\n.\r\n") + 5
    begin = heard.index(b"DATA\r\n") + 6
    # Each of the envelope's and of the content's ends; between them what is so costly to wait for only here and there.
    step = 1 if how is How.CLOSE else 29
    reads = {*range(1, begin + 5), *range(begin, end - 5, step), *range(end - 12, end + 1)}
    await play_all(pipelining, [Break(how=how, read=at) for at in sorted(reads)])


async def test_the_judge_knows_a_lie() -> None:
    """Against the judge itself: each wrong outcome is seen."""
    server = await whole(True)
    answered = [bytes(server.dots[0].said)]
    with pytest.raises(AssertionError):
        judge(server, Accepted(provider_id="", code="250"), [])
    with pytest.raises(AssertionError):
        judge(server, Deferred(scope=None, code="", reason=""), answered)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        judge(server, Deferred(scope=None, code="", reason=""), [b""])  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        judge(BreakingServer(pipelining=True), Ambiguous(code="", reason=""), [])
    assert MAIL != SECOND
