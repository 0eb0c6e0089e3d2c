"""What every service does before its work: wait for the database, and check the settings against it."""

import logging
import time

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.migration import migrate
from smearcount.db.queries.counts import inbox_lines
from smearcount.inbox.mounts import Mounts

_log = logging.getLogger("smearcount")

#: Pause between two tries, and between two messages about it, in seconds.
_PAUSE, _SAY_AGAIN = 1.0, 60.0


def migrate_patiently(database: Database) -> None:
    """Bring the database to this version's schema, waiting for it as long as it does not answer.

    Raises:
        DatabaseError: it answers, but cannot be used; waiting would not help.
    """
    say_at = 0.0
    while True:
        try:
            migrate(database)
        except DatabaseUnavailable as error:
            if time.monotonic() >= say_at:
                _log.warning("%s; waiting for it", error)
                say_at = time.monotonic() + _SAY_AGAIN
            time.sleep(_PAUSE)
        else:
            return


def warn_of_mounts(database: Database, mounts: Mounts) -> None:
    """Warn if the setting does not fit the inboxes; an inbox that it names may be watched for the first time later."""
    # Names of inboxes may be paths: they are for doctor to say, not for a log.
    if mounts.misfit([line.name for line in inbox_lines(database)]):
        _log.warning("SMEARCOUNT_MOUNTS does not fit the inboxes that were ever watched; smearcount doctor says how")
