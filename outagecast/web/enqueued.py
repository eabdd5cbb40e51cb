"""A PagerDuty Events v2 call, said again in our own generic format.

https://developer.pagerduty.com/docs/send-alert-event; what its senders leave out or add is in their plug-ins.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.strict_json import parse_json

ACTIONS = ("trigger", "acknowledge", "resolve")
LONGEST_KEY = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """`body`: as generic JSON, the original's fields under their own names too; `kept`: without the secret."""

    routing_key: str
    dedup_key: str
    body: bytes
    kept: bytes


def read(raw: bytes, *, header: str, new_key: str) -> Enqueued:
    """The call; Invalid lists every mistake. `new_key` is the alert's name where a trigger brings none."""
    value = _object(raw)
    given, said, key = value.get("payload"), value.get("event_action"), value.get("dedup_key")
    payload: Mapping[str, Any] = given if isinstance(given, dict) else {}
    summary = payload.get("summary")
    errors = []
    if said not in ACTIONS:
        errors.append(FieldError(field="event_action", message=f"is none of {', '.join(ACTIONS)}"))
    if said == "trigger" and not (isinstance(summary, str) and summary.strip()):
        errors.append(FieldError(field="payload.summary", message="is missing or blank"))
    if key is not None and not (isinstance(key, str) and len(key) <= LONGEST_KEY):
        errors.append(FieldError(field="dedup_key", message=f"is not a text of at most {LONGEST_KEY} characters"))
    if not key and said in ("acknowledge", "resolve"):
        errors.append(FieldError(field="dedup_key", message="is missing: which alert is it?"))
    if errors:
        raise Invalid(errors)
    name = key or new_key
    routing_key = value.pop("routing_key", "")
    return Enqueued(
        routing_key=routing_key if isinstance(routing_key, str) and routing_key else header,
        dedup_key=name,
        body=json.dumps({**_named(payload), **value, **_generic(value, payload), "key": name}).encode(),
        kept=json.dumps(value).encode(),
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = parse_json(raw.decode("utf-8"))
    except ValueError:
        raise Invalid.one("", "JSON parse error") from None
    if not isinstance(value, dict):
        raise Invalid.one("", "the event is not a JSON object")
    return value


def _named(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What is down is named in the details, or else it is the source."""
    details = payload.get("custom_details")
    return {"element": payload.get("source"), **(details if isinstance(details, dict) else {})}


def _generic(value: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    links = value.get("links")
    first = links[0] if isinstance(links, list) and links and isinstance(links[0], dict) else {}
    return {
        "action": value["event_action"],
        "summary": payload.get("summary"),
        "severity": payload.get("severity"),
        "time": payload.get("timestamp"),
        "link": first.get("href") or value.get("client_url"),
    }
