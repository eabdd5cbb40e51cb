"""The second factor: an authenticator app, and codes on paper for the day the phone is lost."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.outage import Actor
from outagecast.domain.timeline import Happened
from outagecast.domain.totp import fitting_step, in_groups, new_secret
from outagecast.engine.digests import digest
from outagecast.engine.sessions import Means
from outagecast.storage import people, sign_ins
from outagecast.storage.engine import Connection, Database

RECOVERY_CODES = 10
_RECOVERY_LENGTH = 16
"""Characters of base32: 80 bits, so that a plain hash is enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """Where somebody stands: when the app was set up (None: it is not), how many recovery codes are unused."""

    confirmed_at: datetime | None
    recovery_codes_left: int


class SecondFactors:
    """Enrols, checks and takes away second factors."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime], secret: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret

    async def of(self, staff_id: int) -> Factors:
        async with self._database.read() as conn:
            found = await sign_ins.second_factor(conn, staff_id)
            left = await sign_ins.recovery_codes_left(conn, staff_id)
        return Factors(confirmed_at=found.confirmed_at if found else None, recovery_codes_left=left)

    async def begin(self, staff_id: int) -> str:
        """The key for the app: a reload of the page shows the same one. Conflict where one is set up."""
        async with self._database.write() as conn:
            found = await sign_ins.second_factor(conn, staff_id)
            if found is not None and found.confirmed_at is not None:
                raise Conflict("your authenticator app is set up already: take it away first")
            if found is not None:
                return found.secret
            secret = new_secret(self._random())
            await sign_ins.begin_second_factor(conn, staff_id, secret, self._clock())
        return secret

    async def confirm(self, staff_id: int, code: str, *, actor: Actor, source: str) -> Sequence[str]:
        """The app shows what we expect: from now on it is asked for. Answers the recovery codes, told this once."""
        now = self._clock()
        async with self._database.write() as conn:
            found = await sign_ins.second_factor(conn, staff_id)
            if found is None or found.confirmed_at is not None:
                raise Conflict("there is no authenticator app to confirm: load the page anew")
            step = fitting_step(found.secret, code, after=found.last_step, now=now)
            if step is None:
                raise Invalid.one(
                    "code", "does not fit: wait for the next code, and look whether the phone's clock is right"
                )
            await sign_ins.confirm_second_factor(conn, staff_id, step, now)
            why = f"{actor.name} set up an authenticator app"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)
            return await self._new_codes(conn, staff_id)

    async def new_codes(self, staff_id: int, *, actor: Actor, source: str) -> Sequence[str]:
        """Fresh recovery codes; the old ones open nothing any more."""
        now = self._clock()
        async with self._database.write() as conn:
            found = await sign_ins.second_factor(conn, staff_id)
            if found is None or found.confirmed_at is None:
                raise Conflict("set up your authenticator app first")
            why = f"{actor.name} made new recovery codes"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)
            return await self._new_codes(conn, staff_id)

    async def drop(self, staff_id: int, *, actor: Actor, source: str) -> None:
        now = self._clock()
        async with self._database.write() as conn:
            await sign_ins.drop_second_factor(conn, staff_id)
            why = f"{actor.name} took the authenticator app away"
            await people.record(conn, Happened.STAFF_CHANGED, why, actor=actor, now=now, source=source)

    async def needed(self, conn: Connection, staff_id: int) -> bool:
        found = await sign_ins.second_factor(conn, staff_id)
        return found is not None and found.confirmed_at is not None

    async def take(self, conn: Connection, staff_id: int, code: str) -> Means | None:
        """What this code was, used up from now on; None if it fits nothing."""
        now = self._clock()
        found = await sign_ins.second_factor(conn, staff_id)
        if found is None or found.confirmed_at is None:
            return None
        step = fitting_step(found.secret, code, after=found.last_step, now=now)
        if step is not None:
            return Means.SECOND_FACTOR if await sign_ins.take_step(conn, staff_id, step) else None
        if await sign_ins.use_recovery_code(conn, staff_id, digest(_plain(code)), now):
            return Means.RECOVERY_CODE
        return None

    async def _new_codes(self, conn: Connection, staff_id: int) -> Sequence[str]:
        codes = [base64.b32encode(self._random()).decode().lower()[:_RECOVERY_LENGTH] for _ in range(RECOVERY_CODES)]
        await sign_ins.replace_recovery_codes(conn, staff_id, [digest(code) for code in codes])
        return [in_groups(code).replace(" ", "-") for code in codes]

    def _random(self) -> bytes:
        """32 bytes out of the one source of randomness, which gives texts."""
        return hashlib.sha256(self._secret().encode()).digest()


def _plain(code: str) -> str:
    """A recovery code as it was hashed, however people write it."""
    return "".join(code.split()).replace("-", "").lower()
