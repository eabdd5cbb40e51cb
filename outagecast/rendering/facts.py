"""The frozen facts as what a template sees: plain texts, numbers and lists, with times, durations and counts formatted.

Everything a person or a monitor typed is cleaned here: control and direction characters, line breaks in names, lengths.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outagecast.domain.facts import EtaState, Line, OwnFacts, RevisionFacts
from outagecast.domain.notices import NoticeKind
from outagecast.domain.sms import strip_controls
from outagecast.rendering.fit import Room
from outagecast.rendering.lines import Group, Told, Turn, group, groups_of, tell
from outagecast.rendering.provider import Provider
from outagecast.rendering.times import Reader, Times, minute_of
from outagecast.rendering.trim import cut, one_line
from outagecast.rendering.words import Words

LISTED = 10
"""Up to so many circuits are listed one by one; above, the mail counts by place and attaches the list."""
MAX_PLACES = 24
"""Rows of places in a mail: more would break the 20 kB."""
_NAME_LENGTH = 80
_MESSAGE_LENGTH = 6000
_ENDED = frozenset({NoticeKind.RESOLUTION, NoticeKind.RETRACTION, NoticeKind.FOLLOW_UP})
_NOUNS = frozenset({"circuit", "service"})
_BLANK_LINES = re.compile(r"\n\s*\n")

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """The links of one address. `leave` is the RFC 8058 address; texts have none."""

    my: str
    leave: str = ""


class FactsMaker:
    """Makes the facts for the templates of one language."""

    def __init__(self, words: Words, provider: Provider, language: str) -> None:
        self._words = words
        self._times = Times(words)
        self._said: dict[tuple[str, str, str], Facts] = {}
        self._language = language.replace("_", "-")
        self._provider = {
            "name": one_line(provider.name),
            "sms_name": one_line(provider.sms_name or provider.name),
            "url": provider.url,
            "phone": one_line(provider.phone),
            "email": one_line(provider.email),
        }

    def mail(self, revision: RevisionFacts, own: OwnFacts, reader: Reader, links: Links) -> Facts:
        """What `subject.txt`, `email.txt` and `email.html` see; they also see `headline`, the finished subject."""
        told = tell(revision, own)
        facts = self._shared(revision, own, reader, told, self._mail_group)
        said = "\n\n".join(words for words in (own.carried, revision.message) if words)
        message = cut(strip_controls(said).strip(), _MESSAGE_LENGTH, self._words["mail.cut"]) if said else ""
        facts |= {
            "my_url": links.my,
            "leave_url": links.leave,
            "name": self._name(own.name),
            "first_message": own.first,
            "brief": False,
            "written_at": self._times.at(revision.said_at, reader, dated=True),
            "message": message,
            "paragraphs": [p.splitlines() for p in _BLANK_LINES.split(message)] if message else [],
            "attached": len(told) > LISTED,
        }
        return facts | self._span(told, reader) | self._listed(told, reader)

    def sms(
        self, revision: RevisionFacts, own: OwnFacts, reader: Reader, links: Links, room: Room, message: str
    ) -> Facts:
        """What `sms.txt` sees, squeezed into `room`."""
        told = tell(revision, own)
        mark = self._words["sms.cut"]

        def in_room(found: Group, reader: Reader) -> Facts:
            return self._mail_group(found, reader) | self._sms_names(found, room, many=len(told) > LISTED)

        facts = self._shared(revision, own, reader, told, in_room)
        facts |= {
            "groups": facts["groups"][: room.groups],
            "rest": sum(found["count"] for found in facts["groups"][room.groups :]),
            "my_url": links.my,
            "name": cut(one_line(own.name), room.name, mark) if room.name else "",
            "message": message,
            "where": cut(one_line(own.lines[0].place), room.place, mark) if room.place and len(told) == 1 else "",
            "phone": self._provider["phone"] if room.phone else "",
            "stop_hint": own.first and room.stop,
            "brief": room.brief,
        }
        return facts

    def mail_slots(self, own: OwnFacts, line: Line, links: Links) -> tuple[str, ...]:
        """The reader's own words as a mail about one line prints them, one for each of SLOTS."""
        place, customer = self._name(line.place), self._name(line.customer)
        return (self._name(own.name), self._label(line), place, customer, links.my, links.leave)

    def sms_slots(self, own: OwnFacts, line: Line, links: Links, room: Room) -> tuple[str, ...]:
        """The same for a text with so much room."""
        mark = self._words["sms.cut"]
        name = cut(one_line(own.name), room.name, mark) if room.name else ""
        place = cut(one_line(line.place), room.place, mark) if room.place else ""
        return (name, cut(self._label(line), room.label, mark), place, "", links.my, "")

    def _shared(
        self, revision: RevisionFacts, own: OwnFacts, reader: Reader, told: Sequence[Told], shape: Any
    ) -> Facts:
        groups = groups_of(told)
        still_open = [one for one in told if one.open]
        ended = own.kind in _ENDED
        worst = "no_impact" if ended or not still_open else groups[0].sample.style
        return {
            "language": self._language,
            "provider": self._provider,
            "kind": str(own.kind),
            "outage_id": revision.outage_id,
            "state": self._state(worst),
            "worst": worst,
            "ended": ended,
            "status": str(revision.status),
            "cause": one_line(revision.cause),
            "promise": self._time(None if ended or own.slow else own.promise, reader),
            "slow": own.slow,
            "combined": own.combined,
            "reopened": revision.reopened,
            "repaired_at": self._time(own.repaired_at, reader),
            "partly_back": 0 < len(still_open) < len(told),
            "at_risk_until": self._time(revision.at_risk_until, reader),
            "retract_reason": revision.retract_reason,
            "count": len(told),
            "one": len(told) == 1,
            "many": len(told) > LISTED,
            "noun": self._noun(told),
            "several_customers": len({line.customer_id for line in own.lines}) > 1,
            "groups": [shape(found, reader) for found in groups],
            **self._eta(revision, own, reader),
        }

    def _eta(self, revision: RevisionFacts, own: OwnFacts, reader: Reader) -> Facts:
        """The state is checked against the times: a time that has passed is never promised, nor the same one as new."""
        state, eta, was = EtaState(own.eta_state), revision.eta, own.was_eta
        if own.eta_passed or state is EtaState.PASSED:
            state, eta = EtaState.PASSED, eta or was
        if eta is not None and state in (EtaState.SET, EtaState.CHANGED) and eta <= revision.said_at:
            state = EtaState.PASSED
        if state is EtaState.CHANGED and (was is None or (eta and minute_of(was) == minute_of(eta))):
            state = EtaState.SET
        if (state is EtaState.WITHDRAWN and was is None) or (state is not EtaState.WITHDRAWN and eta is None):
            state = EtaState.NONE
        return {"eta_state": state.value, "eta": self._time(eta, reader), "was_eta": self._time(was, reader)}

    def _span(self, told: Sequence[Told], reader: Reader) -> Facts:
        """Since when, until when and how long, over all lines."""
        if not told:
            return dict.fromkeys(("since", "back_at", "shortest", "longest"), "") | {"since_differs": False}
        whole = group(told)
        return {
            "since": self._times.at(whole.since, reader),
            "since_differs": whole.since_differs,
            "back_at": self._time(whole.back_at, reader),
            "shortest": self._times.lasting(whole.shortest),
            "longest": self._times.lasting(whole.longest),
        }

    def _mail_group(self, found: Group, reader: Reader) -> Facts:
        sample, count = found.sample, len(found.told)
        return {
            "turn": sample.turn.value,
            "one": count == 1,
            "count": count,
            "noun": self._noun(found.told),
            "label": self._label(sample.line),
            "since": self._times.at(found.since, reader),
            "since_differs": found.since_differs,
            "back_at": self._time(found.back_at, reader),
            "shortest": self._times.lasting(found.shortest),
            "longest": self._times.lasting(found.longest),
            **self._phrases(sample.style, sample.was_style, self._words.form(count)),
        }

    def _phrases(self, style: str, was_style: str, form: str) -> Facts:
        """What can be said of one or several lines of these styles; there are few, so they are kept."""
        known = self._said.get((style, was_style, form))
        if known is None:
            words = self._words
            known = {name: words[f"levels.{style}.{name}.{form}"] for name in ("is", "still", "again", "now")}
            known |= {name: words[f"levels.{was_style}.{name}.{form}"] for name in ("was", "back")}
            known |= {"mark": words[f"levels.{style}.mark"], "never": words[f"never.is.{form}"]}
            self._said[style, was_style, form] = known
        return known

    def _sms_names(self, found: Group, room: Room, *, many: bool) -> Facts:
        """The label cut to size, and as many labels of the group as there is room for; none where there are `many`."""
        mark = self._words["sms.cut"]
        if len(found.told) == 1 or many:
            label = cut(self._label(found.sample.line), room.label, mark)
            return {"label": label, "labels": "", "last": "", "more": 0, "many": many and len(found.told) > 1}
        labels: list[str] = []
        left = room.labels
        for one in found.told:
            label = cut(self._label(one.line), room.label, mark)
            left -= len(label) + 2
            if labels and left < 0:
                break
            labels.append(label)
        more = len(found.told) - len(labels)
        last = "" if more else labels.pop()
        return {"label": labels[0], "labels": ", ".join(labels), "last": last, "more": more, "many": False}

    def _listed(self, told: Sequence[Told], reader: Reader) -> Facts:
        """The lines, or above ten the places, by customer."""
        customers: dict[str, list[Told]] = {}
        for one in told:
            customers.setdefault(one.line.customer_id, []).append(one)
        many = len(told) > LISTED
        left = MAX_PLACES
        listed: list[Facts] = []
        for lines in customers.values():
            places = self._places(lines) if many else []
            shown, left = places[:left], max(0, left - len(places))
            if shown or not many:
                listed.append(
                    {
                        "name": self._name(lines[0].line.customer),
                        "lines": [] if many else [self._line(one, reader) for one in lines],
                        "places": shown,
                    }
                )
        total = sum(len(self._place_counts(lines)) for lines in customers.values()) if many else 0
        first = self._line(told[0], reader) if told else {}
        return {"customers": listed, "more_places": max(0, total - MAX_PLACES), "first": first}

    def _line(self, told: Told, reader: Reader) -> Facts:
        words, line = self._words, told.line
        key = "no_impact" if not told.open else told.style
        label, service = self._label(line), self._name(line.service)
        return {
            "label": label,
            "place": self._name(line.place),
            # Whoever calls his line by its service does not hear the word twice.
            "service": "" if service == label else service,
            "customer": self._name(line.customer),
            "turn": told.turn.value,
            "key": key,
            "mark": words[f"levels.{key}.mark"],
            "short": words[f"levels.{told.style}.short"],
            "was_short": words[f"levels.{told.was_style}.was_short"],
            "back_short": words[f"levels.{told.was_style}.back_short"],
            "never": words["never.short"],
            "since": self._times.at(line.since, reader),
            "back_at": self._time(told.back_at, reader),
            "duration": self._times.lasting(told.minutes),
        }

    def _place_counts(self, told: Sequence[Told]) -> dict[tuple[str, Turn, str], list[Told]]:
        """By place and by what the lines are now; a fate that makes no difference to the row is left out of the key."""
        counts: dict[tuple[str, Turn, str], list[Told]] = {}
        for one in told:
            turn = one.turn if not one.open else Turn.SAME
            style = one.style if one.open else one.was_style
            counts.setdefault((one.line.place, turn, style), []).append(one)
        return counts

    def _places(self, told: Sequence[Told]) -> list[Facts]:
        words = self._words
        rows: list[Facts] = []
        # What is not back yet comes first; the order of the customer's places is kept otherwise.
        counts = sorted(self._place_counts(told).items(), key=lambda found: not found[1][0].open)
        for (place, turn, style), lines in counts:
            short = {Turn.BACK: f"levels.{style}.back_short", Turn.NEVER: "never.short"}.get(
                turn, f"levels.{style}.short"
            )
            key = style if lines[0].open else "no_impact"
            rows.append(
                {
                    "name": self._name(place),
                    "count": len(lines),
                    "noun": self._noun(lines),
                    "key": key,
                    "mark": words[f"levels.{key}.mark"],
                    "short": words[short],
                }
            )
        return rows

    def _state(self, style: str) -> Facts:
        return {"key": style, "word": self._words[f"levels.{style}.word"], "mark": self._words[f"levels.{style}.mark"]}

    def _noun(self, told: Sequence[Told]) -> str:
        kinds = {one.line.kind for one in told}
        kind = kinds.pop() if len(kinds) == 1 else "mixed"
        return self._words[f"nouns.{kind if kind in _NOUNS else 'mixed'}.{self._words.form(len(told))}"]

    def _label(self, line: Line) -> str:
        """The customer's own word, else what runs over it, else its number."""
        return self._name(line.label) or self._name(line.service) or self._name(line.id)

    def _name(self, text: str) -> str:
        return cut(one_line(text), _NAME_LENGTH, self._words["mail.cut"])

    def _time(self, at: datetime | None, reader: Reader) -> str:
        return self._times.at(at, reader) if at is not None else ""
