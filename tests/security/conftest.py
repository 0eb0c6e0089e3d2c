"""What the attacks share: a laboratory's database and inbox, served by the real application."""

from pathlib import Path

import pytest

from smearcount.db.engine.database import Database

from support.serving import Lab, make_lab


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    """Return an empty inbox with a SQLite database."""
    return make_lab(sqlite_database, tmp_path / "inbox")
