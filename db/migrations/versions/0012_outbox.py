"""What others should hear of, who they are, and the messages to them.

What happened before comes first in the outbox, by its times, so that programs that read from the beginning miss nothing.

Revision: 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
WAITING = sa.text("state = 'waiting'")
UNSETTLED = sa.text("state IN ('waiting', 'parked')")

# A completion comes before what a person did at the same moment; of people's, the ids tell the order.
FILL = """
INSERT INTO outbox (slide_id, kind, event_id, at)
SELECT slide_id, kind, event_id, at FROM (
    SELECT id AS slide_id, 'completed' AS kind, NULL AS event_id, completed_at AS at, 0 AS place
    FROM slides WHERE completed_at IS NOT NULL
    UNION ALL
    SELECT slide_id, kind, id, at, id FROM slide_events
) AS happened
ORDER BY at, place
"""


def upgrade() -> None:
    """Add the tables, and note what happened so far."""
    op.create_table(
        "outbox",
        sa.Column("id", KEY, nullable=False),
        sa.Column("slide_id", KEY, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("event_id", KEY, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["slide_id"], ["slides.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_slide", "outbox", ["slide_id", "id"])
    op.create_index("ix_outbox_at", "outbox", ["at"])
    op.create_table(
        "destinations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("last_outbox_id", sa.BigInteger(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.Column("served_at", MOMENT, nullable=True),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("destination_id", sa.Integer(), nullable=False),
        sa.Column("outbox_id", KEY, nullable=False),
        sa.Column("slide_id", KEY, nullable=False),
        sa.Column("disposition", sa.String(16), nullable=False),
        sa.Column("control_id", sa.String(20), nullable=False),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("tried_at", MOMENT, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decision", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["destination_id"], ["destinations.id"]),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"]),
        sa.ForeignKeyConstraint(["slide_id"], ["slides.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("destination_id", "outbox_id"),
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["destination_id", "attempts", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "ix_deliveries_unsettled",
        "deliveries",
        ["destination_id", "slide_id", "id"],
        sqlite_where=UNSETTLED,
        postgresql_where=UNSETTLED,
    )
    op.create_index("ix_deliveries_slide", "deliveries", ["slide_id", "id"])
    op.execute(FILL)
