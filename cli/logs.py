"""The logs of the long-running commands. They hold no names of files or slides, which may identify a patient.

On a terminal the lines are for people. Elsewhere each line is a JSON object, which log collectors parse by themselves.
"""

import json
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smearcount.cli.settings import LogForm
from smearcount.differential.times import utc_text
from smearcount.files.atomic import replace_file

#: `prepare_log` sets a log aside that is larger than this, in bytes.
_LARGEST_LOG = 10_000_000

_PREVIOUS = ".previous.log"

#: The same warning is written so often in so many seconds; so many different ones are remembered.
_MOST_REPETITIONS, _REPETITION_SECONDS, _MOST_MESSAGES = 30, 60.0, 1_000

_log = logging.getLogger("smearcount")

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
        return _visible(super().formatMessage(record) + facts)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        """Return a traceback, indented, so that none of its lines passes for a line of the log."""
        return "\n".join(f"    {_visible(line)}" for line in super().formatException(ei).splitlines())


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
        return json.dumps(line).replace("\x7f", r"\u007f")  # the one control character that JSON does not escape


def _visible(text: str) -> str:
    """Return a text with escapes in place of what ends a line, steers a terminal or hides or turns around what follows."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


class FewRepetitions(logging.Filter):
    """Drops a warning or an error that comes again and again; the next one that is let through says how many were dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any; `clock` returns seconds."""
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        #: By logger and message: when its minute began, and how many came in it.
        self._seen: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is written."""
        if record.levelno < logging.WARNING:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        with self._lock:
            seen = self._seen.setdefault(key, [now, 0])
            self._seen.move_to_end(key)
            while len(self._seen) > _MOST_MESSAGES:
                self._seen.popitem(last=False)
            dropped = int(seen[1]) - _MOST_REPETITIONS
            if now - seen[0] >= _REPETITION_SECONDS:
                seen[:] = [now, 0]
                if dropped > 0:
                    record.msg = f"{record.getMessage()} ({dropped} more in the meantime)".replace("%", "%%")
                    record.args = ()
            seen[1] += 1
            return seen[1] <= _MOST_REPETITIONS


def log_to_stderr(form: LogForm) -> None:
    """Send the log of this process to standard error, in the given form."""
    is_json = form is LogForm.JSON or (form is LogForm.AUTO and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if is_json else PlainLines())
    handler.addFilter(FewRepetitions())
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
        path.replace(path.with_suffix(_PREVIOUS))
    return path


def cut_logs(folder: Path) -> None:
    """Set aside those logs of running processes that have grown over 10 MB.

    The processes keep their files open and write on at the end, so the content is copied and the file emptied. A line that is
    written in between is lost. An error, such as a full disk, leaves a log as it is.
    """
    for path in folder.glob("*.log"):
        if path.name.endswith(_PREVIOUS):
            continue
        try:
            if path.stat().st_size > _LARGEST_LOG:
                content = path.read_bytes()
                # A log can have grown far beyond that in one round; the latest whole lines are kept.
                begin = content.find(b"\n", len(content) - _LARGEST_LOG) + 1 if len(content) > _LARGEST_LOG else 0
                replace_file(path.with_suffix(_PREVIOUS), content[begin:], private=True)
                os.truncate(path, 0)
        except OSError as error:
            _log.warning("a log cannot be set aside: %s", error.strerror)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    found = ((name, getattr(record, name, None)) for name in _FACTS)
    return {name: value for name, value in found if value is not None}


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
