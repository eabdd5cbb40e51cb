"""Who may come in: staff with passwords and sessions, programs with tokens.

The parts: `passwords.py`, `sessions.py`, `second_factor.py`, `one_time.py`; who belongs to the staff is decided in
`roster.py`. Here they come in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher

from outagecast.domain.errors import Conflict, Forbidden, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.backoff import FREE_TRIES, Backoff
from outagecast.engine.digests import digest, same_secret
from outagecast.engine.identities import Identities
from outagecast.engine.one_time import SECOND_STEP_HOLDS, OneTimeKeys, Purpose
from outagecast.engine.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, Passwords, password_weakness
from outagecast.engine.roster import Roster
from outagecast.engine.second_factor import SecondFactors
from outagecast.engine.sessions import Means, Session, Sessions
from outagecast.engine.staff_settings import StaffSettings
from outagecast.storage import people, sessions, sign_ins
from outagecast.storage.engine import Connection, Database

IDLE = StaffSettings().idle
LONGEST = StaffSettings().longest
TRIES_A_STEP = 5
"""Wrong codes until the password is asked for again."""
TOKEN_PREFIX = "oc_"
"""So that secret scanners and people know a token when they see one."""
_USED_EVERY = timedelta(minutes=1)

__all__ = [
    "IDLE",
    "LONGEST",
    "LONGEST_PASSWORD",
    "SHORTEST_PASSWORD",
    "CodeRefused",
    "People",
    "Session",
    "SignIn",
    "SignInRefused",
    "StepOver",
    "password_weakness",
    "same_secret",
]


class SignInRefused(Forbidden):
    """Wrong name or password, or too many tries; `wait` is how long the next try has to wait, zero if it need not."""

    def __init__(self, wait: timedelta = timedelta(0)) -> None:
        super().__init__("that name and password do not go together" if not wait else "too many tries: wait a little")
        self.wait = wait


class CodeRefused(Forbidden):
    """The second factor does not fit; `wait` as above."""

    def __init__(self, wait: timedelta = timedelta(0)) -> None:
        super().__init__("that code does not fit" if not wait else "too many tries: wait a little")
        self.wait = wait


class StepOver(Forbidden):
    """The password was given too long ago, or too many codes were wrong: begin anew."""

    def __init__(self) -> None:
        super().__init__("this sign-in took too long, or too many codes were wrong: begin anew")


@dataclass(frozen=True, kw_only=True, slots=True)
class SignIn:
    """`secret` opens a session, or, where not `complete`, the step that asks for the second factor."""

    secret: str
    complete: bool


class People:
    """Staff, sessions and tokens.

    `secret` makes a new unguessable text (256 bits, URL-safe); `hasher` may be a faster one in tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        secret: Callable[[], str],
        hasher: PasswordHasher | None = None,
        rules: StaffSettings | None = None,
    ) -> None:
        self.rules = rules or StaffSettings()
        self._database = database
        self._clock = clock
        self._secret = secret
        self._passwords = Passwords(hasher or PasswordHasher(), secret)
        self._names, self._codes = Backoff("passwords"), Backoff("codes")
        self.keys = OneTimeKeys(database, clock=clock, secret=secret)
        self.sessions = Sessions(database, clock=clock, secret=secret, rules=self.rules)
        self.factors = SecondFactors(database, clock=clock, secret=secret)
        self.roster = Roster(
            database, clock=clock, passwords=self._passwords, keys=self.keys, sessions=self.sessions, rules=self.rules
        )
        self.identities = Identities(database, clock=clock, secret=secret, keys=self.keys, sessions=self.sessions)

    # --- staff ---

    async def add_staff(
        self, name: str, password: str, role: Role, *, email: str = "", actor: Actor, source: str = ""
    ) -> None:
        """Invalid for a weak password, a strange name or the role `inventory`; Conflict when the name is taken."""
        await self.roster.add(name, password, role, email=email, actor=actor, source=source)

    async def staff(self) -> Sequence[people.StaffRow]:
        async with self._database.read() as conn:
            return await people.all_staff(conn)

    async def has_staff(self) -> bool:
        async with self._database.read() as conn:
            return await people.count_active_staff(conn) > 0

    async def disable_staff(self, name: str, *, actor: Actor) -> None:
        """Also ends every session of theirs. NotFound; Conflict for the last admin, so that the house keeps a key."""
        async with self._database.read() as conn:
            row = await people.staff_by_name(conn, name)
        if row is None:
            raise NotFound(f"nobody is called {name}")
        await self.roster.disable(row.id, actor=actor, source="")

    # --- coming in ---

    async def sign_in(self, name: str, password: str, *, source: str, agent: str = "", replaces: str = "") -> SignIn:
        """`source` is the client's address; the session that `replaces` stands for ends.

        SignInRefused takes as long for a name that nobody has as for a wrong password. Tries are slowed from 1 s to
        15 min, never for good, and strangers elsewhere cannot slow somebody down by more than 30 s.
        """
        name, now = name.strip(), self._clock()
        async with self._database.read() as conn:
            wait = await self._names.wait(conn, name, source, now)
            row = await people.staff_by_name(conn, name)
        if wait:
            raise SignInRefused(wait)
        fits = await self._passwords.fits(row.password_hash if row else "", password)
        if row is None or not fits or row.disabled_at is not None:
            await self._refused(self._names, row, name, source, "wrong passwords")
            raise SignInRefused
        fresh = await self._passwords.renewed(row.password_hash, password)
        async with self._database.write() as conn:
            await self._names.forget(conn, name, source)
            if fresh is not None:
                await people.set_password_hash(conn, row.id, fresh)
            if await self.factors.needed(conn, row.id):
                step = await self.keys.give(conn, Purpose.SECOND_STEP, SECOND_STEP_HOLDS, staff_id=row.id)
                return SignIn(secret=step, complete=False)
            return SignIn(secret=await self._open(conn, row, source, agent, Means.PASSWORD, replaces), complete=True)

    async def second_step(self, step: str, code: str, *, source: str, agent: str = "", replaces: str = "") -> str:
        """The session's secret for a code of the app, or a recovery code. StepOver, CodeRefused."""
        async with self._database.read() as conn:
            key = await sign_ins.key(conn, digest(step), Purpose.SECOND_STEP, self._clock())
            row = await people.staff_by_id(conn, key.staff_id) if key is not None and key.staff_id else None
            wait = await self._codes.wait(conn, row.name, source, self._clock()) if row is not None else None
        if key is None or row is None or row.disabled_at is not None or key.tries >= TRIES_A_STEP:
            raise StepOver
        if wait:
            raise CodeRefused(wait)
        async with self._database.write() as conn:
            means = await self.factors.take(conn, row.id, code)
            if means is not None:
                if await self.keys.take(conn, Purpose.SECOND_STEP, step) is None:
                    raise StepOver
                await self._codes.forget(conn, row.name, source)
                return await self._open(conn, row, source, agent, means, replaces)
            await sign_ins.count_try(conn, key.hash)
        await self._refused(self._codes, row, row.name, source, "wrong codes")
        raise CodeRefused

    async def change_password(
        self, session: Session, current: str, new: str, *, secret: str, source: str, agent: str = ""
    ) -> str:
        """A new session's secret; every other session of theirs ends. Invalid by field; slowed like signing in."""
        async with self._database.read() as conn:
            wait = await self._names.wait(conn, session.name, source, self._clock())
            row = await people.staff_by_id(conn, session.staff_id)
        if wait:
            raise SignInRefused(wait)
        if row is None or not await self._passwords.fits(row.password_hash, current):
            await self._refused(self._names, row, session.name, source, "wrong passwords")
            raise Invalid.one("current", "is not your password")
        weakness = password_weakness(row.name, new)
        if weakness:
            raise Invalid.one("password", weakness)
        fresh, now = await self._passwords.hash(new), self._clock()
        async with self._database.write() as conn:
            await people.set_password_hash(conn, row.id, fresh)
            await sessions.end_all_of(conn, row.id, now)
            why = f"{row.name} changed the password"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=session.actor, now=now, source=source)
            return await self._open(conn, row, source, agent, Means(session.means), secret)

    async def is_password(self, session: Session, password: str, *, source: str) -> bool:
        """Whether somebody signed in still knows his password; slowed like signing in (SignInRefused)."""
        async with self._database.read() as conn:
            wait = await self._names.wait(conn, session.name, source, self._clock())
            row = await people.staff_by_id(conn, session.staff_id)
        if wait:
            raise SignInRefused(wait)
        if row is not None and await self._passwords.fits(row.password_hash, password):
            return True
        await self._refused(self._names, row, session.name, source, "wrong passwords")
        return False

    async def session(self, secret: str) -> Session | None:
        """Who a cookie stands for; None when it is unknown, ended, idle for too long or too old."""
        return await self.sessions.read(secret)

    async def sign_out(self, secret: str, *, source: str = "") -> None:
        await self.sessions.sign_out(secret, source=source)

    # --- tokens ---

    async def add_token(
        self, name: str, role: Role, *, expires_in: timedelta | None = None, actor: Actor, source: str = ""
    ) -> str:
        """The token, told this once. Conflict when the name is taken."""
        name, now = name.strip(), self._clock()
        if not name or len(name) > 60 or not name.isprintable():
            raise Invalid.one("name", "a token needs a name (1 to 60 printable characters)")
        token = TOKEN_PREFIX + self._secret()
        async with self._database.write() as conn:
            if await people.token_by_name(conn, name) is not None:
                raise Conflict(f"there is a token called {name} already: revoked names are not used again")
            await people.add_token(
                conn, name=name, role=role, hash=digest(token), prefix=token[:8], now=now,
                expires_at=now + expires_in if expires_in is not None else None,
            )  # fmt: skip
            why = f"{name} added as {role}"
            await people.record(conn, Happened.TOKEN_CHANGED, why, actor=actor, now=now, source=source)
        return token

    async def tokens(self) -> Sequence[people.TokenRow]:
        async with self._database.read() as conn:
            return await people.all_tokens(conn)

    async def revoke_token(self, name: str, *, actor: Actor, source: str = "") -> None:
        """NotFound; revoking twice is fine."""
        now = self._clock()
        async with self._database.write() as conn:
            row = await people.token_by_name(conn, name)
            if row is None:
                raise NotFound(f"there is no token called {name}")
            await people.revoke_token(conn, row.id, now)
            await people.record(conn, Happened.TOKEN_CHANGED, f"{name} revoked", actor=actor, now=now, source=source)

    async def token_actor(self, token: str) -> Actor | None:
        """Whom a bearer token stands for; None when it is unknown, revoked or expired."""
        now = self._clock()
        async with self._database.read() as conn:
            row = await people.token_by_hash(conn, digest(token))
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.used_at is None or now - row.used_at > _USED_EVERY:
            async with self._database.write() as conn:
                await people.use_token(conn, row.id, now)
        return Actor(kind=ActorKind.TOKEN, name=row.name, role=row.role)

    async def happened(self, limit: int = 50) -> Sequence[people.LineRow]:
        """What happened about people and tokens last, newest first."""
        async with self._database.read() as conn:
            return await people.lines(conn, limit=limit)

    # --- below ---

    async def _open(
        self, conn: Connection, row: people.StaffRow, source: str, agent: str, means: Means, replaces: str
    ) -> str:
        return await self.sessions.open(conn, row, source=source, agent=agent, means=means, replaces=replaces)

    async def _refused(self, backoff: Backoff, row: people.StaffRow | None, name: str, source: str, what: str) -> None:
        """Counts it; the timeline hears of it once, when guessing begins to be slowed: not with every guess."""
        now = self._clock()
        async with self._database.write() as conn:
            if await backoff.failed(conn, name, source, now) != FREE_TRIES or row is None:
                return
            actor = Actor(kind=ActorKind.STAFF, name=row.name, role=row.role)
            why = f"{FREE_TRIES} {what} for {row.name}"
            await people.record(conn, Happened.SIGN_IN_REFUSED, why, actor=actor, now=now, source=source)
