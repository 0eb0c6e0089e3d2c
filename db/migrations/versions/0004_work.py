"""Add a table of what the workers' time went into, batch by batch.

Revision: 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "work",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("reading_seconds", sa.Float(53), nullable=False),
        sa.Column("decoding_seconds", sa.Float(53), nullable=False),
        sa.Column("network_seconds", sa.Float(53), nullable=False),
    )
