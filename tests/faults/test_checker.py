"""The checker itself: what is planted into a true story must be reported, each by the invariant that forbids it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.invariants import CHECKS, ELSEWHERE, Scenery, judge
from tests.faults.scene import Judgement, scenes
from tests.faults.town import mail, phone

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Judgement]:
    """A story without a fault: declared, updated, resolved, everybody heard each."""
    folder = tmp_path_factory.mktemp("checker")
    with scenes(folder, customers=3) as [scene]:
        scene.set()
        scene.start()
        first = scene.declare()
        scene.settle(first)
        scene.settle(scene.update(first.outage, eta="2030-01-01T12:00:00Z"))
        scene.settle(scene.resolve(first.outage))
        scene.receipts_in()
        yield scene.judge(clean=True)


def test_a_true_story_breaks_nothing(told: Judgement) -> None:
    figures = told.must_be_kept()
    assert (figures.messages, figures.lost, figures.explained, figures.unexplained) == (3 * 8, 0, 0, 0)


def test_every_invariant_is_checked_or_has_its_reason() -> None:
    assert sorted({*CHECKS, *ELSEWHERE}, key=lambda name: int(name[1:])) == [f"I{n}" for n in range(1, 31)]
    assert not set(CHECKS) & set(ELSEWHERE)
    assert all(check.__name__ == name.lower() and check.__doc__ for name, check in CHECKS.items())


def lose_a_mail(records: Records) -> Records:
    return _without(records, last(records, "mail", mail(1)))


def lose_an_early_text(records: Records) -> Records:
    return _without(records, first(records, "sms", phone(2)))


def say_a_mail_twice(records: Records) -> Records:
    return [*records, first(records, "mail", mail(1)) | {"n": 10**6}]


def say_a_text_twice(records: Records) -> Records:
    return [*records, first(records, "sms", phone(1)) | {"n": 10**6, "sid": "SMsecond"}]


def swap_two_mails(records: Records) -> Records:
    """The update before the acknowledgement."""
    ours = [r for r in records if r["type"] == "mail" and r["rcpt"] == mail(2)]
    return [{id(ours[0]): ours[1], id(ours[1]): ours[0]}.get(id(r), r) for r in records]


def speak_after_the_end(records: Records) -> Records:
    ours = [r for r in records if r["type"] == "mail" and r["rcpt"] == mail(3)]
    return [*(r for r in records if r is not ours[1]), ours[1]]


def tell_a_stranger(records: Records) -> Records:
    return [*records, first(records, "mail", mail(1)) | {"rcpt": mail(911)}]


def tell_of_another(records: Records) -> Records:
    mine, other = last(records, "sms", phone(1)), last(records, "sms", phone(2))
    return [r | {"body": other["body"]} if r is mine else r for r in records]


def rename_a_retry(records: Records) -> Records:
    mine = first(records, "mail", mail(1))
    return [*records, mine | {"raw": mine["raw"].replace("Message-ID: <oc.", "Message-ID: <other.")}]


def send_without_a_row(records: Records) -> Records:
    mine = first(records, "sms", phone(1))
    return [r | {"attempt": "attempt=unheard-of"} if r is mine else r for r in records]


def deny_a_receipt(records: Records) -> Records:
    sid = first(records, "sms", phone(1))["sid"]
    return [r | {"status": "undelivered"} if r["type"] == "sms_status" and r["sid"] == sid else r for r in records]


PLANTED: dict[Callable[[Records], Records], set[str]] = {
    lose_a_mail: {"I1", "I30"},
    lose_an_early_text: {"I1", "I30"},
    say_a_mail_twice: {"I2"},
    say_a_text_twice: {"I2"},
    swap_two_mails: {"I9", "I7"},
    speak_after_the_end: {"I8"},
    tell_a_stranger: {"I14"},
    tell_of_another: {"I14"},
    rename_a_retry: {"I2"},
    send_without_a_row: {"I23"},
    deny_a_receipt: {"I10"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_reported(told: Judgement, plant: Callable[[Records], Records]) -> None:
    true = told.scenery
    figures, breaches = judge(_with(true, plant([dict(r) for r in true.records])))
    assert PLANTED[plant] <= {breach.invariant for breach in breaches}
    assert (figures.lost > 0) == plant.__name__.startswith("lose")
    twice = plant.__name__.endswith("twice") or plant in (rename_a_retry, tell_a_stranger, tell_of_another)
    assert figures.unexplained == 0 or twice
    if plant in (say_a_mail_twice, say_a_text_twice):
        assert figures.unexplained == 1


def test_what_was_never_said_and_what_was_confirmed_and_lost_are_reported(told: Judgement) -> None:
    true = told.scenery
    words = true.told.words
    forgotten = replace_words(true, words[:-1])
    assert {"I4"} <= {breach.invariant for breach in judge(forgotten)[1]}
    invented = replace_words(true, [*words, replace(words[-1], revision=99, word="Word-ffffff")])
    figures, breaches = judge(invented)
    assert figures.lost == 8 and {"I1", "I4"} <= {breach.invariant for breach in breaches}
    nobody = replace_words(true, [])
    assert "I5" in {breach.invariant for breach in judge(nobody)[1]}


def test_a_log_that_tells_too_much_is_reported(told: Judgement) -> None:
    true = told.scenery
    for leak in (mail(1), phone(1), "Cafe CX001", true.told.words[0].word, true.town.template.token):
        leaking = _with(true, list(true.records), log=f'{{"event": "sent", "to": "{leak}"}}')
        assert [breach.invariant for breach in judge(leaking)[1]] == ["I28"]


def first(records: Records, kind: str, address: str) -> dict[str, Any]:
    return next(r for r in records if r["type"] == kind and r["rcpt" if kind == "mail" else "to"] == address)


def last(records: Records, kind: str, address: str) -> dict[str, Any]:
    return first(records[::-1], kind, address)


def _without(records: Records, one: dict[str, Any]) -> Records:
    return [record for record in records if record is not one]


def _with(true: Scenery, records: Any, log: str = "") -> Scenery:
    return replace(true, records=records, log=log)


def replace_words(true: Scenery, words: Any) -> Scenery:
    return replace(true, told=replace(true.told, words=list(words)))
