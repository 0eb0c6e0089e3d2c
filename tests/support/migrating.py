"""The work of the processes that tests of migrations spawn; they import it by name."""

from multiprocessing.synchronize import Barrier

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry
from smearcount.db.migration import migrate

from support.waiting import PATIENCE


def migrate_together(urls: list[str], gate: Barrier) -> None:
    """Migrate one database after the other; all processes begin each of them at the same moment."""
    for url in urls:
        with Database(url) as database:
            gate.wait(PATIENCE)
            migrate(database)
            inbox_registry.register_inbox(database, "/inbox", "/inbox")
