"""What a verb makes of an outage: from its row and the change asked for to the new row and who is to be spoken to.
Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outagecast.domain.cadence import Cadence
from outagecast.domain.errors import Conflict, FieldError, Invalid
from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.outage import (
    ENDED,
    OPEN,
    Change,
    Declaration,
    Ending,
    Keep,
    OutageStatus,
    Restoration,
    ScopeEntry,
    Verb,
    move,
)

MASKABLE = ("circuit", "customer", "site")
"""What can be back although the scope still names its cause: things that nothing else hangs on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A verb, ready to take effect. `values` are the outage's new columns.

    `reckons`: what is down may change. `ends`: nothing of the outage is down afterwards. `only_better`: nobody may be
    newly touched (restoring). `to_all`: it has a word for everybody it leads. `promises`: a new promise is given.
    """

    verb: Verb
    values: Mapping[str, Any]
    message: str = ""
    note: str = ""
    reckons: bool = False
    ends: bool = False
    only_better: bool = False
    never: bool = False
    to_all: bool = False
    speaks: bool = True
    promises: bool = False
    next_update_in: timedelta | None = None
    back_at: datetime | None = None
    retract_reason: str = ""
    desk_word: bool = True


def declare(row: Any, change: Mapping[str, Any]) -> Intent:
    """The declaration takes effect: the outage is open and public."""
    status = OutageStatus(change.get("status", OutageStatus.INVESTIGATING))
    return Intent(
        verb=Verb.DECLARE,
        values={"status": status.value, "public": True, "held_because": None, "words": 0, "strikes": 0},
        message=change.get("message", ""),
        reckons=True,
        to_all=True,
        promises=True,
        next_update_in=_seconds(change.get("next_update_in")),
    )


def update(row: Any, change: Mapping[str, Any], cadence: Cadence) -> Intent:
    """One update. Its word goes to all when it has a message or a changed ETA; a changed scope alone speaks to whom
    it concerns.
    """
    current = OutageStatus(row.status)
    values: dict[str, Any] = {}
    if "status" in change:
        values["status"] = move(current, OutageStatus(change["status"])).value if current in OPEN else current.value
    for name in ("cause", "cause_code"):
        if change.get(name) is not None:
            values[name] = change[name]
    eta_changed = _change_eta(row, change, values)
    scope_changed = _change_scope(row, change, values)
    tell = bool(change.get("tell", True))
    word = bool(change.get("message")) or eta_changed
    return Intent(
        verb=Verb.UPDATE,
        values=values,
        message=change.get("message", ""),
        note=change.get("note", ""),
        reckons=scope_changed,
        never=scope_changed,
        to_all=tell and word,
        speaks=tell and (word or scope_changed),
        promises=tell and word,
        next_update_in=_seconds(change.get("next_update_in")),
    )


def restore(row: Any, change: Mapping[str, Any]) -> Intent:
    """What is named is back. Things of the scope leave it; circuits, customers and sites may be back before their
    cause is.
    """
    restored = {(e["kind"], e["id"]) for e in change["scope"]}
    scope = [e for e in row.scope if (e["kind"], e["id"]) not in restored]
    named = {(e["kind"], e["id"]) for e in row.scope}
    errors = [
        FieldError(
            field=f"scope.{e['kind']}s",
            message=f"{e['id']} is not in the scope of {row.id}; restore what it names, or a circuit, customer or site "
            "behind it",
        )
        for e in change["scope"]
        if (e["kind"], e["id"]) not in named and e["kind"] not in MASKABLE
    ]
    if errors:
        raise Invalid(errors)
    back = [*row.restored, *({"kind": e["kind"], "id": e["id"]} for e in change["scope"])]
    return Intent(
        verb=Verb.RESTORE,
        values={"scope": scope, "restored": back, "strikes": 0},
        message=change.get("message", ""),
        reckons=True,
        only_better=True,
        back_at=_time(change.get("restored_at")),
    )


def end(row: Any, verb: Verb, change: Mapping[str, Any], now: datetime) -> Intent:
    """Resolve, retract or merge: nothing of it is down any more."""
    to = OutageStatus.RESOLVED if verb is Verb.RESOLVE else OutageStatus.RETRACTED
    status = move(OutageStatus(row.status), to)
    ended_at = _time(change.get("resolved_at")) or now
    values: dict[str, Any] = {
        "status": status.value,
        "ended_at": ended_at,
        "next_update_by": None,
        "look_again_at": None,
        "hold_reason": None,
    }
    if change.get("cause") is not None:
        values["cause"] = change["cause"]
    if verb is Verb.MERGE:
        values["merged_into"] = change["into"]
    return Intent(
        verb=verb,
        values=values,
        message=change.get("message", ""),
        reckons=True,
        ends=True,
        only_better=True,
        never=verb is Verb.RETRACT,
        to_all=True,
        back_at=ended_at,
        retract_reason=change.get("reason") or ("not_affected" if verb is Verb.RETRACT else ""),
    )


def reopen(row: Any, change: Mapping[str, Any], now: datetime) -> Intent:
    """A new episode: reckoned afresh, ETA cleared, new keys."""
    if OutageStatus(row.status) is not OutageStatus.RESOLVED:
        raise Conflict(f"{row.id} is {row.status}: only what is resolved can be reopened")
    return Intent(
        verb=Verb.REOPEN,
        values={
            "status": OutageStatus.INVESTIGATING.value,
            "episode": row.episode + 1,
            "eta": None,
            "eta_from": None,
            "eta_slips": 0,
            "eta_passed_told": False,
            "reminded_eta_at": None,
            "reminded_promise_at": None,
            "ended_at": None,
            "started_at": now,
            "restored": [],
            "words": 0,
            "strikes": 0,
            **({"cause": change["cause"]} if change.get("cause") is not None else {}),
        },
        message=change.get("message", ""),
        reckons=True,
        to_all=True,
        promises=True,
    )


def check_status(current: OutageStatus, verb: Verb) -> None:
    """Conflict if this verb has no place in this state."""
    allowed = {
        Verb.UPDATE: OPEN | {OutageStatus.DRAFT},
        Verb.RESTORE: OPEN,
        Verb.RESOLVE: OPEN,
        Verb.RETRACT: OPEN | {OutageStatus.DRAFT},
        Verb.MERGE: OPEN,
        Verb.REOPEN: frozenset({OutageStatus.RESOLVED}),
    }[verb]
    if current not in allowed:
        mend = (
            "; reopen it first"
            if current is OutageStatus.RESOLVED
            else ""
            if current in ENDED
            else "; release it first"
        )
        raise Conflict(f"the outage is {current.value}: {verb.value} is not possible{mend}")


# --- what was asked, as JSON on the revision ---


def declaration_json(declaration: Declaration) -> dict[str, Any]:
    return _without_none(
        {
            "title": declaration.title,
            "scope": [scope_json(e) for e in declaration.scope],
            "status": declaration.status.value,
            "message": declaration.message,
            "next_update_in": declaration.next_update_in,
        }
    )


def change_json(change: Change) -> dict[str, Any]:
    out: dict[str, Any] = {"message": change.message, "note": change.note, "tell": change.tell}
    if change.status is not None:
        out["status"] = change.status.value
    for name in ("eta", "eta_from"):
        value = getattr(change, name)
        if not isinstance(value, Keep):
            out[name] = None if value is None else to_micros(value)
    for name in ("cause", "cause_code", "next_update_in"):
        if getattr(change, name) is not None:
            out[name] = getattr(change, name)
    if change.scope is not None:
        out["scope"] = [scope_json(e) for e in change.scope]
    if change.scope_add:
        out["scope_add"] = [scope_json(e) for e in change.scope_add]
    if change.scope_remove:
        out["scope_remove"] = [scope_json(e) for e in change.scope_remove]
    return out


def restoration_json(restoration: Restoration) -> dict[str, Any]:
    return {
        "scope": [scope_json(e) for e in restoration.scope],
        "message": restoration.message,
        "restored_at": _micros(restoration.restored_at),
    }


def ending_json(ending: Ending) -> dict[str, Any]:
    return _without_none(
        {
            "message": ending.message,
            "cause": ending.cause,
            "resolved_at": _micros(ending.resolved_at),
            "reason": ending.reason.value if ending.reason else None,
        }
    )


def scope_json(entry: ScopeEntry) -> dict[str, str]:
    return {"kind": entry.kind, "id": entry.id, "effect": entry.effect.value}


def _change_eta(row: Any, change: Mapping[str, Any], values: dict[str, Any]) -> bool:
    if "eta_from" in change:
        values["eta_from"] = _time(change["eta_from"])
    if "eta" not in change:
        return False
    eta = _time(change["eta"])
    if eta == row.eta:
        return False
    values |= {"eta": eta, "eta_passed_told": False, "reminded_eta_at": None}
    if row.eta is not None and eta is not None and eta > row.eta:
        values["eta_slips"] = row.eta_slips + 1
    return True


def _change_scope(row: Any, change: Mapping[str, Any], values: dict[str, Any]) -> bool:
    scope = list(row.scope)
    if change.get("scope") is not None:
        scope = list(change["scope"])
    removed = {(e["kind"], e["id"]) for e in change.get("scope_remove", ())}
    added = {(e["kind"], e["id"]): e for e in change.get("scope_add", ())}
    scope = [e for e in scope if (e["kind"], e["id"]) not in removed and (e["kind"], e["id"]) not in added]
    scope += added.values()
    if not any(name in change for name in ("scope", "scope_add", "scope_remove")):
        return False
    values["scope"] = scope
    named = {(e["kind"], e["id"]) for e in scope}
    values["restored"] = [e for e in row.restored if (e["kind"], e["id"]) not in named]
    return True


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
