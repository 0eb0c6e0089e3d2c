"""Starting before the database does: services of a machine come up in any order."""

import logging
import time

from db.database import Database
from db.errors import DatabaseUnavailable
from db.migration import migrate

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
