"""Prometheus Alertmanager's webhook, version 4 (3 is read too): one Event per alert of the group.

Alertmanager retries only 5xx answers; what is answered 4xx is lost, so everything that can be understood is.
"""

from typing import Any

from outagecast.domain.errors import Invalid
from outagecast.domain.event import Event, EventAction
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

USUAL = {
    "circuit": ("labels.circuit", "labels.circuit_id"),
    "element": ("labels.element",),
    "service": ("labels.service",),
    "site": ("labels.site",),
}
"""Where to look when `[monitors.map]` says nothing. `labels.instance` is host:port more often than an element's id."""


def read(payload: Payload, places: Places) -> list[Event]:
    """The events of one group; Invalid if it is no Alertmanager payload. An empty group is no events."""
    group = read_payload(payload)
    if not isinstance(group, dict) or not isinstance(group.get("alerts"), list):
        raise Invalid.one("alerts", "missing: is this Alertmanager's webhook (version 4)?")
    paths = places.over(USUAL)
    return [_event(group, alert, paths) for alert in group["alerts"] if isinstance(alert, dict)]


def _event(group: dict[str, Any], alert: dict[str, Any], paths: dict[str, tuple[str, ...]]) -> Event:
    resolved = (first_text(alert, "status") or first_text(group, "status")).lower() == "resolved"
    both = {**group, **alert}
    return Event(
        dedup_key=_key(alert),
        action=EventAction.RESOLVE if resolved else EventAction.TRIGGER,
        occurred_at=(read_time(alert.get("endsAt")) if resolved else None) or read_time(alert.get("startsAt")),
        summary=_summary(both),
        severity=read_severity(first_text(both, "labels.severity", "commonLabels.severity")),
        hints=hints_at(_with_common(both), paths),
        link=read_link(alert.get("generatorURL")) or read_link(group.get("externalURL")),
    )


def _key(alert: dict[str, Any]) -> str:
    fingerprint = first_text(alert, "fingerprint")
    if fingerprint:
        return short_key(fingerprint)
    labels = alert.get("labels")
    pairs = sorted(labels.items()) if isinstance(labels, dict) else []
    return digest_of(f"{name}={value}" for name, value in pairs)


def _summary(both: dict[str, Any]) -> str:
    return first_text(
        both,
        "annotations.summary",
        "annotations.title",
        "annotations.description",
        "commonAnnotations.summary",
        "labels.alertname",
        "groupLabels.alertname",
    )


def _with_common(both: dict[str, Any]) -> dict[str, Any]:
    """The alert's labels over those common to its group: trimmed payloads leave the common ones out."""
    layers = (both.get("commonLabels"), both.get("labels"))
    return {**both, "labels": {k: v for layer in layers if isinstance(layer, dict) for k, v in layer.items()}}
