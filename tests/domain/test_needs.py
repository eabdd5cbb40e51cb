import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.needs import ThingKind, parse_needs, ref_of, refs, split_ref

REF = st.one_of(
    st.text("ABx-1. ", min_size=1).filter(str.strip),
    st.builds(
        lambda kind, name: f"{kind}:{name}",
        st.sampled_from(["circuit", "service", "site", "element"]),
        st.text("AB:1", min_size=1),
    ),
    st.sampled_from(["rtr1:xe-0/0/1", "element:site:LEX", "POP LEX"]),
)
EXPRESSION = st.lists(st.lists(REF, min_size=1, max_size=3).map("|".join), min_size=1, max_size=4).map(";".join)


def test_either_binds_tighter_than_both() -> None:
    need = parse_needs("POP-LEX;LNK-1|LNK-2")
    assert need.terms == (("element:POP-LEX",), ("element:LNK-1", "element:LNK-2"))


def test_a_prefix_names_another_kind_and_a_bare_id_an_element() -> None:
    need = parse_needs("circuit:C1;service:voice;site:LEX;element:POP-1;POP-2")
    assert refs(need) == ("circuit:C1", "service:voice", "site:LEX", "element:POP-1", "element:POP-2")


def test_an_unknown_prefix_is_part_of_the_id() -> None:
    assert refs(parse_needs("rtr1:xe-0/0/1")) == ("element:rtr1:xe-0/0/1",)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" A ; B ", "A;B"),
        ("A;A", "A"),
        ("A|A", "A"),
        ("B | A|B ;A", "B|A;A"),
        ("A|B;B|A", "A|B"),
        ("element:A; site: LEX", "A;site:LEX"),
        ("element:site:LEX", "element:site:LEX"),
        ("B;A", "B;A"),
    ],
)
def test_equal_needs_have_one_text(text: str, canonical: str) -> None:
    assert parse_needs(text).text == canonical


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("A;", 'empty need: nothing before, between or after ";" in "A;"'),
        (";A", "empty need"),
        ("A;;B", "empty need"),
        ("A|", 'empty alternative: nothing before, between or after "|" in "A|"'),
        ("A;|B", "empty alternative"),
        ("A||B", "empty alternative"),
        ("A;circuit: ", '"circuit:" names no circuit in "A;circuit:"'),
    ],
)
def test_malformed_expressions_say_what_is_missing(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_needs(text)
    assert complaint in str(caught.value)


@given(EXPRESSION)
def test_the_canonical_text_means_the_same_and_stays_as_it_is(text: str) -> None:
    need = parse_needs(text)
    assert parse_needs(need.text) == need
    assert parse_needs(need.text).text == need.text
    assert set(refs(need)) == {ref for term in need.terms for ref in term}


def test_a_ref_is_its_kind_and_id() -> None:
    assert ref_of(ThingKind.ELEMENT, "rtr1:xe") == "element:rtr1:xe"
    assert split_ref("element:rtr1:xe") == (ThingKind.ELEMENT, "rtr1:xe")
    with pytest.raises(ValueError):
        split_ref("LEX")
