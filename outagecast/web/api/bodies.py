"""The bodies of the API's calls. The same models check what comes in and describe it in the OpenAPI document.

Strict: an unknown key is a mistake ("did you mean"), a number is not a text. Times are RFC 3339 with their offset.
"""

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from outagecast.domain.duration import parse_duration
from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import (
    KEEP,
    Change,
    Declaration,
    Ending,
    OutageStatus,
    Restoration,
    RetractReason,
    ScopeEntry,
    Severity,
)

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
B = TypeVar("B", bound=BaseModel)


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("is not a time with its offset: write 2026-03-01T09:14:00Z or 2026-03-01T04:14:00-05:00")
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists: check day and hour") from None


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('is not a duration: write "30m" or a number of seconds')
    seconds = parse_duration(value).total_seconds() if isinstance(value, str) else float(value)
    if not 0 <= seconds <= 30 * 86400:
        raise ValueError("is not between 0 and 30 days")
    return seconds


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["30m"]}, {"type": "number", "minimum": 0}]}, mode="validation"
    ),
]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=5000)]
Short = Annotated[str, Field(max_length=200)]
Id = Annotated[str, Field(min_length=1, max_length=200)]
OpenStatus = Literal["investigating", "identified", "monitoring"]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EntryBody(Body):
    """One thing with its own effect."""

    id: Id
    effect: Literal["outage", "degraded", "at_risk"]


class ScopeBody(Body):
    """What is named, by kind. An entry is an id, or `{id, effect}` where it differs from the whole."""

    elements: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)
    circuits: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)
    services: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)
    sites: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)
    areas: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)
    customers: tuple[Id | EntryBody, ...] = Field(default=(), max_length=10_000)

    def entries(self, effect: Effect) -> tuple[ScopeEntry, ...]:
        return tuple(
            ScopeEntry(kind=field.removesuffix("s"), id=entry, effect=effect)
            if isinstance(entry, str)
            else ScopeEntry(kind=field.removesuffix("s"), id=entry.id, effect=Effect(entry.effect))
            for field in type(self).model_fields
            for entry in getattr(self, field)
        )


class DeclareBody(Body):
    """An outage to declare, or to preview."""

    title: Title
    scope: ScopeBody
    effect: Literal["outage", "degraded", "at_risk"] = "outage"
    at_risk_until: Moment | None = None
    severity: Literal["critical", "major", "minor"] = "major"
    status: OpenStatus = "investigating"
    cause: Text = ""
    cause_code: Short = ""
    message: Text = ""
    note: Text = ""
    eta: Moment | None = None
    eta_from: Moment | None = None
    next_update_in: Seconds | None = None
    started_at: Moment | None = None
    estimated_customers: int | None = Field(default=None, ge=0, le=1_000_000_000)
    external_ref: Short = ""
    owner: Short = ""
    kind: Literal["outage"] = "outage"
    undo_for: Seconds = 0.0
    release: bool = True

    def declaration(self) -> Declaration:
        effect = Effect(self.effect)
        return Declaration(
            title=self.title.strip(),
            scope=self.scope.entries(effect),
            effect=effect,
            at_risk_until=self.at_risk_until,
            severity=Severity(self.severity),
            status=OutageStatus(self.status),
            cause=self.cause,
            cause_code=self.cause_code,
            message=self.message,
            note=self.note,
            eta=self.eta,
            eta_from=self.eta_from,
            next_update_in=self.next_update_in,
            started_at=self.started_at,
            estimated_customers=self.estimated_customers,
            external_ref=self.external_ref,
            owner=self.owner,
            release=self.release,
        )


class UpdateBody(Body):
    """One update. `eta: null` withdraws the estimate; what is left out stays. `tell: false` says nothing to anybody."""

    message: Text = ""
    note: Text = ""
    status: OpenStatus | None = None
    eta: Moment | None = None
    eta_from: Moment | None = None
    cause: Text | None = None
    cause_code: Short | None = None
    scope: ScopeBody | None = None
    scope_add: ScopeBody | None = None
    scope_remove: ScopeBody | None = None
    next_update_in: Seconds | None = None
    tell: bool = True
    undo_for: Seconds = 0.0

    def change(self, effect: Effect) -> Change:
        """`effect` is the outage's own: it holds for entries that name none. Invalid for scope beside its parts."""
        if self.scope is not None and (self.scope_add or self.scope_remove):
            raise Invalid.one("scope", "stands for the whole: leave out scope_add and scope_remove, or scope")
        given = self.model_fields_set
        return Change(
            message=self.message,
            note=self.note,
            status=OutageStatus(self.status) if self.status else None,
            eta=self.eta if "eta" in given else KEEP,
            eta_from=self.eta_from if "eta_from" in given else KEEP,
            cause=self.cause,
            cause_code=self.cause_code,
            scope=self.scope.entries(effect) if self.scope is not None else None,
            scope_add=self.scope_add.entries(effect) if self.scope_add else (),
            scope_remove=self.scope_remove.entries(effect) if self.scope_remove else (),
            next_update_in=self.next_update_in,
            tell=self.tell,
        )


class RestoreBody(Body):
    """What is back."""

    scope: ScopeBody
    restored_at: Moment | None = None
    message: Text = ""
    undo_for: Seconds = 0.0

    def restoration(self, effect: Effect) -> Restoration:
        return Restoration(scope=self.scope.entries(effect), restored_at=self.restored_at, message=self.message)


class EndBody(Body):
    """The end, or the new beginning, of an outage."""

    message: Text = ""
    cause: Text | None = None
    resolved_at: Moment | None = None
    undo_for: Seconds = 0.0

    def ending(self) -> Ending:
        return Ending(message=self.message, cause=self.cause, resolved_at=self.resolved_at)


class RetractBody(EndBody):
    """The outage never was, or never touched these customers."""

    reason: Literal["false_alarm", "not_affected"] = "false_alarm"

    def ending(self) -> Ending:
        return Ending(
            message=self.message, cause=self.cause, resolved_at=self.resolved_at, reason=RetractReason(self.reason)
        )


class MergeBody(Body):
    """The outage it turned out to be part of."""

    into: Id
    undo_for: Seconds = 0.0


class ReasonBody(Body):
    """Why, for everybody to read."""

    reason: Text = ""


class HoldBody(Body):
    """Why this outage's messages are frozen."""

    reason: Text = ""
    message: Text = ""


class ReleaseBody(Body):
    """`customers`: how many it reaches, where the settings want that number typed (`approve_by`)."""

    message: Text = ""
    customers: Annotated[int, Field(ge=0, lt=10**9)] | None = None
    undo_for: Seconds = 0.0


class NoBody(Body):
    """Nothing is needed; a message is taken for politeness' sake."""

    message: Text = ""


def check_body(model: type[B], value: Any) -> B:
    """The body as its model; Invalid lists every mistake with its path."""
    if not isinstance(value, dict):
        raise Invalid.one("", "the body is not a JSON object")
    try:
        return model.model_validate(_plain(value))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise Invalid(_unique([_mistake(model, item) for item in found])) from None


def _plain(value: Any) -> Any:
    """Lists as tuples, which is what strict models take."""
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _mistake(model: type[BaseModel], item: Any) -> FieldError:
    where = [part for part in item["loc"] if not _is_union_branch(part)]
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return FieldError(field=_path(where), message=f"is not known here{_did_you_mean(model, where)}")
    if item["type"] == "missing":
        message = "is missing"
    return FieldError(field=_path(where), message=message[:1].lower() + message[1:])


def _is_union_branch(part: Any) -> bool:
    """pydantic names the branch of a union in the path (`constrained-str`, `EntryBody`); nobody wrote that."""
    return isinstance(part, str) and (
        part == "EntryBody" or "constrained" in part or "function-" in part or part == "str"
    )


def _path(where: Sequence[Any]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".")


def _did_you_mean(model: type[BaseModel], where: Sequence[Any]) -> str:
    known = ScopeBody.model_fields if len(where) > 1 else model.model_fields
    close = difflib.get_close_matches(str(where[-1]), known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _unique(errors: list[FieldError]) -> list[FieldError]:
    """One line a field, the innermost only: each branch of a union complains on its own."""
    found = {error.field: error for error in reversed(errors)}
    return [
        error
        for field, error in reversed(found.items())
        if not any(other != field and other.startswith((f"{field}.", f"{field}[")) for other in found)
    ]
