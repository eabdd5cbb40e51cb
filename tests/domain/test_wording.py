"""What a tired person writes at three in the morning, and what is flagged of it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.wording import Flag, WordFlag, flags, past_times

NOW = datetime(2026, 3, 3, 19, 15, tzinfo=UTC)
HERE = ZoneInfo("America/New_York")  # 14:15 there


def found(text: str, **more: object) -> list[Flag]:
    usual = {"eta": NOW + timedelta(hours=1), "no_estimate": False, "now": NOW, "zone": HERE}
    return flags([("message", text)], **{**usual, **more})  # type: ignore[arg-type]


def test_plain_words_are_left_alone() -> None:
    for text in (
        "",
        "A fibre was cut near Georgetown at 13:40. Our crew is on site and splicing.",
        "A cable fault near Main Street. We expect you back by 16:00.",
        "Down since 09:14. Power is back since 14:00 in part of Hazard.",
        "Next update by 15:00 EST. Call 859-555-0100 or write to noc@example.net.",
        "Fault found, 3 of 12 fibres are repaired.",
    ):
        assert found(text) == [], text


def test_without_an_estimate_somebody_has_to_say_so() -> None:
    assert found("", eta=None) == [Flag(kind=WordFlag.NO_ESTIMATE, field="eta")]
    assert found("", eta=None, no_estimate=True) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("We expect it back by 14:00.", ("back by 14:00",)),
        ("Restored by 2 pm, or before 2:10 p.m.", ("Restored by 2 pm", "before 2:10 p.m.")),
        ("ETA: 13.30", ("ETA: 13.30",)),
        ("expected at about 14:14", ("expected at about 14:14",)),
        ("by 14:16", ()),
        ("by 3 pm", ()),
        ("by 02:00", ()),
        ("by 3 crews", ()),
        ("since 14:00", ()),
        ("by 29:99", ()),
    ],
)
def test_promises_of_a_time_that_has_passed(text: str, words: tuple[str, ...]) -> None:
    assert past_times(text, now=NOW, zone=HERE) == words
    assert [(flag.kind, flag.words) for flag in found(text)] == ([(WordFlag.PAST, words)] if words else [])


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("The contractor is to blame.", WordFlag.BLAME, ("to blame",)),
        ("It was the fault of our carrier", WordFlag.BLAME, ("was the fault of",)),
        ("This is not our fault.", WordFlag.BLAME, ("not our fault",)),
        ("A careless digger; human  error.", WordFlag.BLAME, ("careless", "human error")),
        ("The city failed to inform us", WordFlag.BLAME, ("failed to inform",)),
        ("BGP is flapping on the uplink", WordFlag.JARGON, ("BGP", "flapping", "uplink")),
        ("POP-HAZ lost LNK-12-B", WordFlag.JARGON, ("POP-HAZ", "LNK-12-B")),
        ("OLT down, LOS on all ONTs", WordFlag.JARGON, ("OLT", "LOS", "ONTs")),
    ],
)
def test_blame_and_jargon(text: str, kind: WordFlag, words: tuple[str, ...]) -> None:
    assert found(text) == [Flag(kind=kind, field="message", words=words)]


def test_long_texts_and_the_order_of_fields() -> None:
    assert found("", most_segments=2) == []
    assert found("", most_segments=3) == [Flag(kind=WordFlag.LONG_TEXT, field="message", words=("3",))]
    both = flags(
        [("title", "OLT down"), ("message", "by 14:00")], eta=None, no_estimate=False, now=NOW, zone=HERE,
        most_segments=4,
    )  # fmt: skip
    assert [(flag.field, flag.kind.value) for flag in both] == [
        ("eta", "no_estimate"), ("title", "jargon"), ("message", "past"), ("message", "long_text"),
    ]  # fmt: skip


@given(st.text(max_size=200))
def test_any_words_can_be_read(text: str) -> None:
    for flag in found(text):
        assert flag.words
