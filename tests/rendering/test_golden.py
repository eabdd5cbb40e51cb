"""What people read, kept as files: every kind in every situation.

After a wanted change of words or templates write them anew and read the difference:

    pytest tests/rendering/test_golden.py --regenerate && git diff tests/rendering/golden
"""

from pathlib import Path

import pytest

from outagecast.domain.message import EmailMessage, SmsMessage
from outagecast.domain.sms import encode_info
from outagecast.rendering import Renderer
from tests.rendering.cases import Case, cases, renderer

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())
HTML = (
    "ack-one-eta-message",
    "ack-seven-mixed",
    "update-two-hundred-restored-in-part",
    "resolution-one",
    "reader-hostile",
)


@pytest.fixture(scope="module")
def shipped() -> Renderer:
    return renderer()


@pytest.mark.parametrize("name", CASES)
def test_words(name: str, shipped: Renderer, request: pytest.FixtureRequest) -> None:
    _compare(f"{name}.txt", _as_read(*_both(shipped, CASES[name])), request)


@pytest.mark.parametrize("name", HTML)
def test_html(name: str, shipped: Renderer, request: pytest.FixtureRequest) -> None:
    _compare(f"{name}.html", _both(shipped, CASES[name])[0].html, request)


def test_no_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{n}.txt" for n in CASES} | {f"{n}.html" for n in HTML}


@pytest.mark.parametrize("name", CASES)
def test_two_segments_and_twenty_kilobytes_hold(name: str, shipped: Renderer) -> None:
    mail, text = _both(shipped, CASES[name])
    assert encode_info(text.body).segments <= 2
    assert len(mail.html.encode()) < 20_000
    assert len(mail.text.encode()) < 20_000


def _both(shipped: Renderer, case: Case) -> tuple[EmailMessage, SmsMessage]:
    revision, own = case
    mail = shipped.email(
        revision,
        own,
        to="anna@example.org",
        message_id="1@example.net",
        references=(),
        list_id="outages.example.net",
        date=revision.said_at,
    )
    return mail, shipped.sms(revision, own, to="+18595550123", key="k", expires_at=None)


def _as_read(mail: EmailMessage, text: SmsMessage) -> str:
    info = encode_info(text.body)
    attached = "".join(f"--- {a.filename}\n{_head(a.content)}\n" for a in mail.attachments)
    size = f"{info.segments} segments, {info.units} units of {info.encoding}"
    return f"Subject: {mail.subject}\n\n{mail.text}{attached}--- SMS, {size}\n{text.body}\n"


def _head(content: bytes) -> str:
    rows = content.decode("utf-8-sig").splitlines()
    return "\n".join([*rows[:4], f"({len(rows)} rows)"])


def _compare(filename: str, now: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / filename
    if request.config.getoption("--regenerate", default=False):
        path.write_text(now, "utf-8", newline="\n")
    assert now == path.read_text("utf-8")
