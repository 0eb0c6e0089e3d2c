"""The first steps of a command: read the settings, wait for the database, and check the settings against it."""

import logging
import time
from typing import Any

from smearcount.cli.local.privacy import close_data_folder, refuse_writable_file
from smearcount.cli.site import Site
from smearcount.cli.views.console import print_message
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.migration import migrate
from smearcount.db.queries.inboxes import inbox_lines
from smearcount.inbox.mounts import Mounts

_log = logging.getLogger("smearcount")

#: Pause between two attempts to reach the database, in seconds.
_PAUSE = 1.0
#: Pause between two log lines about a database that does not answer, in seconds.
_PAUSE_BETWEEN_WARNINGS = 60.0


def open_site(**options: Any) -> Site:
    """Read the settings, and print a line on standard error for each that is deprecated or that does not exist.

    Args:
        options: The command line's options by the names of their settings; None where one was not given.

    Raises:
        CommandError: A setting has a value that it cannot have, or others may write the data folder, the users file or a
            secret; the message says which and why.
    """
    site = Site(**options)
    for line in close_data_folder(site.data):
        print_message(line)
    refuse_writable_file(site.web.users_file(site.data), "the users file")
    for secret in site.secret_files():
        refuse_writable_file(secret, "the secret")
    for warning in site.warnings():
        print_message(f"warning: {warning}")
    return site


def migrate_when_ready(database: Database) -> None:
    """Bring the database to this version's schema; wait while it does not answer, for as long as that takes.

    Raises:
        DatabaseError: The database answers, but cannot be used; waiting would not help.
    """
    warn_at = 0.0
    while True:
        try:
            migrate(database)
        except DatabaseUnavailable as error:
            if time.monotonic() >= warn_at:
                _log.warning("%s; waiting for it", error)
                warn_at = time.monotonic() + _PAUSE_BETWEEN_WARNINGS
            time.sleep(_PAUSE)
        else:
            return


def warn_of_mounts(database: Database, mounts: Mounts) -> None:
    """Log a warning if SMEARCOUNT_MOUNTS does not fit the inboxes.

    It is no error, since the setting may name an inbox that will be watched for the first time later.
    """
    # The name of an inbox may be a path, which no log may hold; `doctor` prints it.
    if mounts.misfit([line.name for line in inbox_lines(database)]):
        _log.warning("SMEARCOUNT_MOUNTS does not fit the inboxes that were ever watched; smearcount doctor says how")
