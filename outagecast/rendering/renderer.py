"""Frozen facts in, one message out. Pure: the same facts give the same words."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Template
from markupsafe import escape

from outagecast.domain.facts import Line, OwnFacts, RevisionFacts
from outagecast.domain.message import Attachment, EmailMessage, Filled, MailForm, SmsMessage
from outagecast.domain.notices import NoticeKind
from outagecast.rendering.check import check_language, unknown_files
from outagecast.rendering.circuit_list import circuit_list
from outagecast.rendering.environment import RENDER_ERRORS
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.facts import Facts, FactsMaker, Links
from outagecast.rendering.fit import ROOMS, Room, desks_words, fit, fitting, in_full
from outagecast.rendering.library import KindTemplates, compile_library, folders_of, languages_in, read_library
from outagecast.rendering.provider import LinkMaker, Provider
from outagecast.rendering.skeletons import (
    CUSTOMER,
    LABEL,
    LEAVE,
    MY,
    NAME,
    PLACE,
    SLOTS,
    Remembered,
    Skeleton,
    cut_out,
    holds_slots,
    shape,
)
from outagecast.rendering.tidy import tidy_html, tidy_text
from outagecast.rendering.times import Reader, reader, zone_of
from outagecast.rendering.trim import one_line
from outagecast.rendering.words import Words, load_words

_log = logging.getLogger(__name__)
_ZONES_REMEMBERED = 1024
_MARKUP = re.compile("[&<>'\"]")
"""What becomes something else in HTML. Most names hold none of it, and asking for all at once is cheaper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Everything one language needs to speak. `shipped`: our own templates, where the operator has others."""

    words: Words
    facts: FactsMaker
    kinds: dict[NoticeKind, KindTemplates]
    shipped: dict[NoticeKind, KindTemplates]


@dataclass(frozen=True, kw_only=True, slots=True)
class MailWords:
    """What a mail says, ready for its envelope. `filled`: how it came about, where it was from a skeleton."""

    subject: str
    text: str
    html: str
    language: str
    attached: bool
    filled: Filled | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailSkeleton:
    """The same with holes for the reader's own words."""

    subject: Skeleton
    text: Skeleton
    html: Skeleton
    language: str
    form: MailForm

    def fill(self, values: tuple[str, ...]) -> MailWords:
        escaped = tuple([str(escape(value)) for value in values]) if _MARKUP.search("".join(values)) else values
        return MailWords(
            subject=self.subject.fill(values),
            text=self.text.fill(values),
            html=self.html.fill(escaped),
            language=self.language,
            attached=False,
            filled=Filled(form=self.form, values=values, html_values=escaped),
        )


class Renderer:
    """Compiles all templates when it is made; BrokenTemplates lists what is wrong with them.

    `template_roots`: folders that hold `notices/`, the operator's own first, ours last.
    """

    def __init__(self, provider: Provider, template_roots: Sequence[Path], links: LinkMaker) -> None:
        self._provider = provider
        self._roots = tuple(template_roots)
        self._links = links
        self._zone = zone_of(provider.zone, ZoneInfo("UTC"))
        self._zones: dict[str, ZoneInfo] = {}
        self._languages = self._read_languages()
        self._spoken: dict[str, Language] = {}
        self._mails: Remembered[MailSkeleton] = Remembered()
        self._texts: Remembered[Skeleton] = Remembered()

    def check_templates(self) -> None:
        """Renders every template of every language with sample facts. BrokenTemplates: each mistake's file and line."""
        problems = unknown_files(self._roots)
        for name, language in self._languages.items():
            library = read_library(name, self._roots)
            problems += check_language(library, language.facts, language.words)
        if problems:
            raise BrokenTemplates(problems)

    def rendered_singly(self) -> list[str]:
        """The templates that must be rendered for each reader, with what keeps them from being filled in."""
        found = [
            f"{name}/{why}"
            for name, language in self._languages.items()
            for templates in language.kinds.values()
            for why in (templates.mail_tests, templates.sms_tests)
            if why
        ]
        return sorted(set(found))

    def email(
        self,
        revision_facts: RevisionFacts,
        own_facts: OwnFacts,
        *,
        to: str,
        message_id: str,
        references: tuple[str, ...],
        list_id: str,
        date: datetime,
    ) -> EmailMessage:
        """The mail to one address; the circuits are attached as CSV where there are too many to name."""
        own = own_facts
        leave = self._links.unsubscribe(own.address_ref)
        links = Links(my=self._links.my(own.address_ref), leave=leave)
        language = self._language(own.language)
        words = self._short_way(language, revision_facts, own, links) or self._mail(
            language, revision_facts, own, links
        )
        attached: tuple[Attachment, ...] = ()
        if words.attached:
            zone = self._reader(revision_facts, own, sms=False).zone
            attached = (circuit_list(revision_facts, own, language.words, zone),)
        return EmailMessage(
            to=to,
            to_name=one_line(own.name),
            subject=words.subject,
            text=words.text,
            html=words.html,
            language=words.language,
            message_id=message_id,
            references=references,
            date=date,
            unsubscribe_url=leave,
            list_id=list_id,
            kind=str(own.kind),
            attachments=attached,
            filled=words.filled,
        )

    def sms(
        self, revision_facts: RevisionFacts, own_facts: OwnFacts, *, to: str, key: str, expires_at: datetime | None
    ) -> SmsMessage:
        """The text to one phone: at most two segments where names are of common length."""
        language = self._language(own_facts.language)
        links = Links(my=self._links.my(own_facts.address_ref))
        body = self._short_text(language, revision_facts, own_facts, links)
        if not body:
            body = self._text(language, revision_facts, own_facts, links)
        return SmsMessage(to=to, body=body, key=key, expires_at=expires_at)

    # --- rendered whole ---

    def _mail(self, language: Language, revision: RevisionFacts, own: OwnFacts, links: Links) -> MailWords:
        facts = language.facts.mail(revision, own, self._reader(revision, own, sms=False), links)
        try:
            subject, text, html = _mail(language.kinds[NoticeKind(own.kind)], facts)
        except RENDER_ERRORS:
            subject, text, html = _mail(self._shipped(language, own), facts)
        return MailWords(subject=subject, text=text, html=html, language=facts["language"], attached=facts["attached"])

    def _text(self, language: Language, revision: RevisionFacts, own: OwnFacts, links: Links) -> str:
        try:
            return self._fitted(language, language.kinds[NoticeKind(own.kind)].sms, revision, own, links)
        except RENDER_ERRORS:
            return self._fitted(language, self._shipped(language, own).sms, revision, own, links)

    def _fitted(
        self, language: Language, template: Template, revision: RevisionFacts, own: OwnFacts, links: Links
    ) -> str:
        place = self._reader(revision, own, sms=True)

        def render(room: Room, message: str) -> str:
            return template.render(language.facts.sms(revision, own, place, links, room, message))

        words = language.words
        return fit(render, desks_words(revision, own), gsm=words["sms.alphabet"] == "gsm7", mark=words["sms.cut"])

    # --- filled in ---

    def _short_way(self, language: Language, revision: RevisionFacts, own: OwnFacts, links: Links) -> MailWords | None:
        """The mail from its skeleton; None where it has none, and is to be rendered whole."""
        if len(own.lines) != 1 or language.kinds[NoticeKind(own.kind)].mail_tests:
            return None
        line = own.lines[0]
        values = language.facts.mail_slots(own, line, links)
        filled = tuple([bool(value) for value in values])
        if not values[1] or values[1] == one_line(line.service):
            return None

        def make() -> MailSkeleton | None:
            if holds_slots(revision, own, line):
                return None
            whole = self._mail(language, revision, _with_holes(own, line, filled), Links(my=MY, leave=LEAVE))
            text, html = cut_out(whole.text), cut_out(whole.html)
            made = MailSkeleton(
                subject=cut_out(whole.subject),
                text=text,
                html=html,
                language=whole.language,
                form=MailForm(text=text.pieces, html=html.pieces),
            )
            return made if made.fill(values) == self._mail(language, revision, own, links) else None

        found = self._mails.get(revision, (own.language, filled, shape(own, line)), make)
        return None if found is None else found.fill(values)

    def _short_text(self, language: Language, revision: RevisionFacts, own: OwnFacts, links: Links) -> str:
        """The text from its skeleton; empty where it has none, or where it must be squeezed to fit."""
        kind = NoticeKind(own.kind)
        if len(own.lines) != 1 or language.kinds[kind].sms_tests:
            return ""
        line, room = own.lines[0], ROOMS[0]
        values = language.facts.sms_slots(own, line, links, room)
        filled = tuple([bool(value) for value in values])
        if not values[1]:
            return ""
        gsm = language.words["sms.alphabet"] == "gsm7"

        def make() -> Skeleton | None:
            if holds_slots(revision, own, line):
                return None
            reader, held = self._reader(revision, own, sms=True), _with_holes(own, line, filled)

            def render(room: Room, message: str) -> str:
                facts = language.facts.sms(revision, held, reader, Links(my=MY), room, message)
                return language.kinds[kind].sms.render(facts)

            try:
                made = cut_out(in_full(render, desks_words(revision, own), gsm=gsm))
            except RENDER_ERRORS:
                return None
            whole = self._text(language, revision, own, links)
            return made if fitting(made.fill(values), gsm=gsm) in ("", whole) else None

        found = self._texts.get(revision, (own.language, filled, shape(own, line)), make)
        return "" if found is None else fitting(found.fill(values), gsm=gsm)

    def _shipped(self, language: Language, own: OwnFacts) -> KindTemplates:
        """Our own templates, for an override that passed the check and fails on real facts: the word must go out."""
        if not language.shipped:
            raise
        _log.exception("a template of your own failed; the shipped one was used: kind=%s", own.kind)
        return language.shipped[NoticeKind(own.kind)]

    def _reader(self, revision: RevisionFacts, own: OwnFacts, *, sms: bool) -> Reader:
        zone = self._zones.get(own.zone)
        if zone is None:
            if len(self._zones) >= _ZONES_REMEMBERED:
                self._zones.clear()
            zone = self._zones[own.zone] = zone_of(own.zone, self._zone) if own.zone else self._zone
        return reader(zone, revision.said_at, sms=sms)

    def _language(self, wanted: str) -> Language:
        """The reader's language, it without its territory, the provider's, English, any: the first there is."""
        known = self._spoken.get(wanted)
        if known is None:
            by_name = {name.lower(): language for name, language in self._languages.items()}
            names = [name.replace("-", "_").lower() for name in (wanted, self._provider.language, "en")]
            chain = [n for name in names for n in (name, name.split("_")[0])]
            known = next((by_name[name] for name in chain if name in by_name), next(iter(by_name.values())))
            if len(self._spoken) < _ZONES_REMEMBERED:
                self._spoken[wanted] = known
        return known

    def _read_languages(self) -> dict[str, Language]:
        problems: list[str] = []
        languages: dict[str, Language] = {}
        for name in languages_in(self._roots):
            try:
                languages[name] = self._read_language(name)
            except BrokenTemplates as error:
                problems += error.problems
        if not languages and not problems:
            problems = [f"{root}: holds no notices/<language>/" for root in self._roots]
        if problems:
            raise BrokenTemplates(problems)
        return languages

    def _read_language(self, name: str) -> Language:
        words = load_words(name, folders_of(name, self._roots))
        ours = self._roots[-1:]
        overridden = len(self._roots) > 1 and bool(folders_of(name, ours))
        return Language(
            words=words,
            facts=FactsMaker(words, self._provider, name),
            kinds=compile_library(read_library(name, self._roots)),
            shipped=compile_library(read_library(name, ours)) if overridden else {},
        )


def _with_holes(own: OwnFacts, line: Line, filled: tuple[bool, ...]) -> OwnFacts:
    """The same facts with SLOTS for the words that are there."""

    def hole(slot: str) -> str:
        return slot if filled[SLOTS.index(slot)] else ""

    words = replace(line, label=hole(LABEL), place=hole(PLACE), customer=hole(CUSTOMER))
    return replace(own, name=hole(NAME), lines=(words,))


def _mail(templates: KindTemplates, facts: Facts) -> tuple[str, str, str]:
    """Subject, text and HTML. The subject is one line whatever the template does; it is the headline of both parts."""
    subject = " ".join(templates.subject.render(facts).split())
    facts["headline"] = subject
    return subject, tidy_text(templates.text.render(facts)), tidy_html(templates.html.render(facts))
