"""Files that vanished, moved, or stand in another slide, and slides that a person withdrew.

Revision: 0007.
"""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
