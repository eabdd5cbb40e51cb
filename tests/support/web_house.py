"""A whole web application on a real SQLite file, with the verbs written down instead of done.

The verbs' double keeps real rows, so that every page and list shows what was asked for; it plans and sends nothing.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, update

from outagecast.domain.delivery import Receipt
from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, StaleRevision
from outagecast.domain.event import Event
from outagecast.domain.outage import (
    Actor,
    ActorKind,
    Change,
    Declaration,
    Ending,
    Keep,
    OutageStatus,
    Restoration,
    Role,
    ScopeEntry,
    Verb,
)
from outagecast.engine.addresses import Addresses
from outagecast.engine.blast import Blast
from outagecast.engine.changes import Changes
from outagecast.engine.imports import Imports
from outagecast.engine.inventory import Inventory
from outagecast.engine.links import Links
from outagecast.engine.people import People
from outagecast.engine.phrases import Phrases
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.reports import Reports
from outagecast.engine.staff_settings import StaffSettings
from outagecast.monitors import FORMATS
from outagecast.monitors.mapping import Places
from outagecast.resources import templates_folder
from outagecast.storage import search_index, tables, views
from outagecast.storage.engine import Database
from outagecast.web.oidc import OidcClient
from outagecast.web.server import make_app
from outagecast.web.services import Hook, Provider, Services, TwilioCallbacks
from outagecast.web.settings import OidcSettings
from tests.support.databases import numbers_go_on, opened
from tests.support.rehearsals import make_rehearsals
from tests.support.web_network import NETWORK

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
"""09:14 in New York."""
PASSWORD = "correct horse battery staple"
HOOK_TOKEN = "hook-token-of-256-bits"
SETUP = Actor(kind=ActorKind.CLI, name="setup", role=Role.ADMIN)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    outage_id: str
    revision: int
    created: bool = False
    status: str = "investigating"
    state: str = "effective"
    effective_at: datetime | None = NOW
    held_because: str | None = None
    planned: dict[str, int] = field(default_factory=lambda: {"email": 2, "sms": 1})


@dataclass(frozen=True, kw_only=True, slots=True)
class MapChanged:
    more: int
    fewer: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    customers: int
    held_because: str | None = None
    verb: str = "declare"
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A preview that says what its test wants."""

    customers: int = 1204
    circuits: int = 1310
    contacts: int = 1502
    by_level: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: {
            "outage": {"customers": 1100, "circuits": 1200, "contacts": 1400},
            "reduced_redundancy": {"customers": 104, "circuits": 110, "contacts": 102},
        }
    )
    channels: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: {"email": {"messages": 1190}, "sms": {"messages": 640, "segments": 1280}}
    )
    suppressed: Mapping[str, int] = field(default_factory=lambda: {"opted_out": 3, "quiet_hours": 40})
    unreachable: Sequence[Mapping[str, Any]] = ({"customer_id": "K-77", "name": "Shuttered Cafe"},)
    unreachable_count: int = 14
    samples: Sequence[Mapping[str, Any]] = (
        {
            "channel": "sms",
            "to": "+18595550123",
            "name": "Ann Dole",
            "text": "Bluegrass Fiber: your line Main Office is down since 09:14 EST. "
            "No estimate yet. Next update by 09:44 EST.",
        },
        {
            "channel": "email",
            "to": "noc@acme.example",
            "name": "Acme NOC",
            "subject": "Down: Main Office since 09:14 EST",
            "text": "Hello Acme NOC,\n\nyour line Main Office is down since 09:14 EST.\n"
            "We do not know yet when it will be back.",
        },
    )
    ahead: Mapping[str, int] = field(default_factory=dict)
    cut: Sequence[str] = ()
    last_leaves_at: Mapping[str, datetime] = field(
        default_factory=lambda: {"email": NOW + timedelta(seconds=8), "sms": NOW + timedelta(seconds=64)}
    )
    held_because: str | None = None
    impacts_sample: Sequence[Mapping[str, Any]] = ()
    cost: Mapping[str, Any] | None = None
    reached: Mapping[str, str] = field(default_factory=dict)
    estimated: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    customer_id: str
    name: str
    lines: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SameNews:
    news: str
    customers: int
    first: Sequence[Named] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Differs:
    """What a look at a change answers."""

    groups: Sequence[SameNews] = ()
    told: int = 0
    messages: Mapping[str, int] = field(default_factory=dict)
    silent: Mapping[str, int] = field(default_factory=dict)
    more: int = 0
    fewer: int = 0
    exact: bool = True
    samples: Sequence[Mapping[str, Any]] = ()
    held_because: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    outage_id: str = "OUT-2026-0001"
    revision: int = 2
    planned: Sequence[int] = (9,)
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sure:
    address_id: int
    planned: Sequence[int] = ()


class Redeliveries:
    """Writes down what was asked for; `refused` is why it cannot be."""

    def __init__(self, done: list[tuple[str, Any, dict[str, Any]]]) -> None:
        self._done = done
        self.refused = ""

    async def retry(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Again:
        return self._again("retry", delivery_id, actor, reason)

    async def resend(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Again:
        return self._again("resend", delivery_id, actor, reason)

    async def retry_failed(self, outage_id: str, *, actor: Actor, reason: str = "") -> Again:
        return self._again("retry_failed", outage_id, actor, reason)

    async def handle(self, delivery_id: int, reason: str, *, actor: Actor) -> None:
        self._again("handle", delivery_id, actor, reason)

    async def confirm(self, address_id: int, *, actor: Actor, reason: str = "") -> Sure:
        self._again("confirm", address_id, actor, reason)
        return Sure(address_id=address_id, planned=(9,))

    def _again(self, verb: str, what: Any, actor: Actor, reason: str) -> Again:
        if self.refused:
            raise Conflict(self.refused)
        self._done.append((verb, what, {"actor": actor, "reason": reason}))
        return Again()


class Verbs:
    """Writes down each verb with its arguments; `done` is the list."""

    def __init__(self, database: Database, clock: Clock, changes: Changes) -> None:
        self._database = database
        self._clock = clock
        self._changes = changes
        self._numbers = itertools.count(101)
        self._keys: dict[str, tuple[str, str]] = {}
        self.done: list[tuple[str, Any, dict[str, Any]]] = []
        self.preview_answer = Seen()
        self.map_answer: MapChanged | None = None
        self.refused = ""
        self.refusal = ""
        self.redelivery = Redeliveries(self.done)
        self.difference = Differs()

    async def declare(
        self,
        declaration: Declaration,
        *,
        actor: Actor,
        undo_for: timedelta | None = timedelta(0),
        idempotency: Any = None,
    ) -> Done:
        if idempotency is not None and idempotency.key in self._keys:
            body_hash, outage_id = self._keys[idempotency.key]
            if body_hash != idempotency.body_hash:
                raise Invalid.one("Idempotency-Key", "was used with another body")
            return Done(outage_id=outage_id, revision=1)
        unknown = [entry for entry in declaration.scope if entry.id.startswith("NOPE")]
        if unknown:
            raise Invalid([FieldError(field=f"scope.{e.kind}s[0]", message=f"no {e.kind} {e.id}") for e in unknown])
        self.done.append(("declare", declaration, {"actor": actor, "undo_for": undo_for}))
        outage_id = f"OUT-2026-{next(self._numbers):04d}"
        status = declaration.status if declaration.release else OutageStatus.DRAFT
        wait = timedelta(seconds=30) if undo_for is None else undo_for
        await add_outage(
            self._database,
            outage_id,
            title=declaration.title,
            status=status,
            severity=declaration.severity,
            effect=declaration.effect,
            eta=declaration.eta,
            public=not wait,
            external_ref=declaration.external_ref,
            scope=[{"kind": e.kind, "id": e.id, "effect": e.effect} for e in declaration.scope],
            created_by=actor.name,
        )
        if wait:
            await add_revision(self._database, outage_id, 1, "declare", "pending", effective_at=self._clock() + wait)
        if idempotency is not None:
            self._keys[idempotency.key] = (idempotency.body_hash, outage_id)
        self._changes.notify()
        state = "draft" if not declaration.release else "pending" if wait else "effective"
        return Done(outage_id=outage_id, revision=1, created=True, status=status, state=state)

    async def update(self, outage_id: str, change: Change, *, actor: Actor, **how: Any) -> Done:
        return await self._change("update", outage_id, change, actor, how)

    async def restore(self, outage_id: str, restoration: Restoration, *, actor: Actor, **how: Any) -> Done:
        return await self._change("restore", outage_id, restoration, actor, how)

    async def resolve(self, outage_id: str, ending: Ending, *, actor: Actor, **how: Any) -> Done:
        return await self._change("resolve", outage_id, ending, actor, how, status=OutageStatus.RESOLVED)

    async def retract(self, outage_id: str, ending: Ending, *, actor: Actor, **how: Any) -> Done:
        return await self._change("retract", outage_id, ending, actor, how, status=OutageStatus.RETRACTED)

    async def reopen(self, outage_id: str, ending: Ending, *, actor: Actor, **how: Any) -> Done:
        return await self._change("reopen", outage_id, ending, actor, how)

    async def merge(self, outage_id: str, into: str, *, actor: Actor, **how: Any) -> Done:
        return await self._change("merge", outage_id, into, actor, how)

    async def release(self, outage_id: str, *, actor: Actor, **how: Any) -> Done:
        if self.refused:
            raise Forbidden(self.refused)
        return await self._change("release", outage_id, None, actor, how)

    async def release_check(self, outage_id: str, *, actor: Actor) -> Check:
        await self._row(outage_id)
        return Check(customers=self.preview_answer.customers, refusal=self.refusal)

    async def undo(self, outage_id: str, *, actor: Actor, revision: int | None = None) -> Done:
        if await self._row(outage_id) and self.done and self.done[-1][0] == "undo":
            raise Conflict("nothing can be undone: the last revision has taken effect")
        return await self._change("undo", outage_id, None, actor, {})

    async def map_change(self, outage_id: str) -> MapChanged | None:
        await self._row(outage_id)
        return self.map_answer

    async def look_at(self, outage_id: str, asked: Any, *, actor: Actor, verb: Verb | None = None) -> Differs:
        self.done.append(("look", asked, {"actor": actor, "verb": verb}))
        return self.difference

    async def look_at_merge(self, outage_id: str, into: str, *, actor: Actor) -> Differs:
        return await self.look_at(outage_id, into, actor=actor)

    async def note(self, outage_id: str, text: str, *, actor: Actor) -> None:
        self.done.append(("note", text, {"actor": actor}))

    async def own(self, outage_id: str, owner: str, *, actor: Actor) -> None:
        self.done.append(("own", owner, {"actor": actor}))

    async def hold(self, outage_id: str, reason: str, *, actor: Actor) -> None:
        await self._change("hold", outage_id, reason, actor, {}, hold_reason=reason)

    async def unhold(self, outage_id: str, *, actor: Actor) -> None:
        await self._change("unhold", outage_id, None, actor, {}, hold_reason=None)

    async def pause(self, reason: str, *, actor: Actor) -> None:
        await self.resume(actor=actor)
        self.done[-1] = ("pause", reason, {"actor": actor})
        async with self._database.write() as conn:
            await conn.execute(
                insert(tables.meta).values(
                    [{"key": "paused", "value": reason}, {"key": "paused_by", "value": actor.name}]
                )
            )

    async def resume(self, *, actor: Actor) -> None:
        self.done.append(("resume", None, {"actor": actor}))
        async with self._database.write() as conn:
            await conn.execute(tables.meta.delete().where(tables.meta.c.key.in_(["paused", "paused_by"])))

    async def preview(self, declaration: Declaration, *, actor: Actor, customer_id: str = "") -> Seen:
        self.done.append(("preview", declaration, {"actor": actor, "customer_id": customer_id}))
        return self.preview_answer

    async def reached(self, scope: Sequence[ScopeEntry]) -> Mapping[str, str]:
        return self.preview_answer.reached

    async def _row(self, outage_id: str) -> views.OutageView:
        async with self._database.read() as conn:
            row = await views.outage(conn, outage_id)
        if row is None:
            raise NotFound(f"no outage {outage_id}")
        return row

    async def _change(
        self, verb: str, outage_id: str, what: Any, actor: Actor, how: Mapping[str, Any], **values: Any
    ) -> Done:
        row = await self._row(outage_id)
        if how.get("if_match") not in (None, row.revision):
            raise StaleRevision(row.revision)
        self.done.append((verb, what, {"actor": actor, **how}))
        if isinstance(what, Change) and not isinstance(what.eta, Keep):
            values["eta"] = what.eta
        ended = {"ended_at": self._clock()} if values.get("status") in ("resolved", "retracted") else {}
        async with self._database.write() as conn:
            await conn.execute(
                update(tables.outages)
                .where(tables.outages.c.id == outage_id)
                .values(revision=row.revision + 1, **values, **ended)
            )
        self._changes.notify()
        return Done(outage_id=outage_id, revision=row.revision + 1, status=values.get("status", row.status))


@dataclass
class Taken:
    """What came in at the side doors."""

    events: list[tuple[str, Sequence[Event], bytes]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    stops: list[tuple[str, str]] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)
    rejoined: list[int] = field(default_factory=list)
    broken: Exception | None = None

    async def take(self, monitor: str, events: Sequence[Event], raw: bytes) -> None:
        if self.broken is not None:
            raise self.broken
        self.events.append((monitor, events, raw))

    async def record(self, receipt: Receipt) -> bool:
        self.receipts.append(receipt)
        return True

    async def stop(self, phone: str, word: str, source: str) -> bool:
        self.stops.append((phone, word))
        return True

    async def unsubscribe(self, address_id: int, source: str) -> None:
        self.left.append((address_id, source))

    async def rejoin(self, address_id: int, source: str) -> None:
        self.rejoined.append(address_id)


@dataclass(kw_only=True)
class WebHouse:
    """Everything a test needs to look at. `folder` holds the database, where it is a file, and what is uploaded."""

    folder: Path
    client: "TestClient[Any, Any]"
    database: Database
    people: People
    verbs: Verbs
    taken: Taken
    links: Links
    clock: Clock
    changes: Changes
    missing: list[str]
    words: dict[int, dict[str, Any]]
    routes: dict[str, Any]
    route_views: list[Any]
    daemons: list[Any]
    waiting: dict[str, int]
    rates: dict[str, float]
    services: Services

    async def token(self, role: Role = Role.OPERATOR) -> str:
        return await self.people.add_token(f"test-{role}-{len(await self.people.tokens())}", role, actor=SETUP)

    async def bearer(self, role: Role = Role.OPERATOR) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self.token(role)}"}

    async def sign_in(self, role: Role = Role.OPERATOR, name: str = "ann") -> None:
        """Staff with this role, signed in at the client."""
        await self.people.add_staff(name, PASSWORD, role, actor=SETUP)
        answer = await self.client.post(
            "/desk/sign-in", data={"name": name, "password": PASSWORD}, allow_redirects=False
        )
        assert answer.status == 303, await answer.text()

    async def csrf(self) -> str:
        """The forms' secret of whoever is signed in, as the page shows it."""
        text = await (await self.client.get("/desk")).text()
        return text.partition('name="csrf" value="')[2].partition('"')[0]


@dataclass(kw_only=True)
class Answers:
    """What the engine would answer; tests write into it."""

    missing: list[str] = field(default_factory=list)
    words: dict[int, dict[str, Any]] = field(default_factory=dict)
    routes: dict[str, Any] = field(default_factory=dict)
    route_views: list[Any] = field(default_factory=list)
    daemons: list[Any] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    async def words_of(self, delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        return {id: self.words[id] for id in delivery_ids if id in self.words}

    async def ready(self) -> Sequence[str]:
        return self.missing


@asynccontextmanager
async def web_house(
    folder: Path,
    *,
    public_url: str = "http://status.example.net",
    rules: StaffSettings | None = None,
    oidc: OidcSettings | None = None,
) -> AsyncIterator[WebHouse]:
    database = opened("web.db", folder)
    await database.migrate()
    clock, changes, taken, answers = Clock(), Changes(), Taken(), Answers()
    numbered = (f"secret-{number:04d}-{'x' * 32}" for number in itertools.count(1))
    secret = partial(next, numbered)
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    people = People(database, clock=clock, secret=secret, hasher=hasher, rules=rules)
    verbs, links = Verbs(database, clock, changes), Links(b"s" * 32, public_url, "example.net")
    inventory = Inventory(database, clock=clock, region="US")
    imports = Imports(inventory, folder=folder, clock=clock, new_id=lambda: secret()[:11], changes=changes)
    services = _services(
        database, people, verbs, taken, links, clock, changes, inventory, imports, answers, lambda: secret()[:11],
        oidc=OidcClient(oidc, callback=f"{public_url}/desk/oidc/callback", clock=clock) if oidc else None,
        public_url=public_url,
    )  # fmt: skip
    async with TestClient(TestServer(make_app(services))) as client:
        yield WebHouse(
            folder=folder,
            client=client,
            database=database,
            people=people,
            verbs=verbs,
            taken=taken,
            links=links,
            clock=clock,
            changes=changes,
            services=services,
            **vars(answers),
        )
    await imports.close()
    await database.close()


def _services(
    database: Database,
    people: People,
    verbs: Verbs,
    taken: Taken,
    links: Links,
    clock: Clock,
    changes: Changes,
    inventory: Inventory,
    imports: Imports,
    answers: Answers,
    new_id: Callable[[], str],
    *,
    oidc: OidcClient | None,
    public_url: str,
) -> Services:
    return Services(
        provider=_provider(public_url),
        database=database,
        operations=verbs,
        previews=verbs,
        people=people,
        intake=taken,
        receipts=taken,
        links=links,
        changes=changes,
        inventory=inventory,
        addresses=Addresses(database, clock=clock, changes=changes),
        blast=Blast(database, Reckoner(database)),
        imports=imports,
        words=answers.words_of,
        phrases=Phrases(database, clock=clock),
        rehearsals=make_rehearsals(database, links, clock=clock, new_id=new_id),
        reports=Reports(database, answers.words_of, clock=clock, price=(0.0079, "USD")),
        hooks=_hooks(),
        twilio=_twilio(),
        registry=CollectorRegistry(),
        ready=answers.ready,
        clock=clock,
        new_id=new_id,
        templates=templates_folder(),
        trusted_proxies=(IPv4Network("127.0.0.0/8"),),
        keep_seconds=0,
        routes=lambda: answers.routes,
        route_views=lambda: answers.route_views,
        daemons=lambda: answers.daemons,
        waiting=lambda: answers.waiting,
        rate_of=answers.rates.get,
        oidc=oidc,
    )


def _provider(public_url: str) -> Provider:
    return Provider(
        name="Bluegrass Fiber",
        public_url=public_url,
        support_phone="+1 859 555 0100",
        support_email="noc@example.net",
        timezone="America/New_York",
        region="US",
    )


def _hooks() -> dict[str, Hook]:
    return {
        name: Hook(token=HOOK_TOKEN, read=lambda payload, read=read: read(payload, Places()))  # type: ignore[misc]
        for name, read in FORMATS.items()
    }


def _twilio() -> TwilioCallbacks:
    return TwilioCallbacks(
        verify=lambda url, form, signature: signature == f"signed:{url}",
        status=lambda form, query: None,
        inbound=lambda form: (str(form["From"]), str(form["Body"]).lower()),
    )


async def add_outage(database: Database, outage_id: str, **values: Any) -> None:
    """An outage's row as the engine leaves it; what is not said is usual."""
    usual = {
        "id": outage_id,
        "number": int(outage_id[-4:]),
        "title": "Fibre cut near Georgetown",
        "status": "investigating",
        "severity": "major",
        "effect": "outage",
        "started_at": NOW,
        "created_at": NOW + timedelta(seconds=int(outage_id[-4:])),
        "created_by": "ann",
        "scope": [{"kind": "element", "id": "POP-LEX", "effect": "outage"}],
        "restored": [],
        "revision": 1,
        "public": True,
    }
    async with database.write() as conn:
        await conn.execute(insert(tables.outages).values({**usual, **values}))


async def add_revision(database: Database, outage_id: str, number: int, verb: str, state: str, **values: Any) -> None:
    usual = {"episode": 1, "actor_kind": "staff", "actor": "ann", "created_at": NOW, "change": {}, "effective_at": NOW}
    async with database.write() as conn:
        await conn.execute(
            insert(tables.revisions).values(
                {"outage_id": outage_id, "number": number, "verb": verb, "state": state, **usual, **values}
            )
        )


async def add_rows(database: Database, **rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows by the names of their tables, in the order given."""
    async with database.write() as conn:
        for name, values in rows.items():
            for value in values:
                await conn.execute(insert(tables.metadata.tables[name]).values(dict(value)))


async def add_network(database: Database) -> None:
    """Two sites, one POP, two services (one public), three customers, four circuits, a subscription, contacts."""
    await add_rows(database, **NETWORK)
    async with database.write() as conn:
        await numbers_go_on(conn, "needs", "addresses")
        await conn.run_sync(search_index.rebuild)


async def add_impacts(database: Database, outage_id: str, *things: tuple[str, str, str, int], **values: Any) -> None:
    """(kind, id, customer, level) each."""
    usual = {"outage_id": outage_id, "episode": 1, "from_at": NOW, "to_at": None, "because": ["POP-LEX"]}
    rows = [
        {"thing_kind": kind, "thing_id": id, "customer_id": customer, "level": level, **usual, **values}
        for kind, id, customer, level in things
    ]
    await add_rows(database, impacts=rows)


async def add_delivery(database: Database, delivery_id: int, **values: Any) -> None:
    usual = {
        "id": delivery_id,
        "outage_id": "OUT-2026-0001",
        "episode": 1,
        "revision": 1,
        "kind": "acknowledgement",
        "channel": "email",
        "address_id": 1,
        "to": "noc@acme.example",
        "customer_id": "K-1",
        "contact_id": "C-1",
        "state": "accepted",
        "due_at": NOW,
        "created_at": NOW,
        "audience": "customer",
    }
    await add_rows(database, deliveries=[{**usual, **values}])
