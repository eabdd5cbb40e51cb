"""Staff, sessions and tokens, on a real database."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.engine.people import IDLE, LONGEST, People, SignInRefused, password_weakness
from outagecast.storage import tables
from outagecast.storage.engine import Database
from tests.support.databases import opened

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
ROOT = Actor(kind=ActorKind.CLI, name="root", role=Role.ADMIN)
PASSWORD = "correct horse battery staple"
HERE = "192.0.2.7"


class House:
    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.database = database
        numbers = itertools.count(1)
        self.people = People(
            database,
            clock=lambda: self.now,
            secret=lambda: f"s{next(numbers):03d}-0123456789abcdef",
            hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
        )

    async def sign_in(self, name: str, password: str = PASSWORD, source: str = HERE) -> str:
        signed = await self.people.sign_in(name, password, source=source)
        assert signed.complete
        return signed.secret

    async def rows(self, table: str) -> str:
        async with self.database.read() as conn:
            return repr((await conn.execute(select(tables.metadata.tables[table]))).all())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database = opened("people.db", tmp_path)
    await database.migrate()
    yield House(database)
    await database.close()


async def test_signing_in_opens_a_session_for_its_role(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    secret = await house.sign_in(" ann ")
    session = await house.people.session(secret)
    assert session is not None
    assert (session.name, session.role, session.actor.kind) == ("ann", Role.OPERATOR, ActorKind.STAFF)
    assert session.csrf and session.csrf != secret


async def test_no_secret_is_kept_in_the_database(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    secret = await house.sign_in("ann")
    token = await house.people.add_token("billing", Role.INVENTORY, actor=ROOT)
    kept = "".join([await house.rows(name) for name in ("staff", "sessions", "tokens", "timeline")])
    assert PASSWORD not in kept
    assert secret not in kept
    assert token not in kept
    assert "$argon2id$" in kept


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong password!"), ("nobody", PASSWORD), ("ann", "x" * 5000)])
async def test_what_does_not_fit_is_refused_alike(house: House, name: str, password: str) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    with pytest.raises(SignInRefused, match="do not go together"):
        await house.people.sign_in(name, password, source=HERE)


async def test_guessing_gets_slower_but_never_locks_the_owner_out_elsewhere(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=ROOT)
    waits: list[timedelta] = []
    for _ in range(14):
        try:
            await house.people.sign_in("ann", "guess number one", source="203.0.113.9")
        except SignInRefused as error:
            waits.append(error.wait)
            house.now += error.wait
    assert waits[0] == timedelta(0)
    assert max(waits) > timedelta(seconds=4)
    for password in ("guess number two", PASSWORD):
        with pytest.raises(SignInRefused):
            await house.people.sign_in("ann", password, source="203.0.113.9")
    house.now += timedelta(seconds=30)
    assert await house.people.sign_in("ann", PASSWORD, source=HERE)


async def test_a_session_ends_when_idle_or_old_or_signed_out(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    idle = await house.sign_in("ann")
    busy = await house.sign_in("ann")
    out = await house.sign_in("ann")
    await house.people.sign_out(out)
    assert await house.people.session(out) is None
    for _ in range(int(LONGEST / IDLE)):
        house.now += IDLE - timedelta(minutes=1)
        assert await house.people.session(busy) is not None
    assert await house.people.session(idle) is None
    house.now = NOW + LONGEST + timedelta(seconds=1)
    assert await house.people.session(busy) is None


async def test_disabling_ends_every_session_at_once(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=ROOT)
    await house.people.add_staff("bob", PASSWORD, Role.ADMIN, actor=ROOT)
    secret = await house.sign_in("bob")
    await house.people.disable_staff("bob", actor=ROOT)
    assert await house.people.session(secret) is None
    with pytest.raises(SignInRefused):
        await house.people.sign_in("bob", PASSWORD, source=HERE)
    with pytest.raises(Conflict, match="last admin"):
        await house.people.disable_staff("ann", actor=ROOT)
    with pytest.raises(NotFound):
        await house.people.disable_staff("eve", actor=ROOT)


async def test_names_are_taken_once_and_weak_passwords_never(house: House) -> None:
    assert not await house.people.has_staff()
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    assert await house.people.has_staff()
    with pytest.raises(Conflict):
        await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    with pytest.raises(Invalid) as caught:
        await house.people.add_staff("", "short", Role.INVENTORY, actor=ROOT)
    assert [error.field for error in caught.value.errors] == ["name", "role", "password"]


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password1234",
        "aaaaaaaaaaaaaa",
        "annette-annette",
        "123456789123",
        "Passw0rd!2026",
        "qwertyuiop123",
        "LetMeInWelcome1",
        "administrator",
        "outagecast2026!",
    ],
)
def test_weak_passwords(password: str) -> None:
    assert password_weakness("annette", password)


def test_a_few_unrelated_words_are_strong_enough() -> None:
    assert password_weakness("annette", PASSWORD) is None
    assert password_weakness("annette", "summer monkey network dragon") is None, "many common words are many guesses"


async def test_tokens_by_role_until_they_expire_or_are_revoked(house: House) -> None:
    token = await house.people.add_token("ci", Role.OPERATOR, expires_in=timedelta(days=1), actor=ROOT)
    other = await house.people.add_token("noc", Role.VIEWER, actor=ROOT)
    actor = await house.people.token_actor(token)
    assert actor == Actor(kind=ActorKind.TOKEN, name="ci", role=Role.OPERATOR)
    assert await house.people.token_actor(token + "x") is None
    assert {row.name: row.used_at for row in await house.people.tokens()} == {"ci": NOW, "noc": None}
    house.now += timedelta(days=1)
    assert await house.people.token_actor(token) is None
    await house.people.revoke_token("noc", actor=ROOT)
    assert await house.people.token_actor(other) is None
    with pytest.raises(Conflict):
        await house.people.add_token("noc", Role.VIEWER, actor=ROOT)


async def test_the_timeline_says_who_changed_what(house: House) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    await house.people.sign_in("ann", PASSWORD, source=HERE)
    await house.people.add_token("ci", Role.VIEWER, actor=ROOT)
    kept = await house.rows("timeline")
    for word in ("staff_changed", "ann added as operator", "signed_in", "token_changed", "ci added as viewer"):
        assert word in kept


async def test_two_daemons_give_a_guesser_no_more_tries_than_one(house: House) -> None:
    """Behind a load balancer each try may come to another one; what was typed is kept as a hash alone."""
    other = House(house.database)
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=ROOT)
    for each in (house, other, house):
        with pytest.raises(SignInRefused, match="do not go together"):
            await each.sign_in("ann", "wrong")
    for each in (house, other):
        with pytest.raises(SignInRefused) as slowed:
            await each.sign_in("ann")
        assert slowed.value.wait
    kept = await house.rows("wrong_tries")
    assert "ann" not in kept
    assert HERE not in kept
    for each in (house, other):
        each.now = NOW + timedelta(minutes=20)
    await other.sign_in("ann")
    assert await house.rows("wrong_tries") != kept, "who comes in has a clean slate"
