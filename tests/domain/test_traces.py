"""A person's address, number and name are found however they were written; what only looks alike is not."""

import pytest

from outagecast.domain.traces import ERASED, found_in, trace_of_email, trace_of_name, trace_of_phone, without

MAIL = trace_of_email("ann.dole@acme.example", "erased-7")
PHONE = trace_of_phone("+18595550123", "erased-8")
GERMAN = trace_of_phone("+4915123456789", "erased-9")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to Ann.Dole@ACME.example.", "write to erased-7."),
        ("550 <ann.dole@acme.example>: no such user", "550 <erased-7>: no such user"),
        ("joann.dole@acme.example", "joann.dole@acme.example"),
        ("x-ann.dole@acme.example", "x-ann.dole@acme.example"),
        ("ann.dole@acme.example.org", "ann.dole@acme.example.org"),
        ("ann-dole@acme.example", "ann-dole@acme.example"),
    ],
)
def test_an_address(text: str, left: str) -> None:
    assert without(text, [MAIL]) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("+18595550123", "erased-8"),
        ("call 859-555-0123 now", "call erased-8 now"),
        ("(859) 555-0123", "erased-8"),
        ("1 859.555.0123", "erased-8"),
        ("0018595550123", "erased-8"),
        ("+1 859 555 01234", "+1 859 555 01234"),
        ("1708595550123000", "1708595550123000"),
        ("555-0123", "555-0123"),
    ],
)
def test_a_number(text: str, left: str) -> None:
    assert without(text, [PHONE]) == left


@pytest.mark.parametrize("text", ["0151 2345 6789", "+49 151 23456789", "0151/23456789", "004915123456789"])
def test_a_number_with_the_nought_of_its_country(text: str) -> None:
    assert without(f"ruf {text} an", [GERMAN]) == "ruf erased-9 an"


def test_a_name_of_two_words_only() -> None:
    trace = trace_of_name("José  García")
    assert trace is not None
    assert (
        without("told JOSÉ GARCÍA and José\nGarcía; Garcías too", [trace]) == f"told {ERASED} and {ERASED}; Garcías too"
    )
    assert without('{"who": "Jos\\u00e9 Garc\\u00eda"}', [trace]) == f'{{"who": "{ERASED}"}}'
    assert trace_of_name("Ann") is None
    assert trace_of_name("") is None


def test_every_trace_holds_its_hint() -> None:
    """What a database is asked for first must not leave anything out."""
    for trace, texts in (
        (MAIL, ["ANN.DOLE@acme.example"]),
        (PHONE, ["859-555-0123", "+1 (859) 555.0123"]),
        (GERMAN, ["0151 2345 6789"]),
        (trace_of_name("Bea Long-Name"), ["BEA LONG-NAME"]),
    ):
        assert trace is not None
        assert all(found_in([text], [trace]) and trace.hint in text.lower() for text in texts)


def test_values_of_json_keep_their_shape() -> None:
    value = {"to": "ann.dole@acme.example", "n": [1, None, True, "859 555 0123"], "ann.dole@acme.example": 2.5}
    assert without(value, [MAIL, PHONE]) == {"to": "erased-7", "n": [1, None, True, "erased-8"], "erased-7": 2.5}
