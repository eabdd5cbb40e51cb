"""Reminders and alarms for the staff themselves, in English and plain: what is due, by when, and where to do it.

    staff = StaffRenderer("Bluegrass Fiber", "https://status.example.net/desk", templates_folder())
    staff.email(facts, …)    # -> EmailMessage
    staff.sms(facts, …)      # -> SmsMessage of one segment

The sentences stand in `templates/staff/en/<what>/{subject.txt,email.txt,sms.txt}`, one folder for each word of `Ask`;
times look as in the notices (`templates/notices/en/words.toml`). `facts` are frozen by engine/alerts.py: `what`,
`outage_id`, `title`, `severity`, `owner`, `zone`, `strikes`, `detail`, `channel` (by which nothing leaves), and
`promise`, `eta`, `since`, `said_at` in microseconds since 1970.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from jinja2 import FunctionLoader, Template, TemplateSyntaxError

from outagecast.domain.cadence import Ask
from outagecast.domain.facts import from_micros
from outagecast.domain.message import EmailMessage, SmsMessage
from outagecast.domain.sms import Encoding, encode_info, transliterate
from outagecast.rendering.environment import environment
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.library import folders_of
from outagecast.rendering.tidy import tidy_html, tidy_text
from outagecast.rendering.times import Reader, Times, minutes_between, reader, zone_of
from outagecast.rendering.trim import cut, one_line
from outagecast.rendering.words import load_words

LANGUAGE = "en"
FOLDER = "staff"
FILES = ("subject.txt", "email.txt", "sms.txt")
LAYOUT = "layout.html"
_TITLE = 120
_DETAIL = 200
"""Characters of a title or a provider's complaint in a mail; a text takes what its one segment has room for."""
_ROOMS = ((_TITLE, _DETAIL), (_TITLE, 24), (_TITLE, 0), (60, 0), (40, 0), (28, 0), (20, 0), (12, 0))
_PARAGRAPHS = re.compile(r"\n\s*\n")
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffTemplates:
    """The three templates of one thing that staff are asked or told."""

    subject: Template
    text: Template
    sms: Template


class StaffRenderer:
    """Compiles its templates when it is made; BrokenTemplates lists what is missing or wrong, with file and line.

    `desk_url`: where the desk is, without a slash at its end; an outage's page is `<desk_url>/outages/<id>`.
    `template_root`: the folder that holds `staff/` and `notices/`.
    """

    def __init__(self, provider_name: str, desk_url: str, template_root: Path) -> None:
        self._provider = one_line(provider_name)
        self._desk = desk_url.rstrip("/")
        self._list_id = f"staff.{urlsplit(desk_url).hostname or 'localhost'}"
        words = load_words(LANGUAGE, folders_of(LANGUAGE, [template_root]))
        self._mark = words["sms.cut"]
        self._times = Times(words)
        self._templates, self._layout = _compile(template_root / FOLDER / LANGUAGE)

    def email(self, facts: Mapping[str, Any], *, to: str, message_id: str, date: datetime) -> EmailMessage:
        """The mail to one of the staff. KeyError or ValueError where facts are none that engine/alerts.py wrote."""
        what = Ask(facts["what"])
        templates, shown = self._templates[what], self._shown(facts, sms=False)
        subject = " ".join(templates.subject.render(shown).split())
        text = tidy_text(templates.text.render(shown))
        parts = [" ".join(part.split()) for part in _PARAGRAPHS.split(text.strip())]
        html = tidy_html(self._layout.render(subject=subject, parts=parts, link=shown["link"]))
        return EmailMessage(
            to=to,
            to_name="",
            subject=subject,
            text=text,
            html=html,
            language=LANGUAGE,
            message_id=message_id,
            references=(),
            date=date,
            unsubscribe_url="",
            list_id=self._list_id,
            kind=what.value,
        )

    def sms(self, facts: Mapping[str, Any], *, to: str, key: str, expires_at: datetime | None) -> SmsMessage:
        """The text to one of the staff: one segment. The detail and the title give way; in the end the title goes."""
        template, shown = self._templates[Ask(facts["what"])].sms, self._shown(facts, sms=True)
        return SmsMessage(to=to, body=self._fitted(template, shown), key=key, expires_at=expires_at)

    def _fitted(self, template: Template, shown: Mapping[str, Any]) -> str:
        title, detail = transliterate(shown["title"]), transliterate(shown["detail"])
        # What GSM-7 cannot write costs more than half of the segment: rather the outage's number than its title.
        title = title if encode_info(title).encoding is Encoding.GSM7 else shown["outage"]
        detail = detail if encode_info(detail).encoding is Encoding.GSM7 else ""
        for room, detail_room in _ROOMS:
            shorter = cut(detail, detail_room, self._mark) if detail_room else ""
            body = self._words(template, shown, cut(title, room, self._mark), shorter)
            if encode_info(body).segments == 1:
                return body
        return self._words(template, shown, shown["outage"], "")

    @staticmethod
    def _words(template: Template, shown: Mapping[str, Any], title: str, detail: str) -> str:
        return transliterate(" ".join(template.render({**shown, "title": title, "detail": detail}).split()))

    def _shown(self, facts: Mapping[str, Any], *, sms: bool) -> dict[str, Any]:
        """Everything a template may name: plain words, and times as `{at, gap, passed}`, None where there is none."""
        said_at = from_micros(facts["said_at"])
        here = reader(zone_of(facts["zone"], _UTC), said_at, sms=sms)
        return {
            "what": facts["what"],
            "provider": self._provider,
            "outage": one_line(facts["outage_id"]),
            "title": cut(one_line(facts["title"]) or one_line(facts["outage_id"]), _TITLE, self._mark),
            "severity": facts["severity"],
            "owner": one_line(facts["owner"]),
            "strikes": facts["strikes"],
            "detail": cut(one_line(facts["detail"]), _DETAIL, self._mark),
            "link": f"{self._desk}/outages/{facts['outage_id']}",
            "promise": self._time(facts["promise"], said_at, here),
            "eta": self._time(facts["eta"], said_at, here),
            "channel": facts.get("channel", ""),
            "since": self._time(facts.get("since"), said_at, here),
        }

    def _time(self, micros: int | None, said_at: datetime, here: Reader) -> dict[str, Any] | None:
        if micros is None:
            return None
        at = from_micros(micros).astimezone(UTC)
        passed = at < said_at
        gap = minutes_between(at, said_at) if passed else minutes_between(said_at, at)
        return {"at": self._times.at(at, here), "gap": self._times.lasting(gap), "passed": passed}


def _compile(folder: Path) -> tuple[dict[Ask, StaffTemplates], Template]:
    sources = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.*"))}
    wanted = [LAYOUT, *(f"{what}/{name}" for what in Ask for name in FILES)]
    problems = [f"{folder / name}: is missing" for name in wanted if name not in sources]
    parser = environment(FunctionLoader(lambda _: None), escape=False)
    for name, source in sources.items():
        try:
            parser.compile(source, name, str(folder / name))
        except TemplateSyntaxError as error:
            problems.append(f"{folder / name}:{error.lineno}: {error.message}")
    if problems:
        raise BrokenTemplates(problems)

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (sources[name], str(folder / name), lambda: True) if name in sources else None

    loader = FunctionLoader(load)
    plain, flowing = environment(loader, escape=False), environment(loader, escape=False, rows=False)
    templates = {
        what: StaffTemplates(
            subject=flowing.get_template(f"{what}/subject.txt"),
            text=plain.get_template(f"{what}/email.txt"),
            sms=flowing.get_template(f"{what}/sms.txt"),
        )
        for what in Ask
    }
    return templates, environment(loader, escape=True).get_template(LAYOUT)
