"""Our own hook format, for everything that can send a small JSON object (or a list of them, or a form).

    {"key": "pop-lex-power", "action": "trigger", "summary": "POP-LEX lost power", "element": "POP-LEX",
     "severity": "critical", "time": "2026-03-01T09:14:00Z", "link": "https://monitor.example.net/a/1"}

Only `action` matters always ("trigger" when it is missing) and, for a resolve, the `key` (or the same things) again.
Common other names are understood: see `_FIELDS`.
"""

from typing import Any

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.event import HINT_KINDS, Event, EventAction
from outagecast.monitors.mapping import (
    Payload,
    Places,
    digest_of,
    first_text,
    hints_at,
    read_link,
    read_payload,
    read_severity,
    read_time,
    short_key,
)

MOST_EVENTS = 1000
USUAL = {kind: (kind, f"{kind}s", f"{kind}_id") for kind in HINT_KINDS}
_FIELDS = {
    "key": ("key", "dedup_key", "id", "alert_id", "event_id", "incident_key"),
    "action": ("action", "status", "state", "event", "event_action"),
    "summary": ("summary", "title", "message", "description", "text"),
    "severity": ("severity", "priority"),
    "time": ("time", "occurred_at", "timestamp", "at"),
    "link": ("link", "url"),
}
_ACTIONS = {
    EventAction.TRIGGER: "trigger triggered firing problem down alert open opened critical warning error failed",
    EventAction.RESOLVE: "resolve resolved ok okay up recover recovered recovery clear cleared close closed normal",
    EventAction.ACK: "ack acknowledge acknowledged acknowledgement",
    EventAction.NOTE: "note update comment info",
}


def read(payload: Payload, places: Places) -> list[Event]:
    """The events of one call; Invalid lists every mistake and nothing is taken."""
    value = read_payload(payload)
    several = value.get("events") if isinstance(value, dict) else value
    items = several if isinstance(several, list) else [value]
    if len(items) > MOST_EVENTS:
        raise Invalid.one("events", f"more than {MOST_EVENTS} in one call")
    paths = places.over(USUAL)
    errors: list[FieldError] = []
    events = [_event(item, paths, f"events[{n}]." if several is items else "", errors) for n, item in enumerate(items)]
    if errors:
        raise Invalid(errors)
    return [event for event in events if event is not None]


def _event(item: Any, paths: dict[str, tuple[str, ...]], where: str, errors: list[FieldError]) -> Event | None:
    if not isinstance(item, dict):
        errors.append(FieldError(field=where.rstrip("."), message="is not an object"))
        return None
    action = _action(item)
    hints = hints_at(item, paths)
    key = first_text(item, *_FIELDS["key"], longest=4096) or (digest_of(_flat(hints)) if hints else "")
    if action is None:
        errors.append(FieldError(field=f"{where}action", message="is none of trigger, resolve, ack, note"))
    if not key:
        errors.append(FieldError(field=f"{where}key", message="is missing, and nothing is named to tell this alert by"))
    if action is None or not key:
        return None
    return Event(
        dedup_key=short_key(key),
        action=action,
        occurred_at=next(filter(None, (read_time(item.get(name)) for name in _FIELDS["time"])), None),
        summary=first_text(item, *_FIELDS["summary"]),
        severity=read_severity(first_text(item, *_FIELDS["severity"])),
        hints=hints,
        link=next(filter(None, (read_link(item.get(name)) for name in _FIELDS["link"])), ""),
    )


def _action(item: dict[str, Any]) -> EventAction | None:
    word = first_text(item, *_FIELDS["action"]).lower()
    if not word:
        return EventAction.TRIGGER
    return next((action for action, words in _ACTIONS.items() if word in words.split()), None)


def _flat(hints: dict[str, tuple[str, ...]]) -> list[str]:
    return [f"{kind}:{name}" for kind, names in sorted(hints.items()) for name in sorted(names)]
