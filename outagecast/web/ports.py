"""What the web asks of the engine: the verbs, as shapes. `app.py` hands the real ones in."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from outagecast.domain.delivery import Receipt
from outagecast.domain.event import Event
from outagecast.domain.outage import Actor, Change, Declaration, Ending, Restoration

AT_ONCE = timedelta(0)


class Told(Protocol):
    """What a verb answers. `state`: effective, pending, held or draft; `planned`: notices by channel."""

    @property
    def outage_id(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def created(self) -> bool: ...
    @property
    def status(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def effective_at(self) -> datetime | None: ...
    @property
    def held_because(self) -> str | None: ...
    @property
    def planned(self) -> Mapping[str, int]: ...


class MapChange(Protocol):
    """What a new reckoning would touch beyond the present impacts, and which of those it would not."""

    @property
    def more(self) -> int: ...
    @property
    def fewer(self) -> int: ...


class Preview(Protocol):
    """Who would hear what; nothing is stored."""

    @property
    def customers(self) -> int: ...
    @property
    def circuits(self) -> int: ...
    @property
    def contacts(self) -> int: ...
    @property
    def by_level(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def channels(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def suppressed(self) -> Mapping[str, int]: ...
    @property
    def unreachable(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def unreachable_count(self) -> int: ...
    @property
    def samples(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def last_leaves_at(self) -> Mapping[str, datetime]: ...
    @property
    def held_because(self) -> str | None: ...
    @property
    def impacts_sample(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def cost(self) -> Mapping[str, Any] | None: ...


class Idempotent(Protocol):
    """A key with the hash of the body it came with."""

    @property
    def key(self) -> str: ...
    @property
    def body_hash(self) -> str: ...


class Operations(Protocol):
    """The verbs; each is one transaction, and answers after its commit. `undo_for` None takes the cadence's."""

    async def declare(
        self,
        declaration: Declaration,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        idempotency: Any = None,
    ) -> Told: ...
    async def update(
        self,
        outage_id: str,
        change: Change,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def restore(
        self,
        outage_id: str,
        restoration: Restoration,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def resolve(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def retract(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def reopen(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def merge(
        self,
        outage_id: str,
        into: str,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        if_match: int | None = None,
    ) -> Told: ...
    async def release(self, outage_id: str, *, actor: Actor) -> Told: ...
    async def undo(self, outage_id: str, *, actor: Actor) -> Told: ...
    async def map_change(self, outage_id: str) -> MapChange | None:
        """What the inventory's change since the last reckoning would change here; nothing is applied or sent."""
        ...

    async def hold(self, outage_id: str, reason: str, *, actor: Actor) -> None: ...
    async def unhold(self, outage_id: str, *, actor: Actor) -> None: ...
    async def pause(self, reason: str, *, actor: Actor) -> None: ...
    async def resume(self, *, actor: Actor) -> None: ...


class Previews(Protocol):
    async def preview(self, declaration: Declaration, *, actor: Actor) -> Preview:
        """Invalid for what the scope names and nobody knows, as `declare` does."""
        ...


class Intake(Protocol):
    async def take(self, monitor: str, events: Sequence[Event], raw: bytes) -> None:
        """Returns after the events are committed."""
        ...


class Receipts(Protocol):
    async def record(self, receipt: Receipt) -> bool: ...
    async def stop(self, phone: str, word: str, source: str) -> bool: ...
    async def unsubscribe(self, address_id: int, source: str) -> None: ...
    async def rejoin(self, address_id: int, source: str) -> None: ...


class Links(Protocol):
    def my(self, address_id: int) -> str: ...
    def unsubscribe(self, address_id: int) -> str: ...
    def read(self, token: str) -> int | None: ...


class Changes(Protocol):
    def subscribe(self) -> AsyncIterator[Any]:
        """One item whenever pages may have to change."""
        ...


class Inventory(Protocol):
    """Customers, contacts, circuits … as billing systems push them; kind is the singular."""

    async def get(self, kind: str, id: str) -> Mapping[str, Any]: ...
    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, actor: Actor) -> bool:
        """True when it was created."""
        ...

    async def delete(self, kind: str, id: str, *, actor: Actor) -> None: ...


class Words(Protocol):
    async def __call__(self, delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By delivery: subject, text and html of a mail, text of an SMS; those without words are left out."""
        ...
