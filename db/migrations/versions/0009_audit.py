"""The record of what people did: only added to, and chained by hashes.

Revision: 0009.
"""

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the guards."""
