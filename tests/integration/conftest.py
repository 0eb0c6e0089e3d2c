"""What the tests of queue and worker share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.engine.database import Database

from support.working import QueuedInbox


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """Yield an embedded broker, not started, that a test may kill and spoil."""
    broker = EmbeddedBroker(tmp_path / "broker", tmp_path / "broker.log")
    yield broker
    broker.stop()


@pytest.fixture
def inbox(tmp_path: Path, sqlite_database: Database, broker_url: str) -> Iterator[QueuedInbox]:
    """Yield an empty inbox with a SQLite database and a real broker."""
    (tmp_path / "inbox").mkdir()
    with QueuedInbox(sqlite_database, tmp_path / "inbox", broker_url) as made:
        yield made


@pytest.fixture
def any_inbox(tmp_path: Path, database: Database, broker_url: str) -> Iterator[QueuedInbox]:
    """Yield an empty inbox with a real broker and a database: once SQLite, once PostgreSQL."""
    (tmp_path / "inbox").mkdir()
    with QueuedInbox(database, tmp_path / "inbox", broker_url) as made:
        yield made
