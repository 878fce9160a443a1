"""Leases, which say which of several keepers on one database reads and sends."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

MIGRATED = 2
"""A version that programs from before migrations refuse: they would know of no lease."""


def upgrade() -> None:
    """Make the table, and keep off programs that would not look at it."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    versions = sa.table("schema_version", sa.column("id"), sa.column("version"))
    op.execute(versions.delete())
    op.execute(versions.insert().values(id=1, version=MIGRATED))
