"""Staff whom an OpenID provider vouches for: found by its own name for them, never by a name they chose."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from outagecast.domain.errors import Conflict, Forbidden
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.one_time import ELSEWHERE_HOLDS, OneTimeKeys, Purpose
from outagecast.engine.sessions import Means, Sessions
from outagecast.storage import people, sessions, sign_ins
from outagecast.storage.engine import Connection, Database

MOST_PENDING = 500
"""Sign-ins under way: anybody may begin one, and each is a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """What the provider says about somebody; `names` are what he may be called here, the best one first.

    `role` None: its claims give him none.
    """

    issuer: str
    subject: str
    names: tuple[str, ...]
    email: str
    role: Role | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A sign-in under way: `nonce` must come back in the token, `verifier` proves that it was we who asked (PKCE)."""

    state: str
    nonce: str
    verifier: str
    following: str


class NoRole(Forbidden):
    """Known to the provider, and nothing here."""

    def __init__(self) -> None:
        super().__init__("you are signed in there, but nobody gave you a role here: ask an admin")


class Identities:
    """Begins a sign-in elsewhere, and opens a session for whoever comes back vouched for."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        secret: Callable[[], str],
        keys: OneTimeKeys,
        sessions: Sessions,
    ) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret
        self._keys = keys
        self._sessions = sessions

    async def begin(self, following: str) -> Begun:
        """A new one; `following` is where the person wanted to go."""
        nonce, verifier = self._secret(), self._secret()
        data = {"nonce": nonce, "verifier": verifier, "following": following}
        async with self._database.write() as conn:
            if await sign_ins.pending(conn, Purpose.OIDC, self._clock()) >= MOST_PENDING:
                raise Conflict("too many sign-ins are under way: try again in a few minutes")
            state = await self._keys.give(conn, Purpose.OIDC, ELSEWHERE_HOLDS, data=data)
        return Begun(state=state, nonce=nonce, verifier=verifier, following=following)

    async def come_back(self, state: str) -> Begun | None:
        """None for a state that we did not give, gave too long ago, or saw before."""
        async with self._database.write() as conn:
            key = await self._keys.take(conn, Purpose.OIDC, state)
        return Begun(state=state, **key.data) if key is not None and key.data is not None else None

    async def sign_in(self, vouched: Vouched, *, source: str, agent: str = "", replaces: str = "") -> str:
        """A session's secret. Forbidden without a role, and for somebody who is disabled here.

        The role is taken from the claims anew each time: whom they no longer give one, his sessions end.
        """
        async with self._database.write() as conn:
            staff_id = await sign_ins.staff_of_identity(conn, vouched.issuer, vouched.subject)
            row = await people.staff_by_id(conn, staff_id) if staff_id is not None else None
            if vouched.role is not None and (row is None or row.disabled_at is None):
                row = await self._known(conn, vouched, vouched.role, row, source)
                return await self._sessions.open(
                    conn, row, source=source, agent=agent, means=Means.OIDC, replaces=replaces
                )
            if row is not None:
                await sessions.end_all_of(conn, row.id, self._clock())
        if vouched.role is None:
            raise NoRole
        raise Forbidden("your sign-in here is disabled: ask an admin")

    async def _known(
        self, conn: Connection, vouched: Vouched, role: Role, row: people.StaffRow | None, source: str
    ) -> people.StaffRow:
        """Their row, made or brought up to date."""
        now = self._clock()
        if row is not None and row.role is role:
            return row
        if row is not None:
            await people.set_role(conn, row.id, role)
            await sessions.end_all_of(conn, row.id, now)
            staff_id, why = row.id, f"{row.name} is {role} now, as the OpenID provider says; was {row.role}"
        else:
            name = await self._free_name(conn, vouched)
            staff_id = await people.add_staff(
                conn, name=name, email=vouched.email, role=role, password_hash="", now=now
            )
            await sign_ins.add_identity(conn, vouched.issuer, vouched.subject, staff_id, now)
            why = f"{name} added as {role}, as the OpenID provider says"
        known = await people.staff_by_id(conn, staff_id)
        if known is None:
            raise RuntimeError("a row that was just written is not there")
        actor = Actor(kind=ActorKind.STAFF, name=known.name, role=role)
        await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)
        return known

    async def _free_name(self, conn: Connection, vouched: Vouched) -> str:
        """A name that nobody has: whoever is called `anna` here already is somebody else until an admin says so."""
        for name in vouched.names:
            if await people.staff_by_name(conn, name) is None:
                return name
        number = 2
        while await people.staff_by_name(conn, f"{vouched.names[0]} {number}") is not None:
            number += 1
        return f"{vouched.names[0]} {number}"
