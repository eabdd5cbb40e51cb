"""Who belongs to the staff: the first admin, invitations, roles, second factors; on a real database."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.totp import code_at, step_of
from outagecast.engine.one_time import SETUP_HOLDS
from outagecast.engine.people import TRIES_A_STEP, CodeRefused, People, Session, SignInRefused, StepOver
from outagecast.engine.roster import LinkOver, Standing
from outagecast.engine.staff_settings import StaffSettings
from outagecast.storage import tables
from outagecast.storage.engine import Database
from tests.support.databases import opened

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
ROOT = Actor(kind=ActorKind.CLI, name="root", role=Role.ADMIN)
PASSWORD, ANOTHER = "correct horse battery staple", "seven purple bicycles downhill"
HERE = "192.0.2.7"


class House:
    """`people` may be made anew with other rules, on the same database."""

    def __init__(self, database: Database) -> None:
        self.now, self.database = NOW, database
        self._numbers = itertools.count(1)
        self.people = self.open(StaffSettings())

    def open(self, rules: StaffSettings) -> People:
        self.people = People(
            self.database,
            clock=lambda: self.now,
            secret=lambda: f"s{next(self._numbers):03d}-0123456789abcdef",
            hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
            rules=rules,
        )
        return self.people

    async def add(self, name: str, role: Role = Role.ADMIN) -> int:
        await self.people.add_staff(name, PASSWORD, role, actor=ROOT)
        return next(row.id for row in await self.people.staff() if row.name == name)

    async def sign_in(self, name: str, password: str = PASSWORD) -> Session:
        signed = await self.people.sign_in(name, password, source=HERE)
        assert signed.complete
        session = await self.people.session(signed.secret)
        assert session is not None
        return session

    async def enrol(self, name: str) -> tuple[str, list[str]]:
        """The key of the app, and the recovery codes."""
        session = await self.sign_in(name)
        key = await self.people.factors.begin(session.staff_id)
        code = code_at(key, step_of(self.now))
        codes = await self.people.factors.confirm(session.staff_id, code, actor=session.actor, source=HERE)
        self.now += timedelta(minutes=1)
        return key, list(codes)

    async def step(self, name: str, password: str = PASSWORD) -> str:
        signed = await self.people.sign_in(name, password, source=HERE)
        assert not signed.complete
        return signed.secret

    async def rows(self, table: str) -> str:
        async with self.database.read() as conn:
            return repr((await conn.execute(select(tables.metadata.tables[table]))).all())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database = opened("roster.db", tmp_path)
    await database.migrate()
    yield House(database)
    await database.close()


# --- the first admin ---


async def test_the_setup_key_makes_one_admin_once(house: House) -> None:
    roster = house.people.roster
    key = await roster.new_setup()
    assert key is not None
    assert await roster.setup_opens(key)
    assert key not in await house.rows("one_time_keys"), "only its hash is kept"
    secret = await roster.set_up(key, " ann ", PASSWORD, source=HERE)
    session = await house.people.session(secret)
    assert session is not None and (session.name, session.role) == ("ann", Role.ADMIN)
    with pytest.raises(LinkOver):
        await roster.set_up(key, "eve", PASSWORD, source=HERE)
    assert await roster.new_setup() is None, "somebody can sign in"
    assert "first admin, by the set-up link" in await house.rows("timeline")


async def test_the_setup_key_expires_and_each_start_replaces_it(house: House) -> None:
    roster = house.people.roster
    first, second = await roster.new_setup(), await roster.new_setup()
    assert first and second
    assert not await roster.setup_opens(first)
    house.now += SETUP_HOLDS
    with pytest.raises(LinkOver):
        await roster.set_up(second, "ann", PASSWORD, source=HERE)
    assert not await house.people.has_staff()


async def test_the_setup_key_is_void_once_somebody_was_added_otherwise(house: House) -> None:
    key = await house.people.roster.new_setup()
    await house.add("ann")
    assert key is not None
    with pytest.raises(LinkOver):
        await house.people.roster.set_up(key, "eve", PASSWORD, source=HERE)


async def test_a_weak_password_leaves_the_setup_key_as_it_was(house: House) -> None:
    key = await house.people.roster.new_setup()
    assert key is not None
    with pytest.raises(Invalid):
        await house.people.roster.set_up(key, "ann", "password1234", source=HERE)
    assert await house.people.roster.set_up(key, "ann", PASSWORD, source=HERE)


# --- invitations ---


async def test_an_invitation_opens_once_and_only_its_person_knows_the_password(house: House) -> None:
    await house.add("ann")
    roster = house.people.roster
    key = await roster.invite("bob", Role.OPERATOR, email="bob@example.net", actor=ROOT, source=HERE)
    member = next(one for one in await roster.members() if one.name == "bob")
    assert (member.standing, member.invited_until) == (Standing.INVITED, NOW + timedelta(days=3))
    for password in ("", PASSWORD):
        with pytest.raises(SignInRefused):
            await house.people.sign_in("bob", password, source="198.51.100.1")
    assert (await roster.invited(key)).name == "bob"
    with pytest.raises(Invalid):
        await roster.join(key, "bobbobbobbob", source=HERE)
    secret = await roster.join(key, ANOTHER, source=HERE)
    assert secret is not None
    assert (await house.people.session(secret)) is not None
    with pytest.raises(LinkOver):
        await roster.join(key, PASSWORD, source=HERE)
    assert (await house.sign_in("bob", ANOTHER)).role is Role.OPERATOR
    assert next(one for one in await roster.members() if one.name == "bob").standing is Standing.ACTIVE


async def test_an_invitation_lapses_and_a_new_link_takes_its_place(house: House) -> None:
    await house.add("ann")
    roster = house.people.roster
    first = await roster.invite("bob", Role.VIEWER, actor=ROOT, source=HERE)
    house.now += timedelta(days=3)
    member = next(one for one in await roster.members() if one.name == "bob")
    assert member.standing is Standing.LAPSED
    second = await roster.new_link(member.id, actor=ROOT, source=HERE)
    third = await roster.new_link(member.id, actor=ROOT, source=HERE)
    for key in (first, second, "nonsense", ""):
        with pytest.raises(LinkOver):
            await roster.join(key, PASSWORD, source=HERE)
    assert await roster.join(third, PASSWORD, source=HERE)


async def test_a_link_for_a_forgotten_password_does_not_pass_the_second_factor(house: House) -> None:
    ann = await house.add("ann")
    await house.enrol("ann")
    old = await house.people.sessions.of(ann)
    key = await house.people.roster.new_link(ann, actor=ROOT, source=HERE)
    assert await house.people.roster.join(key, ANOTHER, source=HERE) is None
    assert old and await house.people.sessions.of(ann) == [], "sessions of the old password end"
    assert not (await house.people.sign_in("ann", ANOTHER, source=HERE)).complete
    with pytest.raises(SignInRefused):
        await house.people.sign_in("ann", PASSWORD, source=HERE)


# --- roles, disabling ---


async def test_a_new_role_and_disabling_end_sessions_at_once(house: House) -> None:
    await house.add("ann")
    bob = await house.add("bob", Role.VIEWER)
    await house.sign_in("bob")
    await house.people.roster.change_role(bob, Role.APPROVER, actor=ROOT, source=HERE)
    assert await house.people.sessions.of(bob) == []
    assert (await house.sign_in("bob")).role is Role.APPROVER
    await house.people.roster.disable(bob, actor=ROOT, source=HERE)
    assert await house.people.sessions.of(bob) == []
    with pytest.raises(SignInRefused):
        await house.people.sign_in("bob", PASSWORD, source=HERE)
    with pytest.raises(Conflict, match="disabled"):
        await house.people.roster.change_role(bob, Role.ADMIN, actor=ROOT, source=HERE)
    await house.people.roster.enable(bob, actor=ROOT, source=HERE)
    assert (await house.sign_in("bob")).role is Role.APPROVER
    with pytest.raises(Invalid):
        await house.people.roster.change_role(bob, Role.INVENTORY, actor=ROOT, source=HERE)
    with pytest.raises(NotFound):
        await house.people.roster.change_role(99, Role.ADMIN, actor=ROOT, source=HERE)


async def test_nobody_demotes_or_disables_the_last_admin(house: House) -> None:
    """An admin who was invited and never came, or one whom only another house vouches for, is no key of this one."""
    roster = house.people.roster
    ann = await house.add("ann")
    await roster.invite("bob", Role.ADMIN, actor=ROOT, source=HERE)
    for attempt in (
        roster.disable(ann, actor=ROOT, source=HERE),
        roster.change_role(ann, Role.APPROVER, actor=ROOT, source=HERE),
    ):
        with pytest.raises(Conflict, match="last admin"):
            await attempt
    await house.add("cid")
    await roster.change_role(ann, Role.APPROVER, actor=ROOT, source=HERE)
    assert {one.name: one.role for one in await roster.members()}["ann"] is Role.APPROVER


# --- the second factor ---


async def test_with_an_app_the_password_alone_opens_nothing(house: House) -> None:
    ann = await house.add("ann")
    key, _ = await house.enrol("ann")
    open_before = len(await house.people.sessions.of(ann))
    step = await house.step("ann")
    assert await house.people.session(step) is None, "what asks for the code is no session"
    with pytest.raises(CodeRefused):
        await house.people.second_step(step, "000000", source=HERE)
    assert len(await house.people.sessions.of(ann)) == open_before
    secret = await house.people.second_step(step, code_at(key, step_of(house.now)), source=HERE)
    session = await house.people.session(secret)
    assert session is not None and session.means == "second_factor"


async def test_a_code_opens_once(house: House) -> None:
    await house.add("ann")
    key, _ = await house.enrol("ann")
    code = code_at(key, step_of(house.now))
    first, second = await house.step("ann"), await house.step("ann")
    assert await house.people.second_step(first, code, source=HERE)
    with pytest.raises(CodeRefused):
        await house.people.second_step(second, code, source=HERE)
    with pytest.raises(StepOver):
        await house.people.second_step(first, code_at(key, step_of(house.now) + 1), source=HERE)


async def test_the_code_that_enrolled_does_not_sign_in(house: House) -> None:
    await house.add("ann")
    key, _ = await house.enrol("ann")
    house.now -= timedelta(minutes=1)
    step = await house.step("ann")
    with pytest.raises(CodeRefused):
        await house.people.second_step(step, code_at(key, step_of(house.now)), source=HERE)


async def test_guessing_codes_is_slowed_and_the_password_asked_for_again(house: House) -> None:
    await house.add("ann")
    key, _ = await house.enrol("ann")
    step = await house.step("ann")
    waited = timedelta(0)
    for number in range(TRIES_A_STEP):
        try:
            await house.people.second_step(step, f"{number:06d}", source=HERE)
        except CodeRefused as error:
            if error.wait:
                house.now += error.wait
                waited += error.wait
                with pytest.raises(CodeRefused):
                    await house.people.second_step(step, f"{number:06d}", source=HERE)
    assert waited >= timedelta(seconds=3)
    house.now += timedelta(minutes=1)
    with pytest.raises(StepOver):
        await house.people.second_step(step, code_at(key, step_of(house.now)), source=HERE)
    again = await house.step("ann")
    assert await house.people.second_step(again, code_at(key, step_of(house.now)), source=HERE)
    assert "3 wrong codes for ann" in await house.rows("timeline")


async def test_a_step_waits_five_minutes_and_no_longer(house: House) -> None:
    await house.add("ann")
    key, _ = await house.enrol("ann")
    step = await house.step("ann")
    house.now += timedelta(minutes=5)
    with pytest.raises(StepOver):
        await house.people.second_step(step, code_at(key, step_of(house.now)), source=HERE)


async def test_recovery_codes_open_once_each_and_are_kept_as_hashes(house: House) -> None:
    ann = await house.add("ann")
    _, codes = await house.enrol("ann")
    assert len(set(codes)) == 10
    kept = await house.rows("recovery_codes")
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    shouted = codes[3].upper().replace("-", " ")
    assert await house.people.second_step(await house.step("ann"), shouted, source=HERE)
    assert (await house.people.factors.of(ann)).recovery_codes_left == 9
    with pytest.raises(CodeRefused):
        await house.people.second_step(await house.step("ann"), codes[3], source=HERE)
    session = Session(name="ann", role=Role.ADMIN, csrf="", staff_id=ann)
    fresh = await house.people.factors.new_codes(ann, actor=session.actor, source=HERE)
    with pytest.raises(CodeRefused):
        await house.people.second_step(await house.step("ann"), codes[4], source=HERE)
    assert await house.people.second_step(await house.step("ann"), fresh[0], source=HERE)


async def test_a_reset_lets_the_password_alone_open_again(house: House) -> None:
    ann = await house.add("ann")
    _, codes = await house.enrol("ann")
    await house.people.roster.reset_second_factor(ann, actor=ROOT, source=HERE)
    assert await house.people.sessions.of(ann) == []
    assert (await house.sign_in("ann")).means == "password"
    assert (await house.people.factors.of(ann)).recovery_codes_left == 0
    assert codes[0] not in await house.rows("recovery_codes")


async def test_a_wrong_first_code_does_not_lock_anybody_out(house: House) -> None:
    await house.add("ann")
    session = await house.sign_in("ann")
    key = await house.people.factors.begin(session.staff_id)
    assert await house.people.factors.begin(session.staff_id) == key, "a reload shows the same one"
    with pytest.raises(Invalid):
        await house.people.factors.confirm(session.staff_id, "000000", actor=session.actor, source=HERE)
    assert (await house.sign_in("ann")).name == "ann", "it is not asked for before it is confirmed"
    with pytest.raises(Conflict):
        await house.people.factors.confirm(99, "000000", actor=session.actor, source=HERE)


async def test_roles_that_need_a_second_factor_are_told_to_enrol(house: House) -> None:
    house.open(StaffSettings(require_totp=frozenset({"admin"})))
    await house.add("ann")
    await house.add("vic", Role.VIEWER)
    assert (await house.sign_in("ann")).must_enrol
    assert not (await house.sign_in("vic")).must_enrol
    await house.enrol("ann")
    listed = await house.people.sessions.of((await house.people.staff())[0].id)
    assert listed, "the session in which it was set up goes on"
    house.open(StaffSettings(require_totp=frozenset({"admin", "viewer"})))
    assert (await house.sign_in("vic")).must_enrol, "from the moment the settings say so"


# --- sessions ---


async def test_a_new_password_ends_all_other_sessions_and_renews_this_one(house: House) -> None:
    ann = await house.add("ann")
    signed = await house.people.sign_in("ann", PASSWORD, source=HERE)
    other = await house.people.sign_in("ann", PASSWORD, source="198.51.100.4")
    session = await house.people.session(signed.secret)
    assert session is not None
    for current, new, field in (("guess", ANOTHER, "current"), (PASSWORD, "short", "password")):
        with pytest.raises(Invalid) as caught:
            await house.people.change_password(session, current, new, secret=signed.secret, source=HERE)
        assert [error.field for error in caught.value.errors] == [field]
    fresh = await house.people.change_password(session, PASSWORD, ANOTHER, secret=signed.secret, source=HERE)
    assert await house.people.session(fresh) is not None
    for over in (signed.secret, other.secret):
        assert await house.people.session(over) is None
    assert len(await house.people.sessions.of(ann)) == 1


async def test_sessions_are_listed_and_revoked_one_by_one_or_all(house: House) -> None:
    ann = await house.add("ann")
    bob = await house.add("bob")
    mine = await house.people.sign_in("ann", PASSWORD, source=HERE, agent="Firefox on Linux")
    phone = await house.people.sign_in("ann", PASSWORD, source="198.51.100.4", agent="Safari on iPhone")
    listed = {one.source: one for one in await house.people.sessions.of(ann)}
    assert listed["198.51.100.4"].agent == "Safari on iPhone"
    actor = Actor(kind=ActorKind.STAFF, name="ann", role=Role.ADMIN)
    for whose, id in ((bob, listed[HERE].id), (ann, ""), (ann, "%"), (ann, "_" * 16), (ann, listed[HERE].id[:4])):
        with pytest.raises(NotFound):
            await house.people.sessions.end(whose, id, actor=actor, source=HERE)
    await house.people.sessions.end(ann, listed["198.51.100.4"].id, actor=actor, source=HERE)
    assert await house.people.session(phone.secret) is None
    assert await house.people.session(mine.secret) is not None
    await house.people.sign_in("ann", PASSWORD, source="198.51.100.5")
    assert await house.people.sessions.end_others(ann, mine.secret, actor=actor, source=HERE) == 1
    assert [one.source for one in await house.people.sessions.of(ann)] == [HERE]


async def test_signing_in_anew_ends_the_session_it_replaces(house: House) -> None:
    await house.add("ann")
    first = await house.people.sign_in("ann", PASSWORD, source=HERE)
    second = await house.people.sign_in("ann", PASSWORD, source=HERE, replaces=first.secret)
    assert second.secret != first.secret
    assert await house.people.session(first.secret) is None


async def test_the_settings_say_how_long_a_session_holds(house: House) -> None:
    house.open(StaffSettings(idle=timedelta(minutes=5), longest=timedelta(minutes=8)))
    await house.add("ann")
    signed = await house.people.sign_in("ann", PASSWORD, source=HERE)
    house.now += timedelta(minutes=4)
    assert await house.people.session(signed.secret) is not None
    house.now += timedelta(minutes=4, seconds=1)
    assert await house.people.session(signed.secret) is None


async def test_every_line_says_who_did_what_from_where(house: House) -> None:
    ann = await house.add("ann")
    actor = Actor(kind=ActorKind.STAFF, name="ann", role=Role.ADMIN)
    roster, source = house.people.roster, "203.0.113.77"
    await roster.invite("bob", Role.VIEWER, actor=actor, source=source)
    bob = next(one.id for one in await roster.members() if one.name == "bob")
    await roster.new_link(bob, actor=actor, source=source)
    await roster.change_role(bob, Role.OPERATOR, actor=actor, source=source)
    await roster.disable(bob, actor=actor, source=source)
    await roster.enable(bob, actor=actor, source=source)
    await roster.reset_second_factor(ann, actor=actor, source=source)
    await house.people.add_token("ci", Role.VIEWER, actor=actor, source=source)
    await house.people.revoke_token("ci", actor=actor, source=source)
    said = [line.why for line in await house.people.happened() if (line.actor, line.source) == ("ann", source)]
    assert said == [
        "ci revoked",
        "ci added as viewer",
        "ann's second factor reset",
        "bob enabled again",
        "bob disabled",
        "bob is operator now; was viewer",
        "bob gets a link to set a password",
        "bob added as viewer",
    ]
