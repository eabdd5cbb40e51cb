"""Every table, once. Times end in `_at` and are UtcTime; enum values are kept as their lower-case words.

Three groups: the inventory (what the customers have), the outages with what they touch and say, and the house's own
(staff, tokens, monitors). `deliveries` is the outbox; `timeline` is append only.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from outagecast.storage.types import Json, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Number = BigInteger().with_variant(Integer, "sqlite")
"""A row number: SQLite only numbers INTEGER keys by itself."""


def _word(name: str, default: str | None = None, **more: object) -> "Column[str]":
    return Column(name, Text, nullable=False, server_default="" if default is None else default, **more)  # type: ignore[arg-type]


meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""Facts about this database: `secret`, `inventory_version`, `reckoning`, `paused`, `paused_by`,
`paused_at` (microseconds since 1970)."""

# --- the inventory ---

needs = Table(
    "needs", metadata, Column("id", Number, primary_key=True), Column("text", Text, nullable=False, unique=True)
)
"""Distinct need-expressions in canonical form (domain/needs.py): a million circuits share few of them."""

sites = Table(
    "sites", metadata,
    Column("id", Text, primary_key=True), _word("name"),
    Column("latitude", Float), Column("longitude", Float), _word("timezone"), _word("area"),
    _word("status", "active"), Column("attributes", Json),
)  # fmt: skip
elements = Table(
    "elements", metadata,
    Column("id", Text, primary_key=True), _word("kind"), _word("name"),
    Column("site_id", Text), Column("a", Text), Column("z", Text),
    Column("gateway", Boolean, nullable=False, server_default=false()),
    Column("need_id", Number, ForeignKey("needs.id")), _word("status", "active"), Column("attributes", Json),
)  # fmt: skip
services = Table(
    "services", metadata,
    Column("id", Text, primary_key=True), _word("name"),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Column("need_id", Number, ForeignKey("needs.id")), _word("status", "active"), Column("attributes", Json),
)  # fmt: skip
customers = Table(
    "customers", metadata,
    Column("id", Text, primary_key=True), _word("name"), _word("status", "active"),
    Column("parent_id", Text, index=True), _word("told_via", "self"), _word("language"), _word("timezone"),
    _word("tier"), _word("tags"),
    Column("attributes", Json),
)  # fmt: skip
"""status: active, suspended, ended. told_via: self, parent, both."""

addresses = Table(
    "addresses", metadata,
    Column("id", Number, primary_key=True), _word("channel"), _word("value"),
    Column("suppressed", Text), Column("suppressed_at", UtcTime), Column("suppressed_by", Text),
    Column("shared", Boolean, nullable=False, server_default=false()), Column("confirmed_by", Text),
    Index("uq_addresses_channel_value", "channel", "value", unique=True),
)  # fmt: skip
"""One e-mail address or phone, normalised, whoever has it. `suppressed`: the SuppressReason, NULL if it may be written
to. `shared`: on more than five customers without a common parent; held back until `confirmed_by` names who confirmed
it.
"""

contacts = Table(
    "contacts", metadata,
    Column("id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.id"), nullable=False, index=True),
    _word("name"), _word("role"),
    Column("email_id", Number, ForeignKey("addresses.id"), index=True),
    Column("phone_id", Number, ForeignKey("addresses.id"), index=True),
    _word("language"), _word("timezone"), _word("channels"), _word("notify"), _word("quiet_hours"), _word("wake_for"),
    Column("consent_at", UtcTime), _word("consent_source"), _word("status", "active"), Column("attributes", Json),
)  # fmt: skip
circuits = Table(
    "circuits", metadata,
    Column("id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.id"), nullable=False, index=True),
    Column("service_id", Text, index=True), _word("label"), Column("site_id", Text, index=True), _word("place"),
    Column("need_id", Number, ForeignKey("needs.id"), index=True), _word("status", "active"),
    Column("attributes", Json),
)  # fmt: skip
subscriptions = Table(
    "subscriptions", metadata,
    Column("customer_id", Text, ForeignKey("customers.id"), primary_key=True),
    Column("service_id", Text, primary_key=True, index=True),
    _word("status", "active"),
)  # fmt: skip
"""A service without a circuit of its own."""

# Read in ranges: by the bytes, whatever language the database sorts in.
_Bytewise = Text().with_variant(Text(collation="C"), "postgresql")
search_words = Table(
    "search_words", metadata,
    Column("kind", Text, primary_key=True), Column("word", _Bytewise, primary_key=True),
    Column("id", Text, primary_key=True),
    sqlite_with_rowid=False,
)  # fmt: skip
"""By which phrases things are found (domain/search_terms.py), kept true by storage/search_index.py. kind: that of a
scope, `contact`, or `phone` (a number backwards; id is the number).
"""

# --- outages ---

outages = Table(
    "outages", metadata,
    Column("id", Text, primary_key=True), Column("number", Integer, nullable=False), _word("kind", "outage"),
    _word("title"),
    _word("status"), _word("severity"), _word("effect"), _word("cause"), _word("cause_code"),
    Column("eta", UtcTime), Column("eta_from", UtcTime),
    Column("eta_slips", Integer, nullable=False, server_default=text("0")),
    Column("at_risk_until", UtcTime), Column("started_at", UtcTime, nullable=False), Column("ended_at", UtcTime),
    Column("created_at", UtcTime, nullable=False), _word("created_by"), _word("owner"), _word("external_ref"),
    _word("monitor"),
    Column("estimated_customers", Integer), Column("scope", Json, nullable=False),
    Column("restored", Json, nullable=False, server_default="[]"),
    Column("episode", Integer, nullable=False, server_default=text("1")),
    Column("revision", Integer, nullable=False, server_default=text("0")),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("pending_until", UtcTime),
    Column("held_because", Text), Column("hold_reason", Text), Column("merged_into", Text),
    Column("next_update_by", UtcTime), Column("promised_at", UtcTime),
    Column("words", Integer, nullable=False, server_default=text("0")),
    Column("strikes", Integer, nullable=False, server_default=text("0")),
    Column("eta_passed_told", Boolean, nullable=False, server_default=false()),
    Column("reminded_promise_at", UtcTime), Column("reminded_eta_at", UtcTime), Column("last_word_at", UtcTime),
    Column("wave_seconds", Float, nullable=False, server_default=text("0")),
    Column("look_again_at", UtcTime, index=True),
    Column("inventory", Integer, nullable=False, server_default=text("0")),
    Index("ix_outages_status", "status"), Index("ix_outages_external_ref", "external_ref"),
)  # fmt: skip
"""The present state: what is effective. `scope`: what is down now, as [{kind, id, effect}]; `restored` what was and is
back. `revision` is the last committed one, pending or not. `public`: the declaration has taken effect. `pending_until`:
a revision waits to take effect then; unsent deliveries are held meanwhile. `held_because`: the brake that made it a
draft. `hold_reason`: frozen by staff. `promised_at` is when the present promise was given; `words` counts the desk's
words and holding notices in this episode (index into a cadence's list); `strikes` the holding notices in a row;
`wave_seconds` how long a wave to all it leads takes, estimated. `inventory`: the version of the inventory it was last
reckoned on. `look_again_at`: when the cadence has to look here next.
"""

revisions = Table(
    "revisions", metadata,
    Column("outage_id", Text, ForeignKey("outages.id"), primary_key=True), Column("number", Integer, primary_key=True),
    Column("episode", Integer, nullable=False), _word("verb"), _word("state"), Column("held_because", Text),
    _word("actor_kind"), _word("actor"), Column("created_at", UtcTime, nullable=False),
    Column("effective_at", UtcTime, index=True),
    _word("released_by"), Column("change", Json, nullable=False), Column("facts", Json),
    Column("message", Text, nullable=False, server_default=""),
    Column("next_update_by", UtcTime), Column("customers_told", Integer, nullable=False, server_default=text("0")),
)  # fmt: skip
"""One thing decided. `change` is what was asked; `facts` (RevisionFacts) what it says to all, frozen when it takes
effect.
"""

impacts = Table(
    "impacts", metadata,
    Column("id", Number, primary_key=True), Column("outage_id", Text, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("thing_kind", Text, nullable=False), Column("thing_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("level", Integer, nullable=False), Column("from_at", UtcTime, nullable=False), Column("to_at", UtcTime),
    Column("because", Json),
    Index("ix_impacts_outage", "outage_id", "to_at"), Index("ix_impacts_thing", "thing_id", "thing_kind"),
    Index("ix_impacts_customer", "customer_id"),
)  # fmt: skip
"""Intervals, never overwritten: thing_kind is `circuit` or `service` (a subscription); to_at NULL while it lasts."""

leads = Table(
    "leads", metadata,
    Column("outage_id", Text, primary_key=True), Column("episode", Integer, primary_key=True),
    Column("address_id", Number, primary_key=True),
    Column("thing_kind", Text, primary_key=True), Column("thing_id", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    _word("role"), Column("level", Integer, nullable=False), Column("since_at", UtcTime, nullable=False),
    Column("contact_id", Text, nullable=False),
    Index("ix_leads_thing", "thing_id", "address_id"), Index("ix_leads_address", "address_id"),
    Index("ix_leads_customer", "customer_id"),
)  # fmt: skip
"""Who told which address about which thing: role `leads`, `covered` (another outage leads) or `ended`; level is the
last one told.
"""

_PLANNED = text("state = 'planned'")
_ON_THE_WAY = text("state IN ('leased', 'transmitting', 'ambiguous')")
deliveries = Table(
    "deliveries", metadata,
    Column("id", Number, primary_key=True), Column("outage_id", Text, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("revision", Integer, nullable=False), _word("kind"), _word("audience", "customer"), _word("channel"),
    Column("address_id", Number), _word("to"), Column("customer_id", Text), Column("contact_id", Text),
    _word("state"), Column("reason", Text), Column("due_at", UtcTime, nullable=False), Column("expires_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("rank", Integer, nullable=False, server_default=text("0")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("ambiguous", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", Text), Column("lease_until", UtcTime),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("transmitting_at", UtcTime), Column("ended_at", UtcTime), Column("provider_id", Text),
    Column("code", Text), Column("detail", Text),
    Column("eta", UtcTime), Column("promise", UtcTime), Column("facts", Json),
    Index(
        "uq_deliveries_key",
        "outage_id", "episode", "channel", "address_id", "kind", "revision", "audience", unique=True,
    ),
    # In the order in which rows are claimed, to the last column: else PostgreSQL sorts all that wait for each batch.
    Index("ix_deliveries_due", "channel", "rank", "due_at", "id", sqlite_where=_PLANNED, postgresql_where=_PLANNED),
    # Else whether anything that waits is stale could only be seen by reading all that waits, twice a second.
    Index("ix_deliveries_expiry", "expires_at", sqlite_where=_PLANNED, postgresql_where=_PLANNED),
    Index("ix_deliveries_busy", "state", sqlite_where=_ON_THE_WAY, postgresql_where=_ON_THE_WAY),
    Index("ix_deliveries_address", "address_id", "outage_id"), Index("ix_deliveries_outage", "outage_id", "revision"),
)  # fmt: skip
"""The outbox: all that one revision says to one address. `address_id` NULL: nobody to write to (SUPPRESSED,
no_address). `facts` is OwnFacts; `eta` and `promise` are what it tells, for "was" and for the promise ledger. audience:
customer or staff.
"""

notices = Table(
    "notices", metadata,
    Column("delivery_id", Number, primary_key=True), Column("customer_id", Text, primary_key=True, index=True),
)  # fmt: skip
"""Which customers a delivery speaks of: one row for each notice it joins."""

attempts = Table(
    "attempts", metadata,
    Column("key", Text, primary_key=True), Column("delivery_id", Number, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("started_at", UtcTime, nullable=False), Column("ended_at", UtcTime), Column("outcome", Text),
    Column("code", Text), Column("detail", Text),
    Column("provider_id", Text, index=True), Column("ambiguous", Boolean, nullable=False, server_default=false()),
    Column("receipt", Text), Column("receipt_at", UtcTime), Column("receipt_code", Text), _word("route"),
)  # fmt: skip
"""One try on the wire. `key` is opaque, goes to the provider and comes back in callbacks. `route`: the one that
wrote it, "" where it had no name yet.
"""

route_states = Table(
    "route_states", metadata,
    Column("owner", Text, primary_key=True), Column("channel", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("place", Integer, nullable=False), _word("passage"), _word("carries"), Column("since", UtcTime),
    _word("code"), _word("reason"), Column("opened", Integer, nullable=False, server_default=text("0")),
    Column("sent", Integer, nullable=False, server_default=text("0")),
    Column("rate", Float, nullable=False, server_default=text("0")), Column("last_left_at", UtcTime),
    Column("seen_at", UtcTime, nullable=False),
)  # fmt: skip
"""How each sending daemon finds its routes, as it last noted: for the desk, whichever daemon serves it. `place`: in
the order of its channel, -1 for the staff's own. `carries`: whose messages it takes now. `opened`, `sent`: since the
daemon's start. `rate`: messages a second it can be reckoned with.
"""

waves = Table(
    "waves", metadata,
    Column("id", Number, primary_key=True), Column("outage_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("cursor", Number, nullable=False, server_default=text("0")), Column("total", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("done_at", UtcTime), Column("context", Json, nullable=False),
)  # fmt: skip
"""A revision too large for one transaction: chunks advance the cursor (an address number), each its own transaction."""
wave_addresses = Table(
    "wave_addresses", metadata, Column("wave_id", Number, primary_key=True),
    Column("address_id", Number, primary_key=True),
)  # fmt: skip

redeliveries = Table(
    "redeliveries", metadata,
    Column("delivery_id", Number, primary_key=True, autoincrement=False),
    Column("of_id", Number, nullable=False, index=True), _word("how"),
    Column("at", UtcTime, nullable=False), _word("actor"),
)  # fmt: skip
"""Deliveries that a person's decision made, and which one they repeat. how: retried, resent or confirmed."""
handled = Table(
    "handled", metadata,
    Column("delivery_id", Number, primary_key=True, autoincrement=False), Column("at", UtcTime, nullable=False),
    _word("actor"), Column("text_id", Number),
)  # fmt: skip
"""Deliveries that did not arrive and that a person has seen to by other means; `text_id`: how, in his words."""

timeline = Table(
    "timeline", metadata,
    Column("id", Number, primary_key=True), Column("at", UtcTime, nullable=False),
    Column("outage_id", Text, index=True), Column("revision", Integer),
    _word("actor_kind"), _word("actor"), _word("what"), _word("why"), Column("data", Json), Column("text_id", Number),
    _word("source"),
)  # fmt: skip
"""Append only: triggers refuse anything else, and `timeline_seals` shows what was changed all the same. `source`: the
address from which staff or a program did it, "" where it was done here.
"""
texts = Table("texts", metadata, Column("id", Number, primary_key=True), Column("text", Text, nullable=False))
"""Personal or free text that a timeline line points to, so that it can be erased without touching the timeline."""

# --- the house's own ---

staff = Table(
    "staff", metadata,
    Column("id", Number, primary_key=True), Column("name", Text, nullable=False, unique=True), _word("email"),
    _word("role"), _word("password_hash"),
    Column("created_at", UtcTime, nullable=False), Column("disabled_at", UtcTime),
)  # fmt: skip
sessions = Table(
    "sessions", metadata,
    Column("id_hash", Text, primary_key=True), Column("staff_id", Number, ForeignKey("staff.id"), nullable=False),
    _word("csrf"),
    Column("created_at", UtcTime, nullable=False), Column("seen_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime), _word("agent"), _word("source"), _word("means", "password"),
)  # fmt: skip
"""`source`: the client's address. `means`: password, second_factor, recovery_code, oidc or link."""

one_time_keys = Table(
    "one_time_keys", metadata,
    Column("hash", Text, primary_key=True), _word("purpose"),
    Column("staff_id", Number, ForeignKey("staff.id"), index=True), Column("data", Json),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("created_at", UtcTime, nullable=False), Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)  # fmt: skip
"""Secrets that are good once, kept as their hashes. `purpose`: setup, invitation, second_step (the password was right,
the code is awaited) or oidc (a sign-in under way at the provider; `data` holds its nonce and verifier).
"""
second_factors = Table(
    "second_factors", metadata,
    Column("staff_id", Number, ForeignKey("staff.id"), primary_key=True), _word("secret"),
    Column("created_at", UtcTime, nullable=False), Column("confirmed_at", UtcTime),
    Column("last_step", BigInteger, nullable=False, server_default=text("0")),
)  # fmt: skip
"""TOTP (RFC 6238). `secret` in base32; `confirmed_at` NULL until a first code has fitted; no step at or before
`last_step` is taken again.
"""
recovery_codes = Table(
    "recovery_codes", metadata,
    Column("staff_id", Number, ForeignKey("staff.id"), primary_key=True), Column("hash", Text, primary_key=True),
    Column("used_at", UtcTime),
)  # fmt: skip
identities = Table(
    "identities", metadata,
    Column("issuer", Text, primary_key=True), Column("subject", Text, primary_key=True),
    Column("staff_id", Number, ForeignKey("staff.id"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
)  # fmt: skip
"""Whom an OpenID provider vouches for: who signs in there, by its own name for him, is this one of our staff."""
timeline_seals = Table(
    "timeline_seals", metadata,
    Column("through_id", Number, primary_key=True, autoincrement=False), _word("hash"),
    Column("sealed_at", UtcTime, nullable=False),
)  # fmt: skip
"""A chain of hashes over the timeline: each over the one before and the lines since."""

tokens = Table(
    "tokens", metadata,
    Column("id", Number, primary_key=True), Column("name", Text, nullable=False, unique=True), _word("role"),
    Column("hash", Text, nullable=False, unique=True),
    _word("prefix"), Column("created_at", UtcTime, nullable=False), Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime), Column("used_at", UtcTime),
)  # fmt: skip
idempotency = Table(
    "idempotency", metadata,
    Column("actor", Text, primary_key=True), Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("outage_id", Text, nullable=False), Column("created_at", UtcTime, nullable=False),
)  # fmt: skip
events = Table(
    "events", metadata,
    Column("id", Number, primary_key=True), Column("monitor", Text, nullable=False),
    Column("dedup_key", Text, nullable=False), _word("action"),
    Column("received_at", UtcTime, nullable=False), Column("occurred_at", UtcTime), _word("summary"),
    Column("scope", Json, nullable=False),
    Column("raw", Text), _word("result"), Column("outage_id", Text), Index("ix_events_key", "monitor", "dedup_key"),
)  # fmt: skip
alarms = Table(
    "alarms", metadata,
    Column("monitor", Text, primary_key=True), Column("dedup_key", Text, primary_key=True), _word("state"),
    Column("since_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False), Column("due_at", UtcTime, index=True),
    Column("outage_id", Text, index=True),
    Column("scope", Json, nullable=False), _word("summary"),
)  # fmt: skip
"""What a monitor holds up: state `firing` or `cleared`; due_at is when hold_down or clear_after is over, NULL when
nothing is due.
"""

# --- the desk's ready-made words ---

phrases = Table(
    "phrases", metadata,
    Column("id", Number, primary_key=True), _word("name"), _word("text"), _word("cause_code"),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Column("changed_at", UtcTime, nullable=False), _word("changed_by"),
)  # fmt: skip
"""Short texts put into a message by hand; `cause_code` names the cause they are for, "" any."""
outage_templates = Table(
    "outage_templates", metadata,
    Column("id", Number, primary_key=True), _word("name"), _word("title"), _word("scope"), _word("effect", "outage"),
    _word("severity", "major"), _word("status", "investigating"), _word("eta"), _word("message"), _word("cause"),
    _word("cause_code"), _word("note"), _word("next_update_in"),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Column("changed_at", UtcTime, nullable=False), _word("changed_by"),
)  # fmt: skip
"""The declare form filled in beforehand. Its fields are kept as they are typed there: a scope one id a line, an ETA
`+90`, the next update in `45m`.
"""

# --- what is kept of what was erased ---

kept_suppressions = Table(
    "kept_suppressions", metadata,
    Column("hash", Text, primary_key=True), _word("channel"), _word("reason"),
    Column("suppressed_at", UtcTime, nullable=False), Column("kept_at", UtcTime, nullable=False),
)  # fmt: skip
"""Why nothing may go to an address that was erased. `hash`: HMAC-SHA256 of the channel and the address under a key that
only this database has, so that the address is known when somebody brings it in again, and not before.
"""
ended_contacts = Table(
    "ended_contacts", metadata,
    Column("contact_id", Text, primary_key=True), Column("seen_at", UtcTime, nullable=False),
)  # fmt: skip
"""Since when a contact, or its customer, was seen as ended: its data are kept for a while longer."""

# --- several daemons on one database ---

daemons = Table(
    "daemons", metadata,
    Column("owner", Text, primary_key=True), _word("role"), _word("seat"), _word("host"), _word("boot"),
    Column("pid", Integer, nullable=False), _word("version"),
    Column("started_at", UtcTime, nullable=False), Column("seen_at", UtcTime, nullable=False),
    Column("leads_at", UtcTime), Column("lost_at", UtcTime),
)  # fmt: skip
"""Who serves this database. `owner` is what stands in `deliveries.lease_owner`; `seat`: which of SQLite's file locks it
holds; `leads_at`: when it last ticked; `lost_at`: when another found it gone. An orderly end takes the row away.
"""
wrong_tries = Table(
    "wrong_tries", metadata,
    Column("key", Text, primary_key=True), Column("count", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False, index=True),
)  # fmt: skip
"""Wrong passwords and codes in a row, so that all daemons slow a guesser down. `key`: a hash of who from where.
"""
rates = Table(
    "rates", metadata, Column("route", Text, primary_key=True), Column("next_at", UtcTime, nullable=False),
)  # fmt: skip
"""From when on a route's moments for sending are free: claims take the next ones, so that its rate holds for all
daemons together. By the database's own clock.
"""
