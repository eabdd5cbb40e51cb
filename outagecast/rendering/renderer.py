"""Frozen facts in, one message out. Pure: the same facts give the same words."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Template

from outagecast.domain.facts import OwnFacts, RevisionFacts
from outagecast.domain.message import EmailMessage, SmsMessage
from outagecast.domain.notices import NoticeKind
from outagecast.rendering.check import check_language, unknown_files
from outagecast.rendering.circuit_list import circuit_list
from outagecast.rendering.environment import RENDER_ERRORS
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.facts import Facts, FactsMaker, Links
from outagecast.rendering.fit import Room, desks_words, fit
from outagecast.rendering.library import KindTemplates, compile_library, folders_of, languages_in, read_library
from outagecast.rendering.provider import LinkMaker, Provider
from outagecast.rendering.tidy import tidy_html, tidy_text
from outagecast.rendering.times import Reader, reader, zone_of
from outagecast.rendering.trim import one_line
from outagecast.rendering.words import Words, load_words

_log = logging.getLogger(__name__)
_ZONES_REMEMBERED = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Everything one language needs to speak. `shipped`: our own templates, where the operator has others."""

    words: Words
    facts: FactsMaker
    kinds: dict[NoticeKind, KindTemplates]
    shipped: dict[NoticeKind, KindTemplates]


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

    def check_templates(self) -> None:
        """Renders every template of every language with sample facts. BrokenTemplates: each mistake's file and line."""
        problems = unknown_files(self._roots)
        for name, language in self._languages.items():
            library = read_library(name, self._roots)
            problems += check_language(library, language.facts, language.words)
        if problems:
            raise BrokenTemplates(problems)

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
        language, place = self._language(own.language), self._reader(revision_facts, own, sms=False)
        leave = self._links.unsubscribe(own.address_ref)
        links = Links(my=self._links.my(own.address_ref), leave=leave)
        facts = language.facts.mail(revision_facts, own, place, links)
        try:
            subject, text, html = _mail(language.kinds[NoticeKind(own.kind)], facts)
        except RENDER_ERRORS:
            subject, text, html = _mail(self._shipped(language, own), facts)
        attached = (circuit_list(revision_facts, own, language.words, place.zone),) if facts["attached"] else ()
        return EmailMessage(
            to=to,
            to_name=one_line(own.name),
            subject=subject,
            text=text,
            html=html,
            language=facts["language"],
            message_id=message_id,
            references=references,
            date=date,
            unsubscribe_url=leave,
            list_id=list_id,
            kind=str(own.kind),
            attachments=attached,
        )

    def sms(
        self, revision_facts: RevisionFacts, own_facts: OwnFacts, *, to: str, key: str, expires_at: datetime | None
    ) -> SmsMessage:
        """The text to one phone: at most two segments where names are of common length."""
        language = self._language(own_facts.language)
        try:
            body = self._sms_body(language, language.kinds[NoticeKind(own_facts.kind)].sms, revision_facts, own_facts)
        except RENDER_ERRORS:
            body = self._sms_body(language, self._shipped(language, own_facts).sms, revision_facts, own_facts)
        return SmsMessage(to=to, body=body, key=key, expires_at=expires_at)

    def _sms_body(self, language: Language, template: Template, revision: RevisionFacts, own: OwnFacts) -> str:
        place = self._reader(revision, own, sms=True)
        links = Links(my=self._links.my(own.address_ref))

        def render(room: Room, message: str) -> str:
            return template.render(language.facts.sms(revision, own, place, links, room, message))

        words = language.words
        return fit(render, desks_words(revision, own), gsm=words["sms.alphabet"] == "gsm7", mark=words["sms.cut"])

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


def _mail(templates: KindTemplates, facts: Facts) -> tuple[str, str, str]:
    """Subject, text and HTML. The subject is one line whatever the template does; it is the headline of both parts."""
    subject = " ".join(templates.subject.render(facts).split())
    facts["headline"] = subject
    return subject, tidy_text(templates.text.render(facts)), tidy_html(templates.html.render(facts))
