"""Signing journals, for members that several keepers stand ready to act for."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_HASH = sa.LargeBinary(32)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "signing_journals",
        sa.Column("domain", _HASH, primary_key=True),
        sa.Column("member", sa.String(42), primary_key=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "signed_roots",
        sa.Column("domain", _HASH, primary_key=True),
        sa.Column("member", sa.String(42), primary_key=True),
        sa.Column("window", sa.BigInteger(), primary_key=True),
        sa.Column("turn", sa.BigInteger(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), primary_key=True),
        sa.Column("root", _HASH, nullable=False),
        sa.Column("data_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
    )
