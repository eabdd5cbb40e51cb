"""What the web needs from the floors below, handed in by `app.py`, and the keys under which a request finds it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web
from multidict import MultiDictProxy
from prometheus_client import CollectorRegistry

from outagecast.domain.delivery import Receipt
from outagecast.domain.event import Event
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor
from outagecast.domain.recipients import Wishes
from outagecast.engine.imports import Imports
from outagecast.engine.people import People, Session
from outagecast.engine.phrases import Phrases
from outagecast.engine.rehearsal import Rehearsals
from outagecast.engine.reports import Reports
from outagecast.monitors.mapping import Payload, Places
from outagecast.storage.engine import Database
from outagecast.storage.views_board import Standing
from outagecast.web import ports
from outagecast.web.kept import Kept
from outagecast.web.oidc import OidcClient
from outagecast.web.pages import Pages


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Who speaks, and where: `public_url` is without its last slash."""

    name: str
    public_url: str
    support_phone: str = ""
    support_email: str = ""
    timezone: str = "UTC"
    language: str = "en"
    region: str = ""
    """Where phone numbers without a country's code are dialled, "" when nobody said."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def https(self) -> bool:
        return urlsplit(self.public_url).scheme == "https"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """One monitor's door: its secret, and how its payloads are read (Invalid when they cannot be).

    `places`: where its payloads name what is down, for events that come by `/v2/enqueue` instead.
    """

    token: str
    read: Callable[[Payload], list[Event]]
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, kw_only=True, slots=True)
class TwilioCallbacks:
    """What the SMS channel makes of its provider's calls.

    `verify(url, form, signature)`: signed by our account. `status(form, query)`: the receipt, None if it says nothing.
    `inbound(form)`: the phone and "stop" or "start", None for any other text.
    """

    verify: Callable[[str, Mapping[str, object], str | None], bool]
    status: Callable[[Mapping[str, object], Mapping[str, str]], Receipt | None]
    inbound: Callable[[Mapping[str, object]], tuple[str, str] | None]


USUAL_WISHES = Wishes(
    notify=frozenset({Level.OUTAGE, Level.DEGRADED}),
    channels=frozenset(ChannelName),
    quiet_hours=None,
    wake_for=frozenset(),
)
"""What `[defaults]` says where the settings leave it out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """`ready` names what is not ready yet, in words; nothing when all is well. `templates` holds `web/`.

    `keep_seconds`: how long the public pages' counts hold without a change (web/kept.py).
    """

    provider: Provider
    database: Database
    operations: ports.Operations
    previews: ports.Previews
    people: People
    intake: ports.Intake
    receipts: ports.Receipts
    links: ports.Links
    changes: ports.Changes
    inventory: ports.Inventory
    addresses: ports.Addresses
    blast: ports.Blast
    imports: Imports
    words: ports.Words
    reports: Reports
    phrases: Phrases
    rehearsals: Rehearsals
    hooks: Mapping[str, Hook]
    twilio: TwilioCallbacks | None
    registry: CollectorRegistry
    ready: Callable[[], Awaitable[Sequence[str]]]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    templates: Path
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()
    default_wishes: Callable[[str], Wishes] = field(default=lambda tier: USUAL_WISHES)
    """What an empty cell of a contact means for a customer of this tier."""
    routes: Callable[[], Mapping[str, ports.Route]] = field(default=dict)
    """By channel, since when nothing leaves by it, and why; None where it does."""
    route_views: Callable[[], Sequence[ports.RouteView]] = field(default=tuple)
    """Every route as the daemons that send find it, in the order of each channel."""
    waiting: Callable[[], Mapping[str, int]] = field(default=dict)
    """By channel how many messages are due and have not left."""
    rate_of: Callable[[str], float | None] = field(default=lambda channel: None)
    """Messages a second of a channel at present; None while nothing leaves by it."""
    daemons: Callable[[], Sequence[ports.Running]] = field(default=tuple)
    """Who serves this database, as this daemon last saw it."""
    keep_seconds: float = 3.0
    restored: ports.RestoreHold | None = None
    """The hold after an older database was put back; None where there is nothing that could be held."""
    oidc: OidcClient | None = None
    """The OpenID provider that staff may sign in by."""


@dataclass(slots=True)
class Doors:
    """What is open right now: the live pages, the hook calls under way."""

    streams: set[asyncio.Task[None]] = field(default_factory=set)
    hooks: int = 0


SERVICES = web.AppKey("services", Services)
PAGES = web.AppKey("pages", Pages)
KEPT = web.AppKey("kept", Kept)
DOORS = web.AppKey("doors", Doors)
ACTOR = web.RequestKey("actor", Actor)
SESSION = web.RequestKey("session", Session)
FORM = web.RequestKey("form", MultiDictProxy[str])
STANDING = web.RequestKey("standing", Standing)
