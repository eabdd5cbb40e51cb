"""The desk: staff's second factors and way in, phrases and shift notes, searching the inventory, each delivery's own
facts out of the outbox's row.
"""

import sqlalchemy as sa
from alembic import op

from outagecast.storage.search_index import rebuild

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UtcTime = sa.BigInteger()
Json = sa.JSON(none_as_null=True)


def upgrade() -> None:
    _staff()
    _outages()
    _search()
    _phrases()
    _outbox()
    _keeping()


def _keeping() -> None:
    op.create_table(
        "kept_suppressions",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("suppressed_at", UtcTime, nullable=False),
        sa.Column("kept_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_kept_suppressions")),
    )
    op.create_table(
        "ended_contacts",
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("contact_id", name=op.f("pk_ended_contacts")),
    )


def _staff() -> None:
    for name, usual in (("source", ""), ("means", "password")):
        op.add_column("sessions", sa.Column(name, sa.Text(), server_default=usual, nullable=False))
    op.add_column("timeline", sa.Column("source", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "one_time_keys",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", Number, nullable=True),
        sa.Column("data", Json, nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.Column("used_at", UtcTime, nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_one_time_keys_staff_id_staff")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_one_time_keys")),
    )
    op.create_index(op.f("ix_one_time_keys_staff_id"), "one_time_keys", ["staff_id"], unique=False)
    op.create_table(
        "second_factors",
        sa.Column("staff_id", Number, nullable=False),
        sa.Column("secret", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("confirmed_at", UtcTime, nullable=True),
        sa.Column("last_step", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_second_factors_staff_id_staff")),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("staff_id", Number, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("used_at", UtcTime, nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_recovery_codes_staff_id_staff")),
        sa.PrimaryKeyConstraint("staff_id", "hash", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("staff_id", Number, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_identities_staff_id_staff")),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index(op.f("ix_identities_staff_id"), "identities", ["staff_id"], unique=False)
    op.create_table(
        "timeline_seals",
        sa.Column("through_id", Number, autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("through_id", name=op.f("pk_timeline_seals")),
    )
    _only_append()


def _only_append() -> None:
    """Whoever has the database's file can drop these; whoever has a hole in our queries cannot."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION timeline_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the timeline is only ever added to'; END $$"
        )
    for what in ("UPDATE", "DELETE"):
        then = {
            "postgresql": "FOR EACH ROW EXECUTE FUNCTION timeline_is_only_added_to()",
            "sqlite": "BEGIN SELECT RAISE(ABORT, 'the timeline is only ever added to'); END",
        }[op.get_bind().dialect.name]
        op.execute(f"CREATE TRIGGER timeline_no_{what.lower()} BEFORE {what} ON timeline {then}")


def _outages() -> None:
    op.create_table(
        "redeliveries",
        sa.Column("delivery_id", Number, autoincrement=False, nullable=False),
        sa.Column("of_id", Number, nullable=False),
        sa.Column("how", sa.Text(), server_default="", nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_redeliveries")),
    )
    op.create_index(op.f("ix_redeliveries_of_id"), "redeliveries", ["of_id"], unique=False)
    op.create_table(
        "handled",
        sa.Column("delivery_id", Number, autoincrement=False, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("text_id", Number, nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_handled")),
    )


def _search() -> None:
    op.create_table(
        "search_words",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("word", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "word", "id", name=op.f("pk_search_words")),
        sqlite_with_rowid=False,
    )
    rebuild(op.get_bind())


def _phrases() -> None:
    def word(name: str, default: str = "") -> "sa.Column[str]":
        return sa.Column(name, sa.Text(), nullable=False, server_default=default)

    op.create_table(
        "phrases",
        sa.Column("id", Number, nullable=False),
        *(word(name) for name in ("name", "text", "cause_code")),
        sa.Column("position", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("changed_at", UtcTime, nullable=False),
        word("changed_by"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phrases")),
    )
    op.create_table(
        "outage_templates",
        sa.Column("id", Number, nullable=False),
        *(word(name) for name in ("name", "title", "scope")),
        word("effect", "outage"),
        word("severity", "major"),
        word("status", "investigating"),
        *(word(name) for name in ("eta", "message", "cause", "cause_code", "note", "next_update_in")),
        sa.Column("position", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("changed_at", UtcTime, nullable=False),
        word("changed_by"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outage_templates")),
    )


def _outbox() -> None:
    pass
