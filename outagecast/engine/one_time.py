"""Keys that open once: the set-up link, invitations, the step between password and code, a sign-in elsewhere."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from outagecast.engine.digests import digest
from outagecast.storage import sign_ins
from outagecast.storage.engine import Connection, Database

SETUP_HOLDS = timedelta(hours=1)
SECOND_STEP_HOLDS = timedelta(minutes=5)
ELSEWHERE_HOLDS = timedelta(minutes=10)


class Purpose(StrEnum):
    SETUP = "setup"
    INVITATION = "invitation"
    SECOND_STEP = "second_step"
    OIDC = "oidc"


class OneTimeKeys:
    """Gives them out and takes them back; the database holds their hashes only."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime], secret: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret

    async def give(
        self,
        conn: Connection,
        purpose: Purpose,
        holds: timedelta,
        *,
        staff_id: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> str:
        secret, now = self._secret(), self._clock()
        await sign_ins.add_key(
            conn, hash=digest(secret), purpose=purpose, staff_id=staff_id, data=data, now=now, expires_at=now + holds
        )
        return secret

    async def look(self, purpose: Purpose, secret: str) -> sign_ins.OneTimeKey | None:
        """What it stands for, without using it; None for any that does not open (any more)."""
        async with self._database.read() as conn:
            return await sign_ins.key(conn, digest(secret), purpose, self._clock())

    async def take(self, conn: Connection, purpose: Purpose, secret: str) -> sign_ins.OneTimeKey | None:
        """Uses it. None for any that does not open, for the second who brings it too."""
        now = self._clock()
        found = await sign_ins.key(conn, digest(secret), purpose, now)
        return found if found is not None and await sign_ins.use_key(conn, found.hash, now) else None
