"""What a process of its own does in tests of migrations; a spawned process can import it by name."""

from multiprocessing.synchronize import Barrier

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry
from smearcount.db.migration import migrate

from support.waiting import PATIENCE


def migrate_together(urls: list[str], gate: Barrier) -> None:
    """Migrate one database after the other, each at the same moment as the other processes."""
    for url in urls:
        with Database(url) as database:
            gate.wait(PATIENCE)
            migrate(database)
            inbox_registry.register_inbox(database, "/inbox", "/inbox")
