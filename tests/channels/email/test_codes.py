import pytest

from outagecast.channels.email.codes import Reply, Stage, classify, enhanced, explain, queue_id
from outagecast.domain.delivery import Deferred, FailureScope, Rejected

MESSAGE, ADDRESS, ROUTE = FailureScope.MESSAGE, FailureScope.ADDRESS, FailureScope.ROUTE


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind", "scope", "suppress_as"),
    [
        (Stage.RCPT, 550, "5.1.1 no such user", Rejected, ADDRESS, "dead_address"),
        (Stage.RCPT, 550, "5.1.2 no such domain", Rejected, ADDRESS, "dead_address"),
        (Stage.RCPT, 553, "5.1.3 bad syntax", Rejected, ADDRESS, "dead_address"),
        (Stage.RCPT, 551, "5.1.6 has moved", Rejected, ADDRESS, "dead_address"),
        (Stage.RCPT, 550, "5.2.1 mailbox disabled", Rejected, ADDRESS, "dead_address"),
        (Stage.DOT, 550, "5.1.1 no such user", Rejected, ADDRESS, "dead_address"),
        # The same code where no recipient was named yet speaks of the sender.
        (Stage.MAIL, 550, "5.1.1 no such user", Rejected, MESSAGE, None),
        (Stage.RCPT, 552, "5.2.2 mailbox full", Deferred, ADDRESS, None),
        (Stage.RCPT, 552, "too much mail data", Deferred, ADDRESS, None),
        (Stage.DOT, 552, "message too large", Rejected, MESSAGE, None),
        (Stage.RCPT, 550, "5.7.1 blocked by policy", Rejected, MESSAGE, None),
        (Stage.DOT, 554, "5.7.1 looks like spam", Rejected, MESSAGE, None),
        (Stage.RCPT, 550, "user unknown, no such mailbox", Rejected, MESSAGE, None),
        (Stage.RCPT, 550, "rejected, see 5.1.1 in our help", Rejected, MESSAGE, None),
        (Stage.RCPT, 550, "5.1.10 something else", Rejected, MESSAGE, None),
        (Stage.MAIL, 550, "5.1.8 bad sender", Rejected, ROUTE, None),
        (Stage.MAIL, 530, "5.7.0 must authenticate", Rejected, ROUTE, None),
        (Stage.RCPT, 535, "5.7.8 credentials expired", Rejected, ROUTE, None),
        (Stage.RCPT, 450, "4.2.0 Greylisted", Deferred, ADDRESS, None),
        (Stage.RCPT, 451, "4.7.1 Greylisting in action", Deferred, ADDRESS, None),
        (Stage.RCPT, 452, "4.3.1 insufficient storage", Deferred, ROUTE, None),
        (Stage.MAIL, 451, "local error", Deferred, MESSAGE, None),
        (Stage.DOT, 451, "4.3.0 queue file", Deferred, MESSAGE, None),
        (Stage.RCPT, 421, "4.3.2 closing", Deferred, ROUTE, None),
        (Stage.DOT, 421, "closing", Deferred, ROUTE, None),
    ],
)
def test_a_refusal_reaches_as_far_as_its_code_says(
    stage: Stage,
    code: int,
    text: str,
    kind: type[Deferred | Rejected],
    scope: FailureScope,
    suppress_as: str | None,
) -> None:
    outcome = classify(stage, Reply(code, text))
    assert type(outcome) is kind
    assert outcome.scope is scope
    assert getattr(outcome, "suppress_as", None) == suppress_as
    assert outcome.code.startswith(str(code))
    assert text in outcome.reason


def test_a_yes_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="250"):
        classify(Stage.RCPT, Reply(250, "ok"))


@pytest.mark.parametrize(
    ("text", "code"),
    [("5.1.1 gone", "5.1.1"), ("5.1.1", "5.1.1"), ("gone 5.1.1", ""), ("5.1.1.7 host", ""), ("1.5.1 x", ""), ("", "")],
)
def test_an_enhanced_code_stands_at_the_front(text: str, code: str) -> None:
    assert enhanced(text) == code


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.0.0 Ok: queued as 4F2C11A0B", "4F2C11A0B"),
        ("OK id=1tXyZ2-0003Ab-1c", "1tXyZ2-0003Ab-1c"),
        ("2.6.0 <a@b> [InternalId=5527, Hostname=x] Queued mail for delivery", "5527"),
        ("2.0.0 4AM45gq7012345 Message accepted for delivery", "4AM45gq7012345"),
        ("Ok 0100018c2f-1a2b-000000", "0100018c2f-1a2b-000000"),
        ("2.0.0 Ok", ""),
        ("thank you", ""),
    ],
)
def test_the_servers_own_number_is_found(text: str, number: str) -> None:
    assert queue_id(text) == number


def test_a_reason_is_one_bounded_line() -> None:
    reason = explain(Stage.RCPT, Reply(550, "no\r\nroot:\x1b[31m" + "x" * 5000))
    assert "\n" not in reason
    assert "\x1b" not in reason
    assert len(reason) < 400
