"""What a person agreed with when signing, kept with the sign-off.

Revision: 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; signatures and models of earlier versions have NULL in them."""
    op.add_column("models", sa.Column("card_sha256", sa.String(64), nullable=True))
    op.add_column("slide_events", sa.Column("digest", sa.String(64), nullable=True))
    op.add_column("slide_events", sa.Column("snapshot", sa.JSON(), nullable=True))
    op.add_column("slide_events", sa.Column("acknowledged", sa.JSON(), nullable=True))
    op.add_column("slide_events", sa.Column("last_image_id", KEY, nullable=True))
