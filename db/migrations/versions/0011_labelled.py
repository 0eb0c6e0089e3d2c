"""Find out soon whether a slide's images have labels of the analyzer.

Revision: 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    where = sa.text("analyzer_label IS NOT NULL")
    op.create_index("ix_images_labelled", "images", ["slide_id"], sqlite_where=where, postgresql_where=where)
