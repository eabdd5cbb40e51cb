"""The log: JSON lines for programs, and no phone, address, token or message in any of them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from outagecast.log import mask_email, mask_phone, mask_text, redact, set_up_logging

Log = structlog.stdlib.BoundLogger


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A stream that all logging of this test goes to; what was set up before comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_own_and_foreign_records_are_json_lines(out: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(outage="OUT-2026-0001")
    log: Log = structlog.get_logger("outagecast.test")
    log.info("delivery.accepted", attempts=2, channel="sms")
    logging.getLogger("aiohttp.server").warning("slow %s", "client")
    structlog.contextvars.clear_contextvars()
    own, foreign = lines(out)
    assert own.pop("at")
    assert own == {
        "event": "delivery.accepted",
        "level": "info",
        "logger": "outagecast.test",
        "attempts": 2,
        "channel": "sms",
        "outage": "OUT-2026-0001",
    }
    assert (foreign["event"], foreign["level"], foreign["logger"]) == ("slow client", "warning", "aiohttp.server")


def test_a_terminal_gets_words_not_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Terminal()
    set_up_logging(stream)
    log: Log = structlog.get_logger("outagecast.test")
    log.info("ready", address="http://127.0.0.1:8080")
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    assert "ready" in stream.getvalue() and not stream.getvalue().startswith("{")


def test_nothing_below_the_level_is_written(out: io.StringIO) -> None:
    log: Log = structlog.get_logger("outagecast.test")
    log.debug("noise")
    assert out.getvalue() == ""


CANARIES = ("8595550100", "859 555 0100", "ann.smith", "geheim-geheim", "Your line is down")


def test_no_canary_gets_through(out: io.StringIO) -> None:
    log: Log = structlog.get_logger("outagecast.test")
    log.info("sent to +18595550100 and <ann.smith@example.net>", to="+1 (859) 555-0100", cc=["ann.smith@example.net"])
    log.info("signed in", auth_token="geheim-geheim", headers={"Authorization": "Bearer geheim-geheim", "n": 1})
    log.info("asked", line="GET /callbacks/twilio/status?To=%2B18595550100&k=geheim-geheim HTTP/1.1")
    log.info(
        "asked", url="https://h.example/my/geheim-geheim", again="/unsubscribe/geheim-geheim", body="Your line is down"
    )
    log.info("opened", database="postgresql://u:geheim-geheim@db/o", header="Authorization: Bearer geheim-geheim")
    logging.getLogger("foreign").error("cannot write to %s", "ann.smith@example.net")
    try:
        raise ValueError("ann.smith@example.net has +18595550100")
    except ValueError:
        log.exception("broken")
    assert len(lines(out)) == 7
    assert [canary for canary in CANARIES if canary in out.getvalue()] == []
    assert "Traceback" in out.getvalue() and "+18***100" in out.getvalue()


def test_a_stranger_cannot_forge_a_line(out: io.StringIO) -> None:
    log: Log = structlog.get_logger("outagecast.test")
    log.info("alert", summary='down\n{"event": "forged"}\x1b[31m\u2028\u202e')
    (line,) = lines(out)
    assert line["summary"] == 'down\\n{"event": "forged"}\\x1b[31m\\u2028\\u202e'
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    "harmless",
    [
        "OUT-2026-0001",
        "2026-11-22T04:18:00+00:00",
        "2026-11-22T04:18:00.123456+05:30",
        "http://127.0.0.1:8080/desk",
        "accepted 1204 of 1204",
        "550 5.1.1 user unknown",
        "SM00000000000000000000000000000001",
        "route down: [Errno 111] Connect call failed ('127.0.0.1', 25)",
    ],
)
def test_what_people_need_to_read_stays(harmless: str) -> None:
    assert mask_text(harmless) == harmless


@given(st.from_regex(r"\A\+[1-9][0-9]{7,14}\Z"), st.text(alphabet="abc :,;=<>\"'", max_size=5))
def test_every_international_number_is_masked(number: str, around: str) -> None:
    text = f"{around} {number} {around}"
    assert number not in mask_text(text)
    assert mask_phone(number) in mask_text(text)


@given(st.emails())
def test_every_address_is_masked(address: str) -> None:
    assert address not in mask_text(f"to <{address}>: 550")


def test_the_same_address_gives_the_same_word() -> None:
    assert mask_email("Ann@Example.net") == mask_email("ann@example.net") != mask_email("bob@example.net")


def test_values_keep_their_types() -> None:
    event = {"event": "x", "n": 1, "f": 0.5, "b": True, "none": None, "list": (1, "a"), "token": "geheim"}
    assert redact(None, "info", event) == {
        "event": "x",
        "n": 1,
        "f": 0.5,
        "b": True,
        "none": None,
        "list": [1, "a"],
        "token": "***",
    }
