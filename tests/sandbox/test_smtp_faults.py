import asyncio
import time

import pytest

from outagecast.sandbox import FaultBook, Sandbox
from outagecast.sandbox.faults import BadFault

BODY = b"From: a@x.example\r\nMessage-ID: <1@x>\r\nDate: x\r\n\r\nHello\r\n.\r\n"
STEPS = {
    "ehlo": b"EHLO me\r\n",
    "mail": b"MAIL FROM:<a@x.example>\r\n",
    "rcpt": b"RCPT TO:<b@y.example>\r\n",
    "data": b"DATA\r\n",
    "dot": BODY,
    "quit": b"QUIT\r\n",
}


class Lost(Exception):
    """The connection ended; after which step, and how ("reset", "closed", "silent", "refused")."""

    def __init__(self, step: str, how: str) -> None:
        super().__init__(step, how)
        self.step, self.how = step, how


async def talk(sandbox: Sandbox, *, patience: float = 5) -> dict[str, bytes]:
    """One mail, one command at a time: the replies by step; raises Lost."""
    replies: dict[str, bytes] = {}
    step = "connect"
    writer = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
            replies[step] = await whole(reader)
            for step, words in STEPS.items():
                if step == "dot" and not replies["data"].startswith(b"354"):
                    continue
                writer.write(words)
                replies[step] = await whole(reader)
    except TimeoutError:
        raise Lost(step, "silent") from None
    except EOFError:
        raise Lost(step, "closed") from None
    except ConnectionRefusedError:
        raise Lost(step, "refused") from None
    except (ConnectionResetError, BrokenPipeError):
        raise Lost(step, "reset") from None
    finally:
        if writer is not None:
            writer.close()
    return replies


async def whole(reader: asyncio.StreamReader) -> bytes:
    text = b""
    while True:
        line = await reader.readline()
        if not line:
            raise EOFError
        text += line
        if line[3:4] != b"-":
            return text


@pytest.mark.parametrize("point", ["connect", "ehlo", "mail", "rcpt", "data", "dot", "quit"])
@pytest.mark.parametrize("code", [451, 550])
async def test_a_code_is_given_at_any_point_and_the_mail_is_not_taken(sandbox: Sandbox, point: str, code: int) -> None:
    sandbox.faults.add(channel="smtp", mode="code", code=code, text="4.7.1 Not now", at=point)
    try:
        replies = await talk(sandbox)
        assert replies[point] == f"{code} 4.7.1 Not now\r\n".encode()
    except Lost as lost:
        assert (point, lost.how) == ("connect", "closed")
    assert len(sandbox.records("mail")) == (1 if point == "quit" else 0)
    [fault] = sandbox.records("fault")
    assert fault["point"] == point


@pytest.mark.parametrize("point", ["connect", "ehlo", "mail", "rcpt", "data", "body", "dot"])
@pytest.mark.parametrize(("mode", "how"), [("reset", "reset"), ("close", "closed"), ("hang", "silent")])
async def test_the_line_breaks_at_any_point_and_the_mail_is_not_taken(
    sandbox: Sandbox, point: str, mode: str, how: str
) -> None:
    sandbox.faults.add(channel="smtp", mode=mode, at=point)
    with pytest.raises(Lost) as lost:
        await talk(sandbox, patience=0.15 if mode == "hang" else 5)
    assert (lost.value.step, lost.value.how) == ("dot" if point == "body" else point, how)
    assert sandbox.records("mail") == []


@pytest.mark.parametrize(
    ("mode", "taken", "how"),
    [
        ("reset_before_record", 0, "reset"),
        ("reset_after_record", 1, "reset"),
        ("hang_before_record", 0, "silent"),
        ("hang_after_record", 1, "silent"),
    ],
)
async def test_the_moment_where_nobody_can_know(sandbox: Sandbox, mode: str, taken: int, how: str) -> None:
    sandbox.faults.add(channel="smtp", mode=mode)
    with pytest.raises(Lost) as lost:
        await talk(sandbox, patience=0.15 if how == "silent" else 5)
    assert (lost.value.step, lost.value.how) == ("dot", how)
    assert len(sandbox.records("mail")) == taken
    assert sandbox.records("fault")[0]["record"] == bool(taken)


async def test_a_reset_after_the_answer_leaves_the_mail_taken(sandbox: Sandbox) -> None:
    sandbox.faults.add(channel="smtp", mode="reset", at="after")
    with pytest.raises(Lost):
        await talk(sandbox)
    assert len(sandbox.records("mail")) == 1


async def test_slow_is_late_and_then_as_usual(sandbox: Sandbox) -> None:
    for point in ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot"):
        sandbox.faults.add(channel="smtp", mode="slow", at=point, ms=20, count=1)
    began = time.monotonic()
    replies = await talk(sandbox)
    assert time.monotonic() - began >= 0.14
    assert replies["dot"].startswith(b"250")
    assert len(sandbox.records("mail")) == 1


async def test_garbage_and_dripping_replies(sandbox: Sandbox) -> None:
    sandbox.faults.add(channel="smtp", mode="garbage", at="mail", count=1)
    assert (await talk(sandbox))["mail"].startswith(b"\x00\xff")
    sandbox.faults.clear()
    sandbox.faults.add(channel="smtp", mode="drip", at="quit", code=221, text="bye", ms=1, count=1)
    assert (await talk(sandbox))["quit"] == b"221 bye\r\n"


async def test_a_hang_may_end(sandbox: Sandbox) -> None:
    sandbox.faults.add(channel="smtp", mode="hang", at="mail", ms=30)
    with pytest.raises(Lost) as lost:
        await talk(sandbox)
    assert lost.value.how == "reset"


async def test_the_port_can_be_closed_and_opened_again(sandbox: Sandbox) -> None:
    port = sandbox.smtp_port
    sandbox.faults.add(channel="smtp", mode="refuse")
    await sandbox.apply_faults()
    with pytest.raises(Lost) as lost:
        await talk(sandbox)
    assert lost.value.how == "refused"
    sandbox.faults.clear("smtp")
    await sandbox.apply_faults()
    assert sandbox.smtp_port == port
    assert (await talk(sandbox))["dot"].startswith(b"250")


def test_which_moments_a_fault_falls_on() -> None:
    book = FaultBook()
    book.add(channel="smtp", mode="451", match=r"^b@", skip=1, count=2)
    hits = [book.take("smtp", "rcpt", (address,)) is not None for address in ("b@x", "a@b@x", "b@y", "b@y", "b@y")]
    assert hits == [False, False, True, True, False]
    assert book.take("sms", "request", ("b@x",)) is None
    book.clear()
    book.add(channel="sms", mode="500", percent=30)
    hit = sum(book.take("sms", "request", ("+1",)) is not None for _ in range(1000))
    assert 250 < hit < 350


def test_the_same_seed_plays_the_same_faults() -> None:
    def played(book: FaultBook) -> list[bool]:
        book.add(channel="sms", mode="500", percent=50)
        return [book.take("sms", "request") is not None for _ in range(64)]

    book = FaultBook(seed=7)
    first = played(book)
    book.reset()
    assert played(book) == first == played(FaultBook(seed=7)) != played(FaultBook(seed=8))


@pytest.mark.parametrize(
    "wanted",
    [
        {"channel": "pigeon", "mode": "hang"},
        {"channel": "smtp", "mode": "explode"},
        {"channel": "smtp", "mode": "code"},
        {"channel": "smtp", "mode": "hang", "at": "lunch"},
        {"channel": "smtp", "mode": "451", "match": "("},
        {"channel": "smtp", "mode": "451", "colour": "red"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wanted: dict[str, object]) -> None:
    with pytest.raises(BadFault):
        FaultBook().add(**wanted)
