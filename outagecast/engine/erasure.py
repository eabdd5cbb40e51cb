"""Erasing one person's data on request.

What goes: the contact's name, addresses and attributes; what waits to leave to him; every address, word and answer of
a provider on past deliveries to him; his addresses wherever a text of any table holds them, and his name (of two words
or more) where people or monitors write. What stays: states, times, codes and counts, so that reports and `verify` say
what they said; the customer; and, where something stood against an address, that it does, under a keyed hash.

Not reached: backups made before, the providers' own records, and staff who have the address themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from outagecast.domain.customers import email, phone
from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor
from outagecast.domain.timeline import Happened
from outagecast.domain.traces import Trace, trace_of_email, trace_of_name, trace_of_phone
from outagecast.engine.changes import Changes
from outagecast.storage import erasure, inventory, outages
from outagecast.storage.batches import chunks
from outagecast.storage.engine import Connection, Database
from outagecast.storage.erasure import Address, Person

AT_ONCE = 500
"""Rows rewritten in one transaction: some ten milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """What was erased, counted. `suppressions` are kept as hashes; `mentions` are rows found by their text.

    `shared`: addresses that stay because other contacts have them; `staff`: who has one of them as his own.
    """

    contacts: int
    addresses: int
    deliveries: int
    mentions: int
    suppressions: int
    shared: int
    staff: tuple[str, ...]


class Erasure:
    """`region` is where phone numbers without a country code are dialled; None: every number needs one."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], changes: Changes, region: str | None = None
    ) -> None:
        self._db = database
        self._clock = clock
        self._changes = changes
        self._region = region

    async def erase_contact(self, contact_id: str, *, actor: Actor, never_again: bool = False) -> Erased:
        """A contact with all its addresses that nobody else has. NotFound; Conflict while a message is on its way."""
        async with self._db.read() as conn:
            person = await erasure.by_contact(conn, contact_id)
        if person is None:
            raise NotFound(f"no contact {contact_id}")
        return await self._erase(person, actor, never_again)

    async def erase_address(self, text: str, *, actor: Actor, never_again: bool = False) -> Erased:
        """An address, and the contacts that had no other. Invalid, NotFound; Conflict while a message is on its way."""
        channel, value = self._read(text)
        async with self._db.read() as conn:
            person = await erasure.by_address(conn, channel, value)
        if person is None:
            raise NotFound(f"no contact has or had the address {value}")
        return await self._erase(person, actor, never_again)

    async def forget_ended(self, contact_id: str) -> bool:
        """What retention does to a contact that has ended long ago: its row and its addresses; the words of past
        deliveries have a time of their own. False while an open outage has to do with one of its addresses.
        """
        async with self._db.write() as conn:
            person = await erasure.by_contact(conn, contact_id)
            if person is None:
                return False
            ids = [address.id for address in person.addresses]
            if await erasure.in_open_outages(conn, ids) or await erasure.on_the_way(conn, ids):
                return False
            await self._forget(conn, person, never_again=False)
        return True

    async def _erase(self, person: Person, actor: Actor, never_again: bool) -> Erased:
        ids = [address.id for address in person.addresses]
        async with self._db.write() as conn:
            if await erasure.on_the_way(conn, ids):
                raise Conflict("a message to this address is being sent at this moment: erase it in a minute")
            kept = await self._forget(conn, person, never_again=never_again)
            # Who hears of what is down has changed, as by an import.
            await outages.record(
                conn, at=self._clock(), what=Happened.IMPORTED, actor=actor, data={"kind": "contact", "erased": True}
            )
            own = await erasure.staff_with(conn, [address.value for address in person.addresses])
        done = await self._forget_words(ids)
        found = await self._forget_mentions(person)
        erased = Erased(
            contacts=len(person.contacts),
            addresses=len(ids),
            deliveries=done,
            mentions=found,
            suppressions=kept,
            shared=len(person.shared),
            staff=tuple(own),
        )
        data = {"contacts": erased.contacts, "addresses": erased.addresses, "deliveries": done, "mentions": found}
        async with self._db.write() as conn:
            await outages.record(conn, at=self._clock(), what=Happened.ERASED, actor=actor, data=data)
        self._changes.notify()
        return erased

    async def _forget(self, conn: Connection, person: Person, *, never_again: bool) -> int:
        secret = await outages.get_meta(conn, "secret")
        if secret is None:
            raise Conflict("this database has no secret of its own yet: start the daemon once")
        kept = await erasure.forget(
            conn, person, secret=bytes.fromhex(secret), never_again=never_again, now=self._clock()
        )
        await inventory.refresh_shared(conn, [address.id for address in person.shared])
        await inventory.bump_version(conn)
        return kept

    async def _forget_words(self, address_ids: list[int]) -> int:
        after, total = 0, 0
        while True:
            async with self._db.write() as conn:
                ids = await erasure.words_of(conn, address_ids, after, AT_ONCE)
                if ids:
                    await erasure.forget_words(conn, ids, self._clock())
            if not ids:
                return total
            after, total = ids[-1], total + len(ids)

    async def _forget_mentions(self, person: Person) -> int:
        """Looked for in one view of the database, which holds nobody up, and rewritten some at a time."""
        everywhere = [_trace(address) for address in person.addresses]
        in_words = [trace for name in person.names if (trace := trace_of_name(name)) is not None]
        async with self._db.read() as conn:
            found = await erasure.mentions(conn, everywhere, in_words)
        linked = [mention for mention in found if mention.table in erasure.LINKED]
        others = [mention for mention in found if mention.table not in erasure.LINKED]
        for part in [linked, *chunks(others, AT_ONCE)]:
            async with self._db.write() as conn:
                await erasure.rewrite(conn, part, everywhere, in_words)
        return len(found)

    def _read(self, text: str) -> tuple[ChannelName, str]:
        """A mail address or a phone number, as it is kept."""
        plain = text.strip()
        try:
            if "@" in plain:
                return ChannelName.EMAIL, email(plain)
            return ChannelName.SMS, phone(plain, self._region)
        except ValueError as error:
            raise Invalid.one("address", f"{plain[:80]} {error}") from None


def _trace(address: Address) -> Trace:
    instead = erasure.pseudonym(address.id)
    if address.channel == ChannelName.EMAIL.value:
        return trace_of_email(address.value, instead)
    return trace_of_phone(address.value, instead)
