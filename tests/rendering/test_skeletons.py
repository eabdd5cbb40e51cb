"""What is filled into a skeleton says to the letter what rendering for that reader alone would have said."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import FunctionLoader

from outagecast.domain.facts import OwnFacts, RevisionFacts
from outagecast.domain.message import EmailMessage
from outagecast.rendering import Renderer
from outagecast.rendering.environment import environment
from outagecast.rendering.skeletons import SLOTS, Remembered, reached, read_singly
from tests.rendering.cases import own as facts_of
from tests.rendering.cases import renderer, revision
from tests.rendering.test_properties import ODD, PLAIN, facts

SHARED, ALONE = renderer(), renderer()
AT = datetime(2026, 7, 14, 13, 20, tzinfo=UTC)
PARSER = environment(FunctionLoader(lambda _: None), escape=True)
WORDS = PLAIN | ODD | st.sampled_from(["", "%s %d %%", "{{ name }}", SLOTS[0], "  ", "Ω" * 40, "a" * 200, "Fiber"])


def _forgetful() -> Renderer:
    """A renderer that has seen nobody yet: what comes up for the first time is rendered whole."""
    ALONE._mails, ALONE._texts = Remembered(), Remembered()
    return ALONE


def _mail(by: Renderer, one: RevisionFacts, own: OwnFacts) -> EmailMessage:
    return by.email(one, own, to="a@b.example", message_id="a@b", references=(), list_id="a.b", date=AT)


def _text(by: Renderer, one: RevisionFacts, own: OwnFacts) -> str:
    return by.sms(one, own, to="+18595550100", key="k", expires_at=None).body


def _like(own: OwnFacts, name: str, label: str, place: str, number: int) -> OwnFacts:
    lines = tuple(
        replace(line, label=label, place=place, customer=name, customer_id=f"C-{number}") for line in own.lines
    )
    return replace(own, name=name, lines=lines, address_ref=number)


@settings(max_examples=150, deadline=None)
@given(facts(count=st.just(1)), st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=3, max_size=5))
def test_every_reader_of_a_wave_reads_what_he_alone_would_have_read(
    both: tuple[RevisionFacts, OwnFacts], readers: list[tuple[str, str, str]]
) -> None:
    one, own = both
    wave = [_like(own, *words, number) for number, words in enumerate((*readers, *readers))]
    for reader in wave:
        alone = _forgetful()
        assert _mail(SHARED, one, reader) == _mail(alone, one, reader)
        assert _text(SHARED, one, reader) == _text(alone, one, reader)


def test_from_the_third_reader_on_nothing_is_rendered() -> None:
    counted = renderer()
    language = counted._languages["en"]
    own = facts_of("acknowledgement")
    for number in range(2):
        _mail(counted, revision(), _like(own, f"Reader {number}", f"Office {number}", "Main St", number))
        _text(counted, revision(), _like(own, f"Reader {number}", f"Office {number}", "Main St", number))
    counted._languages["en"] = replace(language, kinds=dict.fromkeys(language.kinds, _Unusable()))  # type: ignore[arg-type]
    counted._spoken.clear()
    third = _like(own, "Reader 3", "Office 3", "Main St", 3)
    assert "Office 3" in _mail(counted, revision(), third).html
    assert "Office 3" in _text(counted, revision(), third)


def test_two_revisions_at_once_are_kept_apart() -> None:
    by, own = renderer(), facts_of("acknowledgement")
    first, second = revision(cause="Cut cable"), revision(cause="Fire")
    for number in range(4):
        reader = _like(own, "Ann", "Office", "Main St", number)
        assert "Cut cable" in _mail(by, first, reader).text
        assert "Fire" in _mail(by, second, reader).text


@pytest.mark.parametrize(
    "source",
    [
        "{% if name == 'Ann' %}x{% endif %}",
        "{{ name | upper }}",
        "{{ name or 'you' }}",
        "{{ 'a' ~ name }}",
        "{% set who = name %}{{ who }}",
        "{% for g in groups %}{% if g.label | length > 3 %}x{% endif %}{% endfor %}",
        "{% if name and place == 'x' %}x{% endif %}",
        "{{ first['la' ~ 'bel'] }}",
        "{{ name[0] }}",
        "{% for letter in name %}{{ letter }}{% endfor %}",
        "{% include name %}",
    ],
)
def test_a_template_that_does_more_than_print_is_found(source: str) -> None:
    assert read_singly({"a.txt": source}, PARSER) != {}


@pytest.mark.parametrize(
    "source",
    [
        "{{ name }}",
        "{% if name %}Hello {{ name }}{% else %}Hello{% endif %}",
        "{% if not name and first.place %}{{ first.place }}{% endif %}",
        "{{ name if name else 'you' }}",
        "{% for customer in customers %}{{ customer.name }}{% endfor %}",
        "{% if count == 1 and kind | length %}{{ first.label }}{% endif %}",
    ],
)
def test_a_template_that_only_prints_is_left_alone(source: str) -> None:
    assert read_singly({"a.txt": source}, PARSER) == {}


def test_what_a_template_includes_counts_as_its_own() -> None:
    sources = {"a": "{% extends 'b' %}", "b": "{% include 'c' %}", "c": "{{ name | upper }}", "d": ""}
    assert reached(sources, PARSER, "a") == {"a", "b", "c"}


def test_a_template_of_ones_own_that_tests_a_name_is_rendered_for_each_reader(tmp_path: Path) -> None:
    own_file = tmp_path / "notices/en/acknowledgement/sms.txt"
    own_file.parent.mkdir(parents=True)
    own_file.write_text(
        "{% if name == 'Ann' %}Dear Ann{% else %}{{ name | upper }}{% endif %}: {{ groups[0].label }}\n"
    )
    by, own = renderer(tmp_path), facts_of("acknowledgement")
    assert [_text(by, revision(), _like(own, n, "Office", "", 1)) for n in ("Bob", "Cy", "Ann", "Di")] == [
        "BOB: Office",
        "CY: Office",
        "Dear Ann: Office",
        "DI: Office",
    ]
    assert by.rendered_singly() == ["en/acknowledgement/sms.txt: line 1: more is done with name than to print it"]


def test_no_shipped_template_has_to_be_rendered_for_each_reader() -> None:
    assert renderer().rendered_singly() == []


class _Unusable:
    """Templates that cannot be rendered."""

    mail_tests = ""
    sms_tests = ""
