"""Who is signed in, from where, and for how much longer. A session is an opaque 256-bit secret in a cookie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from outagecast.domain.errors import NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.digests import digest
from outagecast.engine.staff_settings import StaffSettings
from outagecast.storage import people, sessions
from outagecast.storage.engine import Connection, Database

SEEN_EVERY = timedelta(minutes=1)
"""How often "last seen" is written: not with every request."""
KEPT = timedelta(days=30)
"""How long the row of a session that is over stays."""
_ID_LENGTH = 16
_AGENT_LENGTH = 200


class Means(StrEnum):
    """How somebody proved who he is."""

    PASSWORD = "password"
    SECOND_FACTOR = "second_factor"
    RECOVERY_CODE = "recovery_code"
    OIDC = "oidc"
    LINK = "link"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Somebody signed in. `csrf` goes into every form of this session; `id` names it on the page without opening it.

    `must_enrol`: this role needs a second factor and has none yet; until then there is nothing else to do.
    """

    name: str
    role: Role
    csrf: str
    staff_id: int
    id: str = ""
    means: str = Means.PASSWORD
    has_password: bool = True
    must_enrol: bool = False

    @property
    def actor(self) -> Actor:
        return Actor(kind=ActorKind.STAFF, name=self.name, role=self.role)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionView:
    """A session as its owner sees it in the list."""

    id: str
    created_at: datetime
    seen_at: datetime
    source: str
    agent: str
    means: str


class Sessions:
    """Opens, reads and ends them."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], secret: Callable[[], str], rules: StaffSettings
    ) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret
        self._rules = rules

    @property
    def longest(self) -> timedelta:
        return self._rules.longest

    async def open(
        self, conn: Connection, row: people.StaffRow, *, source: str, agent: str, means: Means, replaces: str = ""
    ) -> str:
        """A new session's secret, for the cookie; the one that `replaces` stands for ends (nobody keeps an id from
        before he signed in).
        """
        secret, now = self._secret(), self._clock()
        await sessions.forget(conn, now - max(KEPT, self._rules.longest))
        if replaces:
            await sessions.end(conn, digest(replaces), now)
        await sessions.add(
            conn, id_hash=digest(secret), staff_id=row.id, csrf=self._secret(), agent=agent[:_AGENT_LENGTH],
            source=source, means=means, now=now,
        )  # fmt: skip
        why = f"by {means.replace('_', ' ')}"
        await people.record(conn, Happened.SIGNED_IN, why, actor=_actor(row), now=now, source=source)
        return secret

    async def read(self, secret: str) -> Session | None:
        """Who a cookie stands for; None when it is unknown, ended, idle for too long or too old."""
        now, id_hash = self._clock(), digest(secret)
        async with self._database.read() as conn:
            row = await sessions.by_hash(conn, id_hash)
        if row is None or now - row.seen_at > self._rules.idle or now - row.created_at > self._rules.longest:
            return None
        if now - row.seen_at > SEEN_EVERY:
            async with self._database.write() as conn:
                await sessions.see(conn, id_hash, now)
        # Whom an OpenID provider vouches for, its own second factor has been asked of.
        exempt = row.two_factors or row.means == Means.OIDC or row.role.value not in self._rules.require_totp
        return Session(
            name=row.name, role=row.role, csrf=row.csrf, staff_id=row.staff_id, id=id_hash[:_ID_LENGTH],
            means=row.means, has_password=row.has_password, must_enrol=not exempt,
        )  # fmt: skip

    async def of(self, staff_id: int) -> Sequence[SessionView]:
        """Somebody's sessions that are open, the one seen last first."""
        now = self._clock()
        async with self._database.read() as conn:
            rows = await sessions.of(
                conn, staff_id, seen_after=now - self._rules.idle, made_after=now - self._rules.longest
            )
        return [
            SessionView(
                id=row.id_hash[:_ID_LENGTH], created_at=row.created_at, seen_at=row.seen_at, source=row.source,
                agent=row.agent, means=row.means,
            )
            for row in rows
        ]  # fmt: skip

    async def sign_out(self, secret: str, *, source: str = "") -> None:
        session, now = await self.read(secret), self._clock()
        async with self._database.write() as conn:
            if await sessions.end(conn, digest(secret), now) and session is not None:
                await _told(conn, "signed out", session.actor, now, source)

    async def end(self, staff_id: int, id: str, *, actor: Actor, source: str) -> None:
        """One of somebody's sessions. NotFound where he has none of that name (any more)."""
        if len(id) != _ID_LENGTH:
            raise NotFound("there is no such session")
        now = self._clock()
        async with self._database.write() as conn:
            if not await sessions.end_by_beginning(conn, staff_id, id, now):
                raise NotFound("this session is over already")
            await _told(conn, "one session revoked", actor, now, source)

    async def end_others(self, staff_id: int, secret: str, *, actor: Actor, source: str) -> int:
        """All of somebody's sessions but the one with this secret; how many were open."""
        now = self._clock()
        async with self._database.write() as conn:
            ended = await sessions.end_all_of(conn, staff_id, now, but=digest(secret))
            await _told(conn, f"{ended} other sessions revoked", actor, now, source)
        return ended


async def _told(conn: Connection, why: str, actor: Actor, now: datetime, source: str) -> None:
    await people.record(conn, Happened.SESSION_ENDED, why, actor=actor, now=now, source=source)


def _actor(row: people.StaffRow) -> Actor:
    return Actor(kind=ActorKind.STAFF, name=row.name, role=row.role)
