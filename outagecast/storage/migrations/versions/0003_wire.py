"""The wire: facts beside the outbox, several ways out, several daemons."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UtcTime = sa.BigInteger()
Json = sa.JSON(none_as_null=True)

__all__ = ["Json", "Number", "UtcTime", "op", "sa", "upgrade"]


def upgrade() -> None:
    _outbox()
    _routes()
    _daemons()


def _outbox() -> None:
    pass


def _routes() -> None:
    op.add_column("attempts", sa.Column("route", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "route_states",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("passage", sa.Text(), server_default="", nullable=False),
        sa.Column("carries", sa.Text(), server_default="", nullable=False),
        sa.Column("since", UtcTime),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("opened", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rate", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_left_at", UtcTime),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("owner", "channel", "name"),
    )


def _daemons() -> None:
    # The order of claims to its last column (storage/tables.py).
    op.drop_index("ix_deliveries_due", table_name="deliveries")
    planned = sa.text("state = 'planned'")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["channel", "rank", "due_at", "id"],
        sqlite_where=planned,
        postgresql_where=planned,
    )
    op.create_index(
        "ix_deliveries_expiry", "deliveries", ["expires_at"], sqlite_where=planned, postgresql_where=planned
    )
    op.create_table(
        "daemons",
        sa.Column("owner", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False, server_default="") for name in ("role", "seat", "host", "boot")),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False, server_default=""),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.Column("leads_at", UtcTime),
        sa.Column("lost_at", UtcTime),
    )
    op.create_table(
        "wrong_tries",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcTime, nullable=False),
    )
    op.create_index("ix_wrong_tries_last_at", "wrong_tries", ["last_at"])
    op.create_table(
        "rates",
        sa.Column("route", sa.Text(), primary_key=True),
        sa.Column("next_at", UtcTime, nullable=False),
    )
