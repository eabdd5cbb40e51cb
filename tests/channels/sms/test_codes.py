"""The table of consequences, row by row, over the wire."""

from datetime import timedelta

import pytest

from outagecast.channels.sms.codes import CONSEQUENCES, masked, outcome_of, suppression
from outagecast.domain.delivery import Ambiguous, Deferred, FailureScope, Rejected
from tests.channels.sms.test_channel import outcome
from tests.support.twilio_gateway import Step

MESSAGE, ADDRESS, ROUTE = FailureScope
# What the operator relies on, written once more by hand: (code, again, scope, suppress_as).
EXPECTED = [
    (20003, False, ROUTE, None),
    (20404, False, ROUTE, None),
    (20429, True, ROUTE, None),
    (20500, True, ROUTE, None),
    (20503, True, ROUTE, None),
    (21211, False, ADDRESS, "dead_address"),
    (21214, False, ADDRESS, None),
    (21217, False, ADDRESS, None),
    (21268, False, ADDRESS, None),
    (21408, False, ROUTE, None),
    (21601, False, ROUTE, None),
    (21606, False, ROUTE, None),
    (21610, False, ADDRESS, "opted_out"),
    (21611, True, ROUTE, None),
    (21612, False, MESSAGE, None),
    (21614, False, ADDRESS, "dead_address"),
    (21617, False, MESSAGE, None),
    (30001, True, ROUTE, None),
    (30002, False, ROUTE, None),
    (30003, True, MESSAGE, None),
    (30004, False, ADDRESS, None),
    (30005, False, ADDRESS, "dead_address"),
    (30006, False, ADDRESS, "dead_address"),
    (30007, False, MESSAGE, None),
    (30008, True, MESSAGE, None),
    (30017, True, MESSAGE, None),
    (30022, True, ROUTE, None),
    (30023, True, MESSAGE, None),
    (30024, False, MESSAGE, None),
    (30027, True, MESSAGE, None),
    (30032, False, ROUTE, None),
    (30034, False, ROUTE, None),
    (30410, True, MESSAGE, None),
    (30500, True, MESSAGE, None),
    (63018, True, ROUTE, None),
]


@pytest.mark.parametrize(("code", "again", "scope", "suppress_as"), EXPECTED)
async def test_what_each_code_means(code: int, again: bool, scope: FailureScope, suppress_as: str | None) -> None:
    result, _ = await outcome(Step(status=400, code=code, message="because"))
    if again:
        assert isinstance(result, Deferred)
    else:
        assert isinstance(result, Rejected)
        assert result.suppress_as == suppress_as
    assert (result.scope, result.code, result.reason) == (scope, str(code), "because")


@pytest.mark.parametrize("code", sorted(CONSEQUENCES))
async def test_every_row_of_the_table_reaches_the_outcome(code: int) -> None:
    row = CONSEQUENCES[code]
    result = outcome_of(400, f'{{"code": {code}, "message": "m", "status": 400}}', None)
    assert isinstance(result, Deferred if row.again else Rejected)
    assert result.scope is row.scope
    assert suppression(code) == row.suppress_as
    assert (row.suppress_as is None) or row.scope is ADDRESS


@pytest.mark.parametrize("code", [30023, 30027])
async def test_a_daily_cap_waits_for_hours_and_429_with_it_too(code: int) -> None:
    for status in (400, 429):
        result, _ = await outcome(Step(status=status, code=code))
        assert isinstance(result, Deferred)
        assert result.retry_after is not None and result.retry_after >= timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, Rejected, MESSAGE),
        (401, Rejected, ROUTE),
        (403, Rejected, ROUTE),
        (404, Rejected, ROUTE),
        (408, Deferred, ROUTE),
        (422, Rejected, MESSAGE),
        (429, Deferred, ROUTE),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>busy</html>", "[1]", '{"code": "x", "message": 5}', '{"code": 99999}'])
async def test_without_a_known_code_the_status_decides(
    status: int, kind: type[Deferred | Rejected], scope: FailureScope, body: str
) -> None:
    result, _ = await outcome(Step(status=status, text=body))
    assert isinstance(result, kind)
    assert result.scope is scope
    assert result.reason


def test_429_with_a_final_code_is_still_only_later() -> None:
    result = outcome_of(429, '{"code": 21610, "message": "m"}', None)
    assert isinstance(result, Deferred)
    assert result.scope is ROUTE


def test_5xx_is_ambiguous_whatever_it_says() -> None:
    assert isinstance(outcome_of(503, '{"code": 20503, "message": "m"}', None), Ambiguous)


def test_the_rfc_9457_shape_is_read_too() -> None:
    body = '{"type": "about:blank", "title": "Bad", "status": 400, "code": 21610, "detail": "said STOP"}'
    result = outcome_of(400, body, None)
    assert result == Rejected(scope=ADDRESS, code="21610", reason="said STOP", suppress_as="opted_out")


def test_words_are_short_single_lines_without_numbers() -> None:
    assert (
        masked("to +18595550123\n and 491511234567 in 2026-01-14: 30 s")
        == "to +18***123 and 491***567 in 2026-01-14: 30 s"
    )
    assert len(masked("x" * 999)) == 200
