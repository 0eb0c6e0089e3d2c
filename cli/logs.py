"""The logs of the long-running commands. They hold no names of files or slides, which may identify a patient.

On a terminal the lines are for people. Elsewhere each line is a JSON object, which log collectors parse by themselves.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from smearcount.cli.settings import LogForm
from smearcount.differential.times import utc_text

#: `prepare_log` sets a log aside that is larger than this, in bytes.
_LARGEST_LOG = 10_000_000

#: The attributes of a record that a line may hold beside the message: ids and numbers alone. Other attributes, such as
#: those that libraries add to their own records, are left out.
_FACTS = ("trace", "slide", "images", "classified", "refused", "postponed", "milliseconds")


class PlainLines(logging.Formatter):
    """Writes lines for people: time, level, logger, message, and `name=value` for each fact."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line; logging appends a traceback by itself."""
        facts = "".join(f" {name}={_shown(value)}" for name, value in _facts(record).items())
        return super().formatMessage(record) + facts


class JsonLines(logging.Formatter):
    """Writes a JSON object per line, in ASCII, which every collector can read whatever its encoding."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is one of its members."""
        line = {
            "time": utc_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(form: LogForm) -> None:
    """Send the log of this process to standard error, in the given form."""
    is_json = form is LogForm.JSON or (form is LogForm.AUTO and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if is_json else PlainLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)
    # An operator has no use for their routine messages, of which there is one per connection.
    for name in ("kombu", "watchdog", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def prepare_log(path: Path) -> Path:
    """Make the log's folder and return the log file; rename an existing file that has grown over 10 MB.

    The renamed file, `<name>.previous.log`, replaces the one of an earlier time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".previous.log"))
    return path


def _facts(record: logging.LogRecord) -> dict[str, object]:
    found = ((name, getattr(record, name, None)) for name in _FACTS)
    return {name: value for name, value in found if value is not None}


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
