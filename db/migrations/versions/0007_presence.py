"""Files that vanished, moved, or stand in another slide, and slides that a person withdrew.

Revision: 0007.
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_REVIEWS = import_module("smearcount.db.migrations.versions.0003_reviews")

# What was counted before this migration is compared as well: a later slide with the bytes of an earlier one.
SAME_CELLS = """
UPDATE images SET same_cells_in = (
    SELECT MAX(other.slide_id) FROM images AS other
    WHERE other.sha256 = images.sha256 AND other.state = 'done' AND other.slide_id < images.slide_id
)
WHERE state = 'done' AND sha256 IN (
    SELECT sha256 FROM images WHERE state = 'done' AND sha256 IS NOT NULL GROUP BY sha256 HAVING COUNT(*) > 1
)
"""

# A signature is ended by a later sign-off or reopening, and by no other event.
_ANY_EVENT, _ENDS = "later.kind <> 'comment'", "later.kind IN ('sign-off', 'reopen')"
SIGNATURES = _REVIEWS.SIGNATURES.replace(_ANY_EVENT, _ENDS)
SLIDE_SUMMARY = _REVIEWS.SLIDE_SUMMARY.replace(_ANY_EVENT, _ENDS)
# Neither withdrawn slides nor the former names of renamed ones are counted.
SLIDE_CELLS = _REVIEWS.SLIDE_CELLS.replace(
    "\nGROUP BY", "\nWHERE slides.withdrawn_at IS NULL AND slides.renamed_to IS NULL\nGROUP BY"
)


def upgrade() -> None:
    """Add the columns and indexes, and make the views anew."""
    op.add_column("images", sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("images", sa.Column("same_cells_in", KEY, nullable=True))
    op.add_column("slides", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("slides", sa.Column("renamed_to", KEY, nullable=True))
    _make_index("ix_images_missing", ["slide_id", "state"], "missing_since IS NOT NULL")
    _make_index("ix_images_shared", ["slide_id"], "same_cells_in IS NOT NULL")
    _make_index("ix_images_same_cells_in", ["same_cells_in"], "same_cells_in IS NOT NULL")
    op.drop_index("uq_images_counted", "images")
    _make_index("uq_images_counted", ["sha256", "slide_id"], "state = 'done'", unique=True)
    op.execute(SAME_CELLS)
    _replace_view("signatures", SIGNATURES)
    _replace_view("slide_cells", SLIDE_CELLS)
    _replace_view("slide_summary", SLIDE_SUMMARY)


def _make_index(name: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, "images", columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _replace_view(name: str, query: str) -> None:
    """Change a view; on PostgreSQL, views that a site built on it and grants on it stay."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
    else:
        op.execute(f"DROP VIEW {name}")
        op.execute(f"CREATE VIEW {name} AS {query}")
