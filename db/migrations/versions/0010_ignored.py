"""How many files of an inbox are ignored.

Revision: 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; they are NULL until the next scan of the whole inbox."""
    op.add_column("inboxes", sa.Column("ignored", sa.BigInteger(), nullable=True))
    op.add_column("inboxes", sa.Column("ignored_kinds", sa.JSON(), nullable=True))
