"""What a person agreed with when signing, kept with the sign-off.

Revision: 0008.
"""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
