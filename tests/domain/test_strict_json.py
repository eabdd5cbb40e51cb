"""JSON that Python's own reader would let through, or choke on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.strict_json import DEEPEST, parse_json


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NaN", "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ("[" * 100_000 + "]" * 100_000, "deeper"),
        ('{"a":' * 40 + "1" + "}" * 40, "deeper"),
        ("9" * 5000, "digits"),
        ('{"a": 1,}', "line 1"),
        ("", "not JSON"),
        ("{'a': 1}", "not JSON"),
    ],
)
def test_refused_with_one_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_brackets_inside_texts_do_not_count() -> None:
    assert parse_json(json.dumps({"a": "[" * 100, "b": '"]' * 50})) == {"a": "[" * 100, "b": '"]' * 50}
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)[0] is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_everything_else_is_read_as_python_reads_it(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
