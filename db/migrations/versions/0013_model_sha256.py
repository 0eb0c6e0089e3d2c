"""A model is named by the SHA-256 of its card, which covers the weights; that of the weights is kept beside it.

Where the card is not known, which is so in rows of every release until now, `sha256` stays that of the weights.

Revision: 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; name the models whose card is known by it."""
    op.add_column("models", sa.Column("weights_sha256", sa.String(64), nullable=True))
    op.execute("UPDATE models SET weights_sha256 = sha256, sha256 = card_sha256 WHERE card_sha256 IS NOT NULL")
