"""Ready-made words: phrases for a message, templates for a whole declaration. Pure; kept in storage/phrases.py."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from outagecast.domain.errors import FieldError
from outagecast.domain.levels import Effect
from outagecast.domain.outage import OPEN, Severity

LONGEST_NAME = 80
LONGEST_TEXT = 1000
"""A message longer than that is no SMS and hardly a mail that anybody reads."""
LONGEST_SCOPE = 20_000
MOST = 300
"""Phrases, and templates: more than that nobody finds anything in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """A short text for a message. `cause_code`: the cause it is for, "" any. `position`: smaller stands first."""

    name: str
    text: str
    cause_code: str = ""
    position: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OutageTemplate:
    """The declare form filled in beforehand, each field as it is typed there: `scope` one id a line, `eta` `+90`,
    `next_update_in` `45m`.
    """

    name: str
    title: str = ""
    scope: str = ""
    effect: str = Effect.OUTAGE.value
    severity: str = Severity.MAJOR.value
    status: str = "investigating"
    eta: str = ""
    message: str = ""
    cause: str = ""
    cause_code: str = ""
    note: str = ""
    next_update_in: str = ""
    position: int = 0


TEMPLATE_FIELDS = tuple(field.name for field in fields(OutageTemplate) if field.name not in ("name", "position"))
"""What a template fills in; the declare form has fields of these names."""


def check_phrase(phrase: Phrase, others: Iterable[str]) -> list[FieldError]:
    """What is wrong with it, beside the names of the other phrases; nothing when all is well."""
    errors = _check_name(phrase.name, others, "phrase")
    if not phrase.text.strip():
        errors.append(FieldError(field="text", message="is missing: the words that go into the message"))
    return errors + _too_long("text", phrase.text, LONGEST_TEXT) + _too_long("cause_code", phrase.cause_code)


def check_template(template: OutageTemplate, others: Iterable[str]) -> list[FieldError]:
    """As `check_phrase`. Whether its scope and times can be read is for whoever knows the inventory and the zone."""
    errors = _check_name(template.name, others, "template")
    choices: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("effect", template.effect, Effect),
        ("severity", template.severity, Severity),
        ("status", template.status, sorted(OPEN)),
    )
    for field, value, words in choices:
        if value not in set(words):
            errors.append(FieldError(field=field, message=f"is none of {', '.join(words)}"))
    errors += _too_long("title", template.title, 200) + _too_long("scope", template.scope, LONGEST_SCOPE)
    for field in ("message", "note", "cause"):
        errors += _too_long(field, getattr(template, field), LONGEST_TEXT)
    return errors + _too_long("cause_code", template.cause_code)


def _check_name(name: str, others: Iterable[str], what: str) -> list[FieldError]:
    if not name.strip():
        return [FieldError(field="name", message=f"is missing: what colleagues find this {what} by")]
    if name.casefold() in {other.casefold() for other in others}:
        return [FieldError(field="name", message=f"{name} is another {what}'s name: choose a new one")]
    return _too_long("name", name)


def _too_long(field: str, text: str, most: int = LONGEST_NAME) -> list[FieldError]:
    return [FieldError(field=field, message=f"is longer than {most} characters")] if len(text) > most else []
