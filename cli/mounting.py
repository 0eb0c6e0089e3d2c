"""Saying at the start of a worker or web server that SMEARCOUNT_MOUNTS cannot be right: it may wait for days for images."""

import logging

from db.counts import inbox_lines
from db.database import Database
from db.mounts import Mounts

_log = logging.getLogger("smearcount")


def warn_of_mounts(database: Database, mounts: Mounts) -> None:
    """Warn if the setting does not fit the inboxes; an inbox that it names may be watched for the first time later."""
    # Names of inboxes may be paths: they are for doctor to say, not for a log.
    if mounts.misfit([line.name for line in inbox_lines(database)]):
        _log.warning("SMEARCOUNT_MOUNTS does not fit the inboxes that were ever watched; smearcount doctor says how")
