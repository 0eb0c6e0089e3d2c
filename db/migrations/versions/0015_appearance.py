"""Keep how each cell's image looks beside the model's training images: its colours and its sharpness.

Revision: 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("classifications", sa.Column("colour_distance", sa.Float(53), nullable=True))
    op.add_column("classifications", sa.Column("sharpness", sa.Float(53), nullable=True))
