"""An operator's own folder: one file takes the place of ours, a broken one is refused with file and line."""

from pathlib import Path
from typing import Any

import pytest

from outagecast.rendering import BrokenTemplates, Renderer
from tests.rendering.cases import CREW, PROVIDER, TEMPLATES, FixedLinks, own, renderer, revision


def _write(root: Path, name: str, text: str) -> Path:
    path = root / "notices" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def _subject(made: Renderer, kind: str = "acknowledgement", **changes: Any) -> str:
    told = revision()
    mail = made.email(
        told, own(kind, **changes), to="a@example.org", message_id="m", references=(), list_id="l", date=told.said_at
    )
    return mail.subject


def _sms(made: Renderer, message: str = "") -> str:
    told = revision(message=message)
    return made.sms(told, own("acknowledgement"), to="+1", key="k", expires_at=None).body


def _refused(root: Path) -> str:
    with pytest.raises(BrokenTemplates) as caught:
        renderer(root).check_templates()
    return str(caught.value)


def test_the_shipped_templates_pass() -> None:
    renderer().check_templates()


def test_one_file_takes_the_place_of_ours(tmp_path: Path) -> None:
    _write(tmp_path, "en/acknowledgement/sms.txt", "{{ provider.sms_name }}: {{ count }} {{ noun }} out. {{ my_url }}")
    made = renderer(tmp_path)
    made.check_templates()
    assert _sms(made) == "Bluegrass Fiber: 1 line out. https://status.example.net/m/0000000000000000000007"
    assert _subject(made) == _subject(renderer())


def test_one_word_takes_the_place_of_ours(tmp_path: Path) -> None:
    _write(tmp_path, "en/words.toml", '[levels.outage]\nword = "DOWN"\n[time]\nclock = "h:mm a"\n')
    made = renderer(tmp_path)
    made.check_templates()
    assert _subject(made) == "DOWN: Main Office is down since 9:14 AM EDT. No estimate yet."
    assert "9:14 AM EDT" in _sms(made)


def test_styles_take_the_place_of_ours(tmp_path: Path) -> None:
    _write(tmp_path, "mail.css", ".headline { color: #123456; }")
    told = revision()
    mail = renderer(tmp_path).email(
        told, own("acknowledgement"), to="a", message_id="m", references=(), list_id="l", date=told.said_at
    )
    assert 'class="headline" style="color: #123456;"' in mail.html


@pytest.mark.parametrize(
    ("name", "text", "line", "why"),
    [
        ("en/eta/sms.txt", "one\n{% if x %}", 2, "Unexpected end of template"),
        ("en/eta/sms.txt", "one\n\n{{ promis }}", 3, "'promis' is undefined (did you mean 'promise'?)"),
        ("en/eta/sms.txt", "{% if not one %}\n{{ headline }}{% endif %}", 2, "'headline' is undefined"),
        ("en/eta/email.txt", "a\n{{ provider.fax }}", 2, "has no attribute 'fax'"),
        ("en/eta/email.txt", "a\n{{ name + 1 }}", 2, "can only concatenate str"),
        ("en/eta/email.html", "<p>\n{{ name | safe }}</p>", 2, "No filter named 'safe'"),
        ("en/eta/email.html", "<p>\n\n{{ name.upper() }}</p>", 3, "has no attribute 'upper'|is not safely callable"),
        ("en/eta/email.txt", "{{ 1 }}\n{% include '/etc/passwd' %}", 2, "includes /etc/passwd"),
        ("en/eta/email.txt", "{{ 1 }}\n{% include name %}", 2, "includes a name that is not written out"),
        ("en/eta/email.txt", "{% for n in range(9) %}{% endfor %}", 1, "'range' is undefined"),
        ("en/eta/subject.txt", "{{ state.word }}\nBcc: x@example.net", 1, "the subject holds a line break"),
        ("en/eta/subject.txt", "x" * 400, 1, "the subject has 400 characters"),
        ("en/eta/email.html", "<p>" + "x" * 20_001 + "</p>", 1, "20000 are allowed"),
        ("en/eta/email.html", "<!doctype html><div><p>a{% if one %}</div>{% endif %}", 1, "does not fit together"),
        ("en/eta/sms.txt", "x" * 500, 1, "takes 4 segments"),
        ("en/eta/smss.txt", "x", 1, "did you mean notices/en/eta/sms.txt?"),
        ("en/words.toml", '[levels.outage]\nwrd = "X"', 2, "levels.outage.wrd is no word we know"),
        ("en/words.toml", '[time]\n\nclock = "HH:mm', 3, "Unterminated string"),
        ("en/words.toml", '[time]\nother_day = "{clock}"', 2, "lacks {date}"),
        ("en/words.toml", '[duration]\nday = "{days} d"', 2, "holds {days}"),
        ("en/words.toml", '[sms]\nalphabet = "ascii"', 2, 'must be "gsm7" or "ucs2"'),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, name: str, text: str, line: int, why: str) -> None:
    path = _write(tmp_path, name, text)
    said = _refused(tmp_path)
    assert f"{path}:{line}:" in said
    assert any(one in said for one in why.split("|"))


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    first = _write(tmp_path, "en/eta/sms.txt", "{% if %}")
    second = _write(tmp_path, "en/update/sms.txt", "{% for %}")
    said = _refused(tmp_path)
    assert f"{first}:1:" in said
    assert f"{second}:1:" in said


def test_what_is_put_into_html_is_always_text(tmp_path: Path) -> None:
    _write(tmp_path, "en/acknowledgement/email.html", "<!doctype html><p>{{ name }}</p>")
    told = revision()
    mail = renderer(tmp_path).email(
        told,
        own("acknowledgement", name="<b>x</b>"),
        to="a",
        message_id="m",
        references=(),
        list_id="l",
        date=told.said_at,
    )
    assert "&lt;b&gt;x&lt;/b&gt;" in mail.html


def test_an_override_that_fails_on_real_facts_gives_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path, "en/acknowledgement/sms.txt", "{% if name == 'Boom' %}{{ provider.fax }}{% endif %}x")
    made = renderer(tmp_path)
    made.check_templates()
    body = made.sms(revision(), own("acknowledgement", name="Boom"), to="+1", key="k", expires_at=None).body
    assert body.startswith("Bluegrass Fiber for Boom: Main Office")
    assert "acknowledgement" in caplog.text


def test_a_language_of_their_own(tmp_path: Path) -> None:
    for path in (TEMPLATES / "notices" / "en").rglob("*.*"):
        text = path.read_text("utf-8").replace("Next update", "Nächste Nachricht")
        _write(tmp_path, f"de/{path.relative_to(TEMPLATES / 'notices' / 'en')}", text)
    made = renderer(tmp_path)
    made.check_templates()
    told = revision()
    facts = own("acknowledgement", language="de-AT", zone="Europe/Vienna")
    body = made.sms(told, facts, to="+1", key="k", expires_at=None).body
    assert "Nächste Nachricht by 15:50 MESZ" in body


def test_a_language_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "fr/eta/sms.txt", "x")
    said = _refused(tmp_path)
    assert f"{tmp_path / 'notices' / 'fr' / 'words.toml'}: is missing" in said


def test_a_territory_fills_its_gaps_from_its_language(tmp_path: Path) -> None:
    _write(tmp_path, "en_US/words.toml", '[time]\nclock = "h:mm a"\n')
    made = renderer(tmp_path)
    made.check_templates()
    assert "9:14 AM EDT" in _subject(made, language="en-US")
    assert "09:14" in _subject(made, language="en")


def test_no_templates_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(BrokenTemplates, match="holds no notices"):
        Renderer(PROVIDER, [tmp_path], FixedLinks())


def test_the_desks_words_are_said_as_they_are() -> None:
    told = revision(message=f"{CREW}\n\nSecond <paragraph>.")
    mail = renderer().email(
        told, own("acknowledgement"), to="a", message_id="m", references=(), list_id="l", date=told.said_at
    )
    assert f"{CREW}\n\nSecond <paragraph>.\n" in mail.text
    assert "Second &lt;paragraph&gt;.</p>" in mail.html
