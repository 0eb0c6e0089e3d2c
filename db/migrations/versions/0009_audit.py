"""The record of what people did: only added to, and chained by hashes.

What earlier versions stored gets no hashes of its own, since its rows are never changed; the chain begins with one hash over
all of it.

Revision: 0009.
"""

import sqlalchemy as sa
from alembic import op

from smearcount.db.audit.chain import begin_chain
from smearcount.db.audit.guards import make_guards

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the head of the chain, and the triggers that refuse changes."""
    for table in ("reviews", "slide_events"):
        op.add_column(table, sa.Column("chain_position", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("chain_hash", sa.String(64), nullable=True))
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("beginning", sa.String(64), nullable=False),
        sa.Column("last_review_id", sa.BigInteger(), nullable=False),
        sa.Column("last_event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    begin_chain(op.get_bind())
    make_guards(op.get_bind())
