"""What the long-running commands write about themselves; no file or slide names, which may identify a patient."""

import logging
import sys
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
#: A log larger than this is set aside when the program starts, in bytes.
_LARGEST_LOG = 10_000_000


def log_to_stderr() -> None:
    """Send this process's log to standard error."""
    logging.basicConfig(level=logging.INFO, format=_FORMAT, stream=sys.stderr)
    # Their routine messages, one per task or connection, say nothing to an operator.
    for name in ("celery.app.trace", "celery.worker.strategy", "kombu", "watchdog", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def prepare_log(path: Path) -> Path:
    """Return the log file to write to; an earlier one that has grown large is kept beside it under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".previous.log"))
    return path
