"""What the web asks of the engine: the verbs, as shapes. `app.py` hands the real ones in."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from outagecast.domain.delivery import Receipt
from outagecast.domain.event import Event
from outagecast.domain.levels import Level
from outagecast.domain.outage import Actor, Change, Declaration, Ending, Restoration, ScopeEntry, Verb
from outagecast.domain.routes import Carries, Passage

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


class ReleaseCheck(Protocol):
    """`refusal`: type_number, needs_approver or second_person; "" where this person may release it."""

    @property
    def customers(self) -> int: ...
    @property
    def held_because(self) -> str | None: ...
    @property
    def verb(self) -> str: ...
    @property
    def refusal(self) -> str: ...


class Route(Protocol):
    """A channel. `since`: when nothing left by it any more, None while it does; `reason` in words."""

    @property
    def since(self) -> datetime | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def messages(self) -> int:
        """How many are due and wait."""
        ...


class Running(Protocol):
    """A daemon on this database: engine/owners.py."""

    @property
    def role(self) -> str: ...
    @property
    def seat(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def seen_at(self) -> datetime: ...
    @property
    def state(self) -> str:
        """running, silent (not seen for a while) or lost."""
        ...

    @property
    def leads(self) -> bool:
        """Whether it keeps the promises."""
        ...


class RouteView(Protocol):
    """A mail server or an SMS account, over all daemons that send by it: engine/route_watch.py."""

    @property
    def channel(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def is_staff(self) -> bool: ...
    @property
    def passage(self) -> Passage: ...
    @property
    def carries(self) -> Carries: ...
    @property
    def since(self) -> datetime | None: ...
    @property
    def code(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def opened(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def last_left_at(self) -> datetime | None: ...
    @property
    def senders(self) -> int: ...
    @property
    def stuck(self) -> int: ...


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
    def ahead(self) -> Mapping[str, int]: ...
    @property
    def cut(self) -> Sequence[str]: ...
    @property
    def held_because(self) -> str | None: ...
    @property
    def impacts_sample(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def cost(self) -> Mapping[str, Any] | None: ...
    @property
    def reached(self) -> Mapping[str, str]:
        """The level of each element and site touched, by `element:ID` or `site:ID`: what a map marks."""
        ...

    @property
    def estimated(self) -> Sequence[str]:
        """ "messages" or "segments" where these were scaled from a sample."""
        ...


class Idempotent(Protocol):
    """A key with the hash of the body it came with."""

    @property
    def key(self) -> str: ...
    @property
    def body_hash(self) -> str: ...


class Affected(Protocol):
    """One customer, with the labels of what a change is about."""

    @property
    def customer_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def lines(self) -> Sequence[str]: ...


class Group(Protocol):
    """Customers for whom the same is new: `news` is a word of engine/differences.py News."""

    @property
    def news(self) -> str: ...
    @property
    def customers(self) -> int: ...
    @property
    def first(self) -> Sequence[Affected]: ...


class Difference(Protocol):
    """Who would hear what of a change; nothing is stored. See engine/differences.py."""

    @property
    def groups(self) -> Sequence[Group]: ...
    @property
    def told(self) -> int: ...
    @property
    def messages(self) -> Mapping[str, int]: ...
    @property
    def silent(self) -> Mapping[str, int]: ...
    @property
    def more(self) -> int: ...
    @property
    def fewer(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    @property
    def samples(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def held_because(self) -> str | None: ...


class Redelivered(Protocol):
    """Messages that a person had said again: the new deliveries' numbers, and why others were not."""

    @property
    def outage_id(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def planned(self) -> Sequence[int]: ...
    @property
    def refused(self) -> Mapping[str, int]: ...


class Confirmed(Protocol):
    @property
    def address_id(self) -> int: ...
    @property
    def planned(self) -> Sequence[int]: ...


class Redelivery(Protocol):
    """What a person decides about single messages: engine/redelivery.py. Conflict says why it cannot be."""

    async def retry(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Redelivered: ...
    async def resend(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Redelivered: ...
    async def retry_failed(self, outage_id: str, *, actor: Actor, reason: str = "") -> Redelivered: ...
    async def handle(self, delivery_id: int, reason: str, *, actor: Actor) -> None: ...
    async def confirm(self, address_id: int, *, actor: Actor, reason: str = "") -> Confirmed: ...


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
    async def release(
        self,
        outage_id: str,
        *,
        actor: Actor,
        undo_for: timedelta | None = AT_ONCE,
        customers: int | None = None,
    ) -> Told:
        """`customers`: how many it reaches, as whoever releases it typed it."""
        ...

    async def release_check(self, outage_id: str, *, actor: Actor) -> ReleaseCheck | None:
        """What a release would reach and what it still needs from this person; None where nothing waits."""
        ...

    async def undo(self, outage_id: str, *, actor: Actor, revision: int | None = None) -> Told:
        """`revision`: the step that was seen and is meant; Conflict where a newer one waits."""
        ...

    async def map_change(self, outage_id: str) -> MapChange | None:
        """What the inventory's change since the last reckoning would change here; nothing is applied or sent."""
        ...

    @property
    def redelivery(self) -> Redelivery: ...
    async def look_at(
        self, outage_id: str, asked: Change | Restoration | Ending, *, actor: Actor, verb: Verb | None = None
    ) -> Difference: ...
    async def look_at_merge(self, outage_id: str, into: str, *, actor: Actor) -> Difference: ...
    async def note(self, outage_id: str, text: str, *, actor: Actor) -> None: ...
    async def own(self, outage_id: str, owner: str, *, actor: Actor) -> None: ...
    async def hold(self, outage_id: str, reason: str, *, actor: Actor) -> None: ...
    async def unhold(self, outage_id: str, *, actor: Actor) -> None: ...
    async def pause(self, reason: str, *, actor: Actor) -> None: ...
    async def resume(self, *, actor: Actor) -> None: ...


class Previews(Protocol):
    async def preview(self, declaration: Declaration, *, actor: Actor, customer_id: str = "") -> Preview:
        """Invalid for what the scope names and nobody knows, as `declare` does.

        The samples are three telling ones, or with `customer_id` everything that customer would get.
        """
        ...

    async def reached(self, scope: Sequence[ScopeEntry]) -> Mapping[str, str]:
        """The level of each element and site that a scope alone touches, as `Preview.reached`."""
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


class AddressNow(Protocol):
    """An address after a verb. `against`: why nothing goes there, None if it may be written to.

    `was_own_wish`: the person behind it had asked for what was lifted; `carrier_may_refuse`: the text gateway has it
    on its own list too, until that phone texts START.
    """

    @property
    def id(self) -> int: ...
    @property
    def channel(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def against(self) -> str | None: ...
    @property
    def against_at(self) -> datetime | None: ...
    @property
    def against_by(self) -> str | None: ...
    @property
    def was_own_wish(self) -> bool: ...
    @property
    def carrier_may_refuse(self) -> bool: ...


class Addresses(Protocol):
    """What staff decide about one address: engine/addresses.py."""

    async def get(self, address_id: int) -> AddressNow: ...
    async def suppress(self, address_id: int, reason: str, *, actor: Actor) -> AddressNow: ...
    async def unsuppress(self, address_id: int, reason: str, *, actor: Actor) -> AddressNow: ...
    async def look(self, address_id: int, *, actor: Actor) -> None: ...


class Fallout(Protocol):
    """Whom a failure would touch: engine/blast.py."""

    @property
    def customers(self) -> int: ...
    @property
    def circuits(self) -> int: ...
    @property
    def services(self) -> int: ...
    @property
    def by_level(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def elements(self) -> Mapping[str, int]: ...
    @property
    def lines(self) -> Sequence[Any]: ...


class ThingNow(Protocol):
    """How a thing is on the union of all open outages; `outages`: those that name the cause."""

    @property
    def level(self) -> Level: ...
    @property
    def because(self) -> Sequence[str]: ...
    @property
    def outages(self) -> Sequence[str]: ...


class Unapplied(Protocol):
    @property
    def lines(self) -> int: ...
    @property
    def outages(self) -> Sequence[str]: ...


class Blast(Protocol):
    async def if_fails(self, kind: str, thing_id: str) -> Fallout: ...
    async def now(self, kind: str, thing_id: str) -> ThingNow: ...
    async def unapplied(self, customer_id: str) -> Unapplied | None: ...
    async def isolated(self) -> Sequence[str]: ...


class Words(Protocol):
    async def __call__(self, delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By delivery: subject, text and html of a mail, text of an SMS; those without words are left out."""
        ...


class RestoreHeld(Protocol):
    """Why sending is held after an older database was put back: engine/backup.py."""

    @property
    def found_at(self) -> datetime: ...
    @property
    def as_of(self) -> datetime | None: ...
    @property
    def undecided(self) -> int: ...
    @property
    def reason(self) -> str: ...


class RestoreReleased(Protocol):
    @property
    def decided(self) -> int: ...


class RestoreHold(Protocol):
    async def look(self) -> RestoreHeld | None: ...
    async def release(self, choice: Any, *, actor: Actor, reason: str = "") -> RestoreReleased: ...
