"""What each failure at each step of a session comes to: nothing is called sent that was not, nor unsent that may be."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected
from outagecast.domain.message import Attachment
from tests.support.mails import channel_to, mail, send
from tests.support.smtp_server import At, Drip, Drop, Fault, Hang, Say, ScriptedServer, serving

MESSAGE, ADDRESS, ROUTE = FailureScope.MESSAGE, FailureScope.ADDRESS, FailureScope.ROUTE
PIPELINED = ("PIPELINING", "SIZE 20971520")
STEPWISE = ("SIZE 20971520",)
GARBAGE = Say(octets=b"HTTP/1.1 400 Bad Request\r\n\r\n")
LARGE = mail(attachments=(Attachment(filename="list.csv", content_type="text/csv", content=bytes(12 << 20)),))
"""More than what the sockets of both sides hold, so that the dot cannot have left when the server stops reading."""

Expected = tuple[type[Outcome], FailureScope | None, str]
SENT: Expected = (Accepted, None, "250")
UNKNOWN: Expected = (Ambiguous, None, "smtp_")

TABLE: list[tuple[At, Fault, Expected]] = [
    (At.CONNECT, Drop(), (Deferred, ROUTE, "")),
    (At.CONNECT, Hang(), (Deferred, ROUTE, "smtp_timeout")),
    (At.CONNECT, Say(octets=b"421 4.3.2 too busy\r\n"), (Deferred, ROUTE, "421 4.3.2")),
    (At.CONNECT, Say(octets=b"554 not for you\r\n"), (Deferred, ROUTE, "554")),
    (At.CONNECT, GARBAGE, (Deferred, ROUTE, "smtp_garbage")),
    (At.CONNECT, Drip(), SENT),
    (At.EHLO, Drop(), (Deferred, ROUTE, "smtp_dropped")),
    (At.EHLO, Hang(), (Deferred, ROUTE, "smtp_timeout")),
    (At.EHLO, Say(octets=b"450 not now\r\n"), (Deferred, ROUTE, "450")),
    (At.EHLO, Say(octets=b"550 never\r\n"), (Deferred, ROUTE, "550")),
    (At.EHLO, GARBAGE, (Deferred, ROUTE, "smtp_garbage")),
    (At.EHLO, Drip(), SENT),
    (At.MAIL, Drop(), (Deferred, ROUTE, "smtp_dropped")),
    (At.MAIL, Hang(), (Deferred, ROUTE, "smtp_timeout")),
    (At.MAIL, Say(octets=b"451 4.3.0 not now\r\n"), (Deferred, MESSAGE, "451 4.3.0")),
    (At.MAIL, Say(octets=b"421 closing\r\n", then_drop=True), (Deferred, ROUTE, "421")),
    (At.MAIL, Say(octets=b"550 5.7.1 never\r\n"), (Rejected, MESSAGE, "550 5.7.1")),
    (At.MAIL, Say(octets=b"530 5.7.0 log in first\r\n"), (Rejected, ROUTE, "530 5.7.0")),
    (At.MAIL, GARBAGE, (Deferred, ROUTE, "smtp_garbage")),
    (At.MAIL, Say(octets=b"354 what?\r\n"), (Deferred, MESSAGE, "smtp_garbage")),
    (At.MAIL, Drip(), SENT),
    (At.RCPT, Drop(), (Deferred, MESSAGE, "smtp_dropped")),
    (At.RCPT, Hang(), (Deferred, MESSAGE, "smtp_timeout")),
    (At.RCPT, Say(octets=b"450 4.2.0 Greylisted, come back\r\n"), (Deferred, ADDRESS, "450 4.2.0")),
    (At.RCPT, Say(octets=b"550-5.1.1 no such\r\n550 5.1.1 user\r\n"), (Rejected, ADDRESS, "550 5.1.1")),
    (At.RCPT, Say(octets=b"421 closing\r\n", then_drop=True), (Deferred, ROUTE, "421")),
    (At.RCPT, GARBAGE, (Deferred, MESSAGE, "smtp_garbage")),
    (At.RCPT, Say(octets=b"251 will forward\r\n"), SENT),
    (At.RCPT, Drip(), SENT),
    (At.DATA, Drop(), (Deferred, MESSAGE, "smtp_dropped")),
    (At.DATA, Hang(), (Deferred, MESSAGE, "smtp_timeout")),
    (At.DATA, Say(octets=b"451 not now\r\n"), (Deferred, MESSAGE, "451")),
    (At.DATA, Say(octets=b"554 no\r\n"), (Rejected, MESSAGE, "554")),
    (At.DATA, Say(octets=b"250 sure\r\n"), (Deferred, MESSAGE, "smtp_garbage")),
    (At.DATA, Say(octets=b"354 go\r\n250 taken before it was said\r\n"), (Deferred, MESSAGE, "smtp_unasked")),
    (At.DATA, GARBAGE, (Deferred, MESSAGE, "smtp_garbage")),
    (At.DATA, Drip(), SENT),
    (At.DOT, Drop(), (Ambiguous, None, "smtp_dropped")),
    (At.DOT, Hang(), (Ambiguous, None, "smtp_timeout")),
    (At.DOT, Say(octets=b"451 4.3.0 not now\r\n"), (Deferred, MESSAGE, "451 4.3.0")),
    (At.DOT, Say(octets=b"421 4.3.2 closing\r\n", then_drop=True), (Deferred, ROUTE, "421 4.3.2")),
    (At.DOT, Say(octets=b"554 5.7.1 spam\r\n"), (Rejected, MESSAGE, "554 5.7.1")),
    (At.DOT, Say(octets=b"550 5.1.1 no such user\r\n"), (Rejected, ADDRESS, "550 5.1.1")),
    (At.DOT, GARBAGE, (Ambiguous, None, "smtp_garbage")),
    (At.DOT, Say(octets=b"354 more?\r\n"), (Ambiguous, None, "smtp_garbage")),
    (At.DOT, Say(octets=b"221 bye\r\n", then_drop=True), (Ambiguous, None, "smtp_garbage")),
    (At.DOT, Say(octets=b"250-first\r\n550 then\r\n"), (Ambiguous, None, "smtp_garbage")),
    (At.DOT, Say(octets=b"250 no line end", then_drop=True), (Ambiguous, None, "smtp_dropped")),
    (At.DOT, Say(octets=b"250\r\n"), SENT),
    (At.DOT, Drip(), SENT),
    (At.AFTER, Drop(), SENT),
    (At.AFTER, Hang(), SENT),
    (At.AFTER, Say(octets=b"451 too late\r\n"), SENT),
    (At.AFTER, Say(octets=b"550 too late\r\n"), SENT),
    (At.AFTER, GARBAGE, SENT),
]


def patience_with(fault: Fault) -> float:
    return 0.3 if isinstance(fault, Hang) else 10


def check(outcome: Outcome, expected: Expected) -> None:
    kind, scope, code = expected
    assert type(outcome) is kind, outcome
    assert getattr(outcome, "scope", None) is scope, outcome
    assert outcome.code.startswith(code), outcome


@pytest.mark.parametrize("extensions", [PIPELINED, STEPWISE], ids=["pipelined", "stepwise"])
@pytest.mark.parametrize(("at", "fault", "expected"), TABLE, ids=[f"{at}-{fault}" for at, fault, _ in TABLE])
async def test_a_fault_is_told_by_what_can_be_known(
    extensions: tuple[str, ...], at: At, fault: Fault, expected: Expected
) -> None:
    server = ScriptedServer(extensions=extensions, faults={at: fault})
    async with serving(server), channel_to(server, patience=patience_with(fault)) as channel:
        check(await send(channel), expected)
        assert len(server.dots) == (1 if at in (At.DOT, At.AFTER) or expected == SENT else 0)
        if at is not At.AFTER:
            # Whatever happened to this one, the next goes its own way.
            server.faults.clear()
            check(await send(channel), SENT)


@pytest.mark.parametrize("extensions", [PIPELINED, STEPWISE], ids=["pipelined", "stepwise"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Drop(), (Deferred, MESSAGE, "smtp_dropped")),
        (Hang(), (Deferred, MESSAGE, "smtp_timeout")),
        (Say(octets=b"452 4.3.1 disk full\r\n"), (Deferred, ROUTE, "452 4.3.1")),
        (Say(octets=b"552 5.3.4 too big\r\n"), (Rejected, MESSAGE, "552 5.3.4")),
        (Say(octets=b"250 what a lovely mail\r\n"), (Deferred, MESSAGE, "smtp_garbage")),
    ],
    ids=str,
)
async def test_a_fault_amid_the_content_means_not_sent(
    extensions: tuple[str, ...], fault: Fault, expected: Expected
) -> None:
    server = ScriptedServer(extensions=extensions, faults={At.BODY: fault}, body_stop=5000, deaf_after_body=True)
    async with serving(server), channel_to(server, patience=patience_with(fault)) as channel:
        check(await send(channel, LARGE), expected)
        assert server.dots == []
        server.faults.clear()
        check(await send(channel), SENT)


@pytest.mark.parametrize("extensions", [PIPELINED, STEPWISE], ids=["pipelined", "stepwise"])
async def test_no_byte_at_which_a_server_hangs_up_is_mistaken(extensions: tuple[str, ...]) -> None:
    whole = ScriptedServer(extensions=extensions)
    async with serving(whole), channel_to(whole) as channel:
        check(await send(channel), SENT)
    last = next(i for i, answer in enumerate(whole.answers) if b"queued" in answer)
    final_250 = sum(map(len, whole.answers[:last]))
    length = final_250 + len(whole.answers[last])
    for cut in range(length + 1):
        server = ScriptedServer(extensions=extensions, cut_after=cut)
        async with serving(server), channel_to(server) as channel:
            outcome = await send(channel)
        expected = SENT if cut == length else UNKNOWN if cut >= final_250 else (Deferred, outcome_scope(outcome), "")
        check(outcome, expected)
        assert (len(server.dots), server.acknowledged) == (int(cut >= final_250), int(cut == length))


def outcome_scope(outcome: Outcome) -> FailureScope | None:
    return getattr(outcome, "scope", None)


@settings(max_examples=60, deadline=None)
@given(
    pipelining=st.booleans(),
    at=st.sampled_from([At.CONNECT, At.EHLO, At.MAIL, At.RCPT, At.DATA, At.DOT]),
    octets=st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda code, dash, text, end: f"{code}{dash}{text}".encode() + end,
            st.integers(min_value=0, max_value=999),
            st.sampled_from([" ", "-", ""]),
            st.text(alphabet="ab5.1 ", max_size=10),
            st.sampled_from([b"\r\n", b"\n", b""]),
        ),
    ),
    then_drop=st.booleans(),
)
def test_whatever_a_server_says_only_a_final_250_is_a_yes(
    pipelining: bool, at: At, octets: bytes, then_drop: bool
) -> None:
    async def play() -> None:
        server = ScriptedServer(
            extensions=PIPELINED if pipelining else STEPWISE, faults={at: Say(octets=octets, then_drop=then_drop)}
        )
        async with serving(server), channel_to(server, patience=0.05) as channel:
            outcome = await send(channel)
        if isinstance(outcome, Accepted):
            assert server.dots
            assert at is not At.DOT or octets.startswith(b"25")
        elif isinstance(outcome, Ambiguous):
            assert server.dots
        elif server.dots:
            assert at is At.DOT
            assert octets[:1] in (b"4", b"5")

    asyncio.run(play())


async def test_a_mail_that_hangs_up_on_its_own_kept_session_is_tried_once_on_a_new_one() -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        check(await send(channel), SENT)
        server.faults[At.MAIL] = Drop()
        server.only_first = True
        check(await send(channel), SENT)
        assert (server.connections, server.acknowledged) == (2, 2)


@pytest.mark.parametrize("last_words", [b"421 4.4.2 idle too long\r\n", b""], ids=["421", "silence"])
async def test_a_server_that_left_while_nobody_spoke_is_noticed_before_the_next_mail(last_words: bytes) -> None:
    server = ScriptedServer()
    async with serving(server), channel_to(server) as channel:
        check(await send(channel), SENT)
        await server.hang_up_on_all(last_words)
        check(await send(channel), SENT)
        assert (server.connections, server.acknowledged) == (2, 2)


async def test_when_the_recipient_is_refused_but_data_is_granted_a_lone_dot_ends_it() -> None:
    server = ScriptedServer(faults={At.RCPT: Say(octets=b"550 5.1.1 no\r\n"), At.DATA: Say(octets=b"354 go ahead\r\n")})
    async with serving(server), channel_to(server) as channel:
        check(await send(channel), (Rejected, ADDRESS, "550 5.1.1"))
        assert server.dots == [b""]
        server.faults.clear()
        check(await send(channel), SENT)
        assert server.connections == 1
        assert b"Hello Ada" in server.dots[1]


async def test_a_refusal_leaves_no_transaction_open() -> None:
    server = ScriptedServer(faults={At.RCPT: Say(octets=b"550 5.1.1 no\r\n")})
    async with serving(server), channel_to(server) as channel:
        await send(channel)
        server.faults.clear()
        check(await send(channel), SENT)
        assert server.connections == 1
        assert [command.split(":")[0] for command in server.commands[-4:]] == ["RSET", "MAIL FROM", "RCPT TO", "DATA"]


async def test_a_session_whose_reset_is_refused_is_left() -> None:
    server = ScriptedServer(faults={At.RCPT: Say(octets=b"550 5.1.1 no\r\n")})
    async with serving(server), channel_to(server) as channel:
        await send(channel)
        server.faults = {At.RSET: Say(octets=b"502 what is that\r\n")}
        check(await send(channel), SENT)
        assert server.connections == 2


async def test_a_cancelled_mail_takes_its_session_with_it() -> None:
    server = ScriptedServer(faults={At.DOT: Hang()})
    async with serving(server), channel_to(server) as channel:
        task = asyncio.create_task(send(channel))
        await server.dotted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.faults.clear()
        check(await send(channel), SENT)
        assert server.connections == 2


async def test_nobody_listening_is_a_route_that_is_down() -> None:
    server = ScriptedServer()
    async with serving(server):
        pass
    async with channel_to(server) as channel:
        check(await send(channel), (Deferred, ROUTE, "connect_failed"))
