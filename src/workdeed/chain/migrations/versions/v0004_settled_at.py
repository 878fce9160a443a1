"""When an effect settled, so that its row can be deleted after a while."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add the column; what settled before stays for good."""
    op.add_column("outbox", sa.Column("settled_at", sa.BigInteger(), nullable=True))
