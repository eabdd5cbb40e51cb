"""The API's answers, as JSON-ready values: written once for the calls and for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import TypedDict

from outagecast.storage.views import OutageView, TimelineView, Touched, Waiting
from outagecast.storage.views_deliveries import AttemptView, DeliveryView, ImpactView
from outagecast.web.ports import MapChange, Preview, Told


class ImpactCounts(TypedDict):
    customers: int
    circuits: int
    services: int
    by_level: dict[str, dict[str, int]]


class ScopeAnswer(TypedDict):
    kind: str
    id: str
    effect: str


class PendingAnswer(TypedDict):
    revision: int
    verb: str
    effective_at: str | None
    held_because: str | None


class OutageAnswer(TypedDict):
    """`revision` goes into If-Match. `impact`: now, while it is open; of the whole episode, once it is over."""

    id: str
    kind: str
    title: str
    status: str
    revision: int
    episode: int
    severity: str
    effect: str
    cause: str
    cause_code: str
    eta: str | None
    eta_from: str | None
    at_risk_until: str | None
    next_update_by: str | None
    started_at: str
    ended_at: str | None
    created_at: str
    created_by: str
    owner: str
    external_ref: str
    monitor: str
    estimated_customers: int | None
    scope: list[ScopeAnswer]
    impact: ImpactCounts
    deliveries: dict[str, dict[str, int]]
    held_because: str | None
    hold: str | None
    merged_into: str | None
    pending: PendingAnswer | None
    held: PendingAnswer | None


class MapChangedAnswer(TypedDict):
    """Circuits and subscriptions that the inventory of today would add and take out."""

    more: int
    fewer: int


class OneOutageAnswer(OutageAnswer):
    """`map_changed`: the inventory was changed since this outage was reckoned; naming its scope again applies it."""

    map_changed: MapChangedAnswer | None


class ToldAnswer(OutageAnswer):
    """An outage after a verb. `state`: effective, pending, held or draft; `planned`: messages by channel."""

    state: str
    effective_at: str | None
    planned: dict[str, int]


class OutagesAnswer(TypedDict):
    outages: list[OutageAnswer]
    next_cursor: str | None


class PreviewAnswer(TypedDict):
    """`estimated` names what is only about right, because it was reckoned from a sample. `last_leaves_at`: by when the
    last of these messages will have left by each channel, at the present rate and after the `ahead` that wait already;
    a channel of which nothing leaves at present is in `cut` instead, for nobody can say.
    """

    impact: dict[str, Any]
    channels: dict[str, dict[str, int]]
    suppressed: dict[str, int]
    unreachable: list[dict[str, Any]]
    unreachable_count: int
    samples: list[dict[str, Any]]
    impacts_sample: list[dict[str, Any]]
    cost: dict[str, Any] | None
    last_leaves_at: dict[str, str]
    ahead: dict[str, int]
    cut: list[str]
    held_because: str | None
    estimated: list[str]


class AttemptAnswer(TypedDict):
    number: int
    started_at: str
    ended_at: str | None
    outcome: str | None
    code: str | None
    detail: str | None
    provider_id: str | None
    ambiguous: bool
    receipt: str | None
    receipt_at: str | None
    receipt_code: str | None


class DeliveryAnswer(TypedDict):
    id: int
    outage_id: str
    episode: int
    revision: int
    kind: str
    audience: str
    channel: str
    to: str
    customer_id: str | None
    customers: list[str]
    contact_id: str | None
    contact: str
    state: str
    reason: str | None
    code: str | None
    detail: str | None
    provider_id: str | None
    created_at: str
    due_at: str
    expires_at: str | None
    transmitting_at: str | None
    ended_at: str | None
    eta: str | None
    promise: str | None
    ambiguous: bool
    attempts: list[AttemptAnswer]
    words: dict[str, Any] | None


class DeliveriesAnswer(TypedDict):
    deliveries: list[DeliveryAnswer]
    next_cursor: str | None


class ImpactAnswer(TypedDict):
    episode: int
    thing_kind: str
    thing_id: str
    label: str
    customer_id: str
    customer: str
    level: str
    from_at: str
    to_at: str | None
    because: Any


class ImpactsAnswer(TypedDict):
    impacts: list[ImpactAnswer]
    next_cursor: str | None


class TimelineLine(TypedDict):
    id: int
    at: str
    revision: int | None
    actor_kind: str
    actor: str
    what: str
    why: str
    data: Any
    text: str | None


class TimelineAnswer(TypedDict):
    timeline: list[TimelineLine]
    next_cursor: str | None


class PauseAnswer(TypedDict):
    paused: bool
    reason: str


def outage_answer(view: OutageView) -> OutageAnswer:
    return OutageAnswer(
        id=view.id,
        kind=view.kind,
        title=view.title,
        status=view.status,
        revision=view.revision,
        episode=view.episode,
        severity=view.severity,
        effect=view.effect,
        cause=view.cause,
        cause_code=view.cause_code,
        eta=when(view.eta),
        eta_from=when(view.eta_from),
        at_risk_until=when(view.at_risk_until),
        next_update_by=when(view.next_update_by),
        started_at=moment(view.started_at),
        ended_at=when(view.ended_at),
        created_at=moment(view.created_at),
        created_by=view.created_by,
        owner=view.owner,
        external_ref=view.external_ref,
        monitor=view.monitor,
        estimated_customers=view.estimated_customers,
        scope=[ScopeAnswer(kind=entry.kind, id=entry.id, effect=entry.effect) for entry in view.scope],
        impact=_counts(view.touched),
        deliveries={channel: dict(states) for channel, states in view.deliveries.items()},
        held_because=view.held_because,
        hold=view.hold_reason,
        merged_into=view.merged_into,
        pending=_waiting(view.pending),
        held=_waiting(view.held),
    )


def one_outage_answer(view: OutageView, change: MapChange | None) -> OneOutageAnswer:
    changed = MapChangedAnswer(more=change.more, fewer=change.fewer) if change is not None else None
    return OneOutageAnswer(**outage_answer(view), map_changed=changed)


def told_answer(view: OutageView, told: Told) -> ToldAnswer:
    answer = outage_answer(view)
    return ToldAnswer(
        **{**answer, "held_because": told.held_because or answer["held_because"]},  # type: ignore[typeddict-item]
        state=told.state,
        effective_at=when(told.effective_at),
        planned=dict(told.planned),
    )


def preview_answer(preview: Preview) -> PreviewAnswer:
    return PreviewAnswer(
        impact={
            "customers": preview.customers,
            "circuits": preview.circuits,
            "contacts": preview.contacts,
            "by_level": {level: dict(counts) for level, counts in preview.by_level.items()},
        },
        channels={channel: dict(counts) for channel, counts in preview.channels.items()},
        suppressed=dict(preview.suppressed),
        unreachable=_plain(preview.unreachable),
        unreachable_count=preview.unreachable_count,
        samples=_plain(preview.samples),
        impacts_sample=_plain(preview.impacts_sample),
        cost=dict(preview.cost) if preview.cost is not None else None,
        last_leaves_at={channel: moment(at) for channel, at in preview.last_leaves_at.items() if at is not None},
        ahead=dict(preview.ahead),
        cut=list(preview.cut),
        held_because=preview.held_because,
        estimated=list(preview.estimated),
    )


def delivery_answer(view: DeliveryView, words: Mapping[str, Any] | None) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=view.id,
        outage_id=view.outage_id,
        episode=view.episode,
        revision=view.revision,
        kind=view.kind,
        audience=view.audience,
        channel=view.channel,
        to=view.to,
        customer_id=view.customer_id,
        customers=list(view.customers),
        contact_id=view.contact_id,
        contact=view.name,
        state=view.state,
        reason=view.reason,
        code=view.code,
        detail=view.detail,
        provider_id=view.provider_id,
        created_at=moment(view.created_at),
        due_at=moment(view.due_at),
        expires_at=when(view.expires_at),
        transmitting_at=when(view.transmitting_at),
        ended_at=when(view.ended_at),
        eta=when(view.eta),
        promise=when(view.promise),
        ambiguous=view.ambiguous > 0,
        attempts=[_attempt(attempt) for attempt in view.attempts],
        words=dict(words) if words is not None else None,
    )


def impact_answer(view: ImpactView) -> ImpactAnswer:
    return ImpactAnswer(
        episode=view.episode,
        thing_kind=view.thing_kind,
        thing_id=view.thing_id,
        label=view.label,
        customer_id=view.customer_id,
        customer=view.customer,
        level=view.level.word,
        from_at=moment(view.from_at),
        to_at=when(view.to_at),
        because=view.because,
    )


def timeline_line(view: TimelineView) -> TimelineLine:
    return TimelineLine(
        id=view.id,
        at=moment(view.at),
        revision=view.revision,
        actor_kind=view.actor_kind,
        actor=view.actor,
        what=view.what,
        why=view.why,
        data=view.data,
        text=view.text,
    )


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, with as many parts of a second as there are."""
    return at.isoformat().replace("+00:00", "Z")


def when(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def _counts(touched: Touched) -> ImpactCounts:
    return ImpactCounts(
        customers=touched.customers,
        circuits=touched.circuits,
        services=touched.services,
        by_level={level: dict(counts) for level, counts in touched.by_level.items()},
    )


def _waiting(waiting: Waiting | None) -> PendingAnswer | None:
    if waiting is None:
        return None
    return PendingAnswer(
        revision=waiting.revision,
        verb=waiting.verb,
        effective_at=when(waiting.effective_at),
        held_because=waiting.held_because,
    )


def _attempt(view: AttemptView) -> AttemptAnswer:
    return AttemptAnswer(
        number=view.number,
        started_at=moment(view.started_at),
        ended_at=when(view.ended_at),
        outcome=view.outcome,
        code=view.code,
        detail=view.detail,
        provider_id=view.provider_id,
        ambiguous=view.ambiguous,
        receipt=view.receipt,
        receipt_at=when(view.receipt_at),
        receipt_code=view.receipt_code,
    )


def _plain(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: moment(value) if isinstance(value, datetime) else value for key, value in item.items()} for item in items
    ]
