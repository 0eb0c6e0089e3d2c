"""What the long-running commands write about themselves; no file or slide names, which may identify a patient.

On a terminal, lines for people; anywhere else one JSON object per line, which log collectors take apart by themselves.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from smearcount.cli.settings import LogForm
from smearcount.differential.times import utc_text

#: A log larger than this is set aside when the program starts, in bytes.
_LARGEST_LOG = 10_000_000

#: What a line may carry beside its message. Nothing else is written, whatever a library adds to its own lines: all of
#: these are ids and numbers.
_FACTS = ("trace", "slide", "images", "classified", "refused", "postponed", "milliseconds")


class PlainLines(logging.Formatter):
    """A line for people: time, level, who says it, the message, and `name=value` for each fact."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line without a traceback."""
        facts = "".join(f" {name}={_shown(value)}" for name, value in _facts(record).items())
        return super().formatMessage(record) + facts


class JsonLines(logging.Formatter):
    """A JSON object per line, ASCII alone: it survives every collector, whatever its encoding."""

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
    """Send this process's log to standard error."""
    is_json = form is LogForm.JSON or (form is LogForm.AUTO and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if is_json else PlainLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)
    # Their routine messages, one per connection, say nothing to an operator.
    for name in ("kombu", "watchdog", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def prepare_log(path: Path) -> Path:
    """Return the log file to write to; an earlier one that has grown large is kept beside it under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".previous.log"))
    return path


def _facts(record: logging.LogRecord) -> dict[str, object]:
    found = ((name, getattr(record, name, None)) for name in _FACTS)
    return {name: value for name, value in found if value is not None}


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
