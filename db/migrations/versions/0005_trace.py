"""Add to each batch of work the id of its message, so that a row can be followed back through the logs.

Revision: 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; workers of the version before keep writing rows without it."""
    op.add_column("work", sa.Column("trace", sa.String(36), nullable=True))
