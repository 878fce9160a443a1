"""The tables of the follower and the outbox, as they were before migrations."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HASH = sa.LargeBinary(32)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "schema_version",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    _make_follower_tables()
    _make_outbox_tables()


def _make_follower_tables() -> None:
    op.create_table(
        "cursor",
        sa.Column("chain_id", sa.BigInteger(), primary_key=True),
        sa.Column("scope", _HASH, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", _HASH, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "blocks",
        sa.Column("chain_id", sa.BigInteger(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("hash", _HASH, nullable=False),
        sa.Column("parent_hash", _HASH, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("has_logs", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "logs",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", _HASH, nullable=False),
        sa.Column("tx_hash", _HASH, nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(42), nullable=False),
        sa.Column("topics", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("chain_id", "block_hash", "tx_hash", "log_index"),
    )
    op.create_index("ix_logs_position", "logs", ["chain_id", "block", "log_index"])


def _make_outbox_tables() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.String(42), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("to", sa.String(42), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.String(78), nullable=False),
        sa.Column("transient", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("mined_block", sa.BigInteger(), nullable=True),
        sa.Column("mined_tx", _HASH, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.UniqueConstraint("chain_id", "sender", "key"),
    )
    op.create_index("ix_outbox_state", "outbox", ["chain_id", "sender", "state"])
    op.create_table(
        "outbox_attempts",
        sa.Column("tx_hash", _HASH, primary_key=True),
        sa.Column("effect_id", _KEY, sa.ForeignKey("outbox.id"), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("gas", sa.BigInteger(), nullable=False),
        sa.Column("max_fee", sa.String(78), nullable=False),
        sa.Column("priority_fee", sa.String(78), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_attempts_effect", "outbox_attempts", ["effect_id"])
