"""Who belongs to the staff, as what: the first admin, invitations, roles. The house never loses its last key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.one_time import SETUP_HOLDS, OneTimeKeys, Purpose
from outagecast.engine.passwords import Passwords, password_weakness
from outagecast.engine.sessions import Means, Sessions
from outagecast.engine.staff_settings import StaffSettings
from outagecast.storage import people, sessions, sign_ins
from outagecast.storage.engine import Connection, Database

LONGEST_NAME = 60


class LinkOver(Forbidden):
    """A set-up link or an invitation that opens nothing: unknown, used or expired are not told apart."""

    def __init__(self) -> None:
        super().__init__("this link does not open anything (any more): it was used, is too old, or was replaced")


class Standing(StrEnum):
    """Where somebody stands."""

    ACTIVE = "active"
    INVITED = "invited"
    """A link to set the password is out."""
    LAPSED = "lapsed"
    """Nobody can come in by this name: no password, and no link that opens."""
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One person as admins see him. `vouched`: comes in by an OpenID provider."""

    id: int
    name: str
    email: str
    role: Role
    created_at: datetime
    standing: Standing
    invited_until: datetime | None
    two_factors: bool
    vouched: bool


class Roster:
    """Adds, changes and disables staff. Every change ends the sessions it would otherwise outlive."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        passwords: Passwords,
        keys: OneTimeKeys,
        sessions: Sessions,
        rules: StaffSettings,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._keys = keys
        self._sessions = sessions
        self._rules = rules

    # --- the first one ---

    async def new_setup(self) -> str | None:
        """A key to make the first admin with, in place of any before; None once somebody can sign in."""
        async with self._database.write() as conn:
            await sign_ins.drop_keys(conn, Purpose.SETUP)
            if await people.count_active_staff(conn):
                return None
            return await self._keys.give(conn, Purpose.SETUP, SETUP_HOLDS)

    async def setup_opens(self, key: str) -> bool:
        async with self._database.read() as conn:
            taken = await people.count_active_staff(conn)
        return not taken and await self._keys.look(Purpose.SETUP, key) is not None

    async def set_up(self, key: str, name: str, password: str, *, source: str, agent: str = "") -> str:
        """Makes the first admin and signs him in: the session's secret. LinkOver; Invalid by field."""
        name = name.strip()
        if not await self.setup_opens(key):
            raise LinkOver
        _check(name, Role.ADMIN, password)
        password_hash = await self._passwords.hash(password)
        async with self._database.write() as conn:
            if await people.count_active_staff(conn) or await self._keys.take(conn, Purpose.SETUP, key) is None:
                raise LinkOver
            actor = Actor(kind=ActorKind.STAFF, name=name, role=Role.ADMIN)
            why = f"{name} is the first admin, by the set-up link"
            row = await self._add(conn, name, "", Role.ADMIN, password_hash, actor, source, why)
            return await self._sessions.open(conn, row, source=source, agent=agent, means=Means.LINK)

    # --- the others ---

    async def members(self) -> Sequence[Member]:
        now = self._clock()
        async with self._database.read() as conn:
            rows = await people.all_staff(conn)
            invited = await sign_ins.invited(conn, now)
            secured, vouched = await sign_ins.with_second_factor(conn), await sign_ins.with_identity(conn)
        return [_member(row, invited.get(row.id), row.id in secured, row.id in vouched) for row in rows]

    async def add(
        self, name: str, password: str, role: Role, *, email: str = "", actor: Actor, source: str = ""
    ) -> None:
        """With a password that somebody gives on the spot. Invalid by field; Conflict for a name that is taken."""
        name = name.strip()
        _check(name, role, password)
        password_hash = await self._passwords.hash(password)
        async with self._database.write() as conn:
            await self._add(conn, name, email, role, password_hash, actor, source)

    async def invite(self, name: str, role: Role, *, email: str = "", actor: Actor, source: str) -> str:
        """The key of a link with which the person sets the password; told this once."""
        name = name.strip()
        _check(name, role, None)
        async with self._database.write() as conn:
            row = await self._add(conn, name, email.strip(), role, "", actor, source)
            return await self._keys.give(conn, Purpose.INVITATION, self._rules.invitation, staff_id=row.id)

    async def new_link(self, staff_id: int, *, actor: Actor, source: str) -> str:
        """For whom an invitation lapsed, or who forgot the password: the old one opens until the new one is set."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await _active(conn, staff_id)
            await sign_ins.drop_keys(conn, Purpose.INVITATION, row.id)
            why = f"{row.name} gets a link to set a password"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)
            return await self._keys.give(conn, Purpose.INVITATION, self._rules.invitation, staff_id=row.id)

    async def invited(self, key: str) -> people.StaffRow:
        """Whose link this is, without using it: programs that look at links must not use them up. LinkOver."""
        found = await self._keys.look(Purpose.INVITATION, key)
        async with self._database.read() as conn:
            row = await people.staff_by_id(conn, found.staff_id) if found and found.staff_id else None
        if row is None or row.disabled_at is not None:
            raise LinkOver
        return row

    async def join(self, key: str, password: str, *, source: str, agent: str = "") -> str | None:
        """Sets the password; every session from before ends. The new session's secret, None where a second factor is
        to be asked for first. LinkOver; Invalid for a weak password.
        """
        row = await self.invited(key)
        weakness = password_weakness(row.name, password)
        if weakness:
            raise Invalid.one("password", weakness)
        password_hash, now = await self._passwords.hash(password), self._clock()
        async with self._database.write() as conn:
            if await self._keys.take(conn, Purpose.INVITATION, key) is None:
                raise LinkOver
            await people.set_password_hash(conn, row.id, password_hash)
            await sessions.end_all_of(conn, row.id, now)
            actor = Actor(kind=ActorKind.STAFF, name=row.name, role=row.role)
            why = f"{row.name} set a password by the link"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)
            factor = await sign_ins.second_factor(conn, row.id)
            if factor is not None and factor.confirmed_at is not None:
                return None
            return await self._sessions.open(conn, row, source=source, agent=agent, means=Means.LINK)

    async def change_role(self, staff_id: int, role: Role, *, actor: Actor, source: str) -> None:
        """Their sessions end: whoever is signed in as what he no longer is signs in anew. Conflict for the last
        admin.
        """
        now = self._clock()
        async with self._database.write() as conn:
            row = await _active(conn, staff_id)
            _check(row.name, role, None)
            if row.role is role:
                return
            await _keep_a_key(conn, row)
            await people.set_role(conn, row.id, role)
            await sessions.end_all_of(conn, row.id, now)
            why = f"{row.name} is {role} now; was {row.role}"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)

    async def disable(self, staff_id: int, *, actor: Actor, source: str) -> None:
        """Ends every session of theirs at once, and every link. NotFound; Conflict for the last admin."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await _row(conn, staff_id)
            if row.disabled_at is None:
                await _keep_a_key(conn, row)
            await people.set_disabled(conn, row.id, now)
            await sessions.end_all_of(conn, row.id, now)
            await sign_ins.drop_keys(conn, Purpose.INVITATION, row.id)
            await sign_ins.drop_keys(conn, Purpose.SECOND_STEP, row.id)
            await people.record(
                conn, Happened.STAFF_CHANGED, f"{row.name} disabled", actor=actor, now=now, source=source
            )

    async def enable(self, staff_id: int, *, actor: Actor, source: str) -> None:
        now = self._clock()
        async with self._database.write() as conn:
            row = await _row(conn, staff_id)
            await people.set_disabled(conn, row.id, None)
            await people.record(
                conn, Happened.STAFF_CHANGED, f"{row.name} enabled again", actor=actor, now=now, source=source
            )

    async def reset_second_factor(self, staff_id: int, *, actor: Actor, source: str) -> None:
        """For a lost phone: the password alone opens again until a new app is set up; sessions end."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await _active(conn, staff_id)
            await sign_ins.drop_second_factor(conn, row.id)
            await sessions.end_all_of(conn, row.id, now)
            why = f"{row.name}'s second factor reset"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)

    async def _add(
        self,
        conn: Connection,
        name: str,
        email: str,
        role: Role,
        password_hash: str,
        actor: Actor,
        source: str,
        why: str = "",
    ) -> people.StaffRow:
        now = self._clock()
        if await people.staff_by_name(conn, name) is not None:
            raise Conflict(f"there is somebody called {name} already")
        staff_id = await people.add_staff(conn, name=name, email=email, role=role, password_hash=password_hash, now=now)
        said = why or f"{name} added as {role}"
        await people.record(conn, Happened.STAFF_CHANGED, said, actor=actor, now=now, source=source)
        return await _row(conn, staff_id)


async def _row(conn: Connection, staff_id: int) -> people.StaffRow:
    row = await people.staff_by_id(conn, staff_id)
    if row is None:
        raise NotFound("there is nobody with this number")
    return row


async def _active(conn: Connection, staff_id: int) -> people.StaffRow:
    row = await _row(conn, staff_id)
    if row.disabled_at is not None:
        raise Conflict(f"{row.name} is disabled: enable them first")
    return row


async def _keep_a_key(conn: Connection, row: people.StaffRow) -> None:
    if row.role is Role.ADMIN and not await people.other_admins(conn, row.id):
        raise Conflict(f"{row.name} is the last admin: add another one first")


def _check(name: str, role: Role, password: str | None) -> None:
    """Invalid with every mistake; a password of None is not looked at."""
    errors = []
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        errors.append(FieldError(field="name", message=f"is not a name (1 to {LONGEST_NAME} printable characters)"))
    if role is Role.INVENTORY:
        errors.append(
            FieldError(field="role", message="inventory is for tokens; use viewer, operator, approver or admin")
        )
    weakness = password_weakness(name, password) if password is not None else None
    if weakness:
        errors.append(FieldError(field="password", message=weakness))
    if errors:
        raise Invalid(errors)


def _member(row: people.StaffRow, invited_until: datetime | None, two_factors: bool, vouched: bool) -> Member:
    if row.disabled_at is not None:
        standing = Standing.DISABLED
    elif row.password_hash or vouched:
        standing = Standing.ACTIVE
    else:
        standing = Standing.INVITED if invited_until else Standing.LAPSED
    return Member(
        id=row.id, name=row.name, email=row.email, role=row.role, created_at=row.created_at, standing=standing,
        invited_until=invited_until, two_factors=two_factors, vouched=vouched,
    )  # fmt: skip
