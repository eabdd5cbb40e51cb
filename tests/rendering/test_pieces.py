"""The list of circuits, the fitting of texts and the inlining of styles, each by itself."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from outagecast.domain.facts import EtaState, Line
from outagecast.domain.sms import encode_info
from outagecast.rendering.check import balanced
from outagecast.rendering.circuit_list import circuit_list
from outagecast.rendering.fit import Room, fit
from outagecast.rendering.inline import inline_styles
from outagecast.rendering.words import load_words
from tests.rendering.cases import (
    DEG,
    ETA,
    OK,
    OUT,
    SAID,
    START,
    TEMPLATES,
    line,
    own,
    renderer,
    revision,
    seven,
    two_hundred,
)

ENGLISH = load_words("en", [TEMPLATES / "notices" / "en"])


def _rows(*lines: Line) -> list[dict[str, str]]:
    attached = circuit_list(revision(), own("update", *lines), ENGLISH, ZoneInfo("America/New_York"))
    assert attached.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(attached.content.decode("utf-8-sig"))))


def test_the_list_has_every_line_with_its_own_times() -> None:
    rows = _rows(line(was=OUT), line(label="Depot", was=OUT, level=OK, back_at=START + timedelta(minutes=90)))
    assert [(r["Name"], r["State"], r["Since"], r["Back since"], r["Minutes"]) for r in rows] == [
        ("Main Office", "down", "2026-07-14T09:14-04:00", "", ""),
        ("Depot", "back", "2026-07-14T09:14-04:00", "2026-07-14T10:44-04:00", "90"),
    ]


def test_no_cell_of_the_list_begins_a_formula() -> None:
    rows = _rows(*(line(label=f"{sign}cmd|'/c calc'!A0") for sign in "=+-@"), line(label="\t=1", place="\r=2"))
    assert all(cell[:1] not in tuple("=+-@\t\r") for row in rows for cell in row.values() if cell)
    assert rows[0]["Name"] == "'=cmd|'/c calc'!A0"


def test_the_list_is_attached_above_ten_circuits_only() -> None:
    def attached(count: int) -> int:
        told = revision()
        mail = renderer().email(
            told,
            own("acknowledgement", *two_hundred()[:count]),
            to="a@example.org",
            message_id="m",
            references=(),
            list_id="l",
            date=told.said_at,
        )
        return len(mail.attachments)

    assert [attached(10), attached(11)] == [0, 1]


def test_the_mail_carries_what_the_channel_needs() -> None:
    told = revision()
    mail = renderer().email(
        told,
        own("acknowledgement", name="Anna\r\nBcc: x"),
        to="anna@example.org",
        message_id="1@example.net",
        references=("0@example.net",),
        list_id="outages.example.net",
        date=SAID,
    )
    assert (mail.to, mail.to_name, mail.message_id) == ("anna@example.org", "Anna Bcc: x", "1@example.net")
    assert (mail.references, mail.list_id, mail.date) == (("0@example.net",), "outages.example.net", SAID)
    assert (mail.language, mail.kind) == ("en", "acknowledgement")
    assert mail.unsubscribe_url == "https://status.example.net/u/0000000000000000000007"


def test_a_time_that_has_passed_is_never_promised() -> None:
    told = revision(eta=ETA, said_at=ETA + timedelta(minutes=1))
    text = renderer().sms(told, own("update", eta_state=EtaState.SET), to="+1", key="k", expires_at=None)
    assert "We expected the repair by 15:40 EDT; it is not finished yet." in text.body


def test_the_same_minute_is_no_change() -> None:
    told = revision(eta=ETA)
    facts = own("eta", eta_state=EtaState.CHANGED, was_eta=ETA - timedelta(seconds=20))
    assert "before" not in renderer().sms(told, facts, to="+1", key="k", expires_at=None).body


def test_earlier_words_of_the_desk_are_carried() -> None:
    told, facts = revision(message="A new cable is laid."), own("acknowledgement", carried="The cause is a cut.")
    made = renderer()
    mail = made.email(told, facts, to="a", message_id="m", references=(), list_id="l", date=SAID)
    assert "The cause is a cut.\n\nA new cable is laid." in mail.text
    body = made.sms(told, facts, to="+1", key="k", expires_at=None).body
    assert "A new cable is laid. The cause is a cut." in body


def test_a_text_of_several_levels_names_the_worst_first() -> None:
    lines = [replace(one, level=DEG if n < 6 else OUT) for n, one in enumerate(seven())]
    body = renderer().sms(revision(), own("acknowledgement", *lines), to="+1", key="k", expires_at=None).body
    assert body.index("Server Room is down") < body.index("are degraded")


def _fitted(frame: str, message: str, *, gsm: bool = True) -> str:
    def render(room: Room, words: str) -> str:
        return f"{frame} {words}" if room.name else f"{frame[:40]} {words}"

    return fit(render, message, gsm=gsm, mark="...")


def test_short_words_of_the_desk_are_whole() -> None:
    assert _fitted("Frame.", "\u201cCrew\u201d on site \u2013 soon\u2026") == 'Frame. "Crew" on site - soon...'


def test_long_words_of_the_desk_fill_two_segments() -> None:
    body = _fitted("Frame.", "word " * 100)
    assert body.endswith("...")
    assert 300 <= encode_info(body).units <= 306


def test_extended_characters_count_twice() -> None:
    assert encode_info(_fitted("Frame.", "{}[]" * 100)).segments == 2


def test_pictures_do_not_make_a_text_dear() -> None:
    assert _fitted("Frame.", "Fixed 🎉 soon") == "Frame. Fixed soon."


def test_letters_outside_gsm_are_kept() -> None:
    body = _fitted("Frame.", "Кабель повреждён " * 30)
    assert "Кабель" in body
    assert encode_info(body).segments <= 2


def test_the_frame_gives_way_before_the_words_vanish() -> None:
    body = _fitted("F" * 290, "Crew on site, new cable being laid, all of you back by tonight.")
    assert "Crew on site" in body


STYLES = ".a { color: red; } .b td { padding: 1px; }"


def test_styles_go_into_the_elements_and_tags_stay() -> None:
    source = (
        '<table class="b"><tbody>\n{% for x in y %}\n<tr><td class="a"><a href="{{ x.url }}?a=1">{{ x.name }}</a></td>'
        "</tr>\n{% endfor %}\n</tbody></table>"
    )
    styled = inline_styles(source, STYLES)
    assert "{% for x in y %}\n<tr>" in styled
    assert 'href="{{ x.url }}?a=1"' in styled
    assert 'class="a" style="color: red;padding: 1px;"' in styled


def test_a_whole_document_keeps_its_own_style() -> None:
    style = "<style>@media print { .a { color: blue; } }</style>"
    source = f"<!doctype html><html><head>{style}</head><body class=a></body></html>"
    styled = inline_styles(source, STYLES)
    assert "@media print" in styled
    assert 'class="a" style="color: red;"' in styled


def test_balance() -> None:
    assert balanced("<p>a<br>b</p>") == ""
    assert balanced("<p><b>a</p></b>") == "</p> closes nothing"
    assert balanced("<p>a") == "<p> is not closed"
