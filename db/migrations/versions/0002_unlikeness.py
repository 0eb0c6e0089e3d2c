"""Add to each classification how unlike the images that the model knows its image is.

Revision: 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it stays NULL in earlier results."""
    op.add_column("classifications", sa.Column("unlikeness", sa.Float(53), nullable=True))
