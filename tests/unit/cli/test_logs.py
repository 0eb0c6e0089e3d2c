"""Log lines: for people on a terminal, for collectors elsewhere, and never a name."""

import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from smearcount.cli.logs import JsonLines, PlainLines, log_to_stderr
from smearcount.cli.settings import LogForm


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    """A record as the logging library hands it to a formatter."""
    made = logging.LogRecord("smearcount.worker", logging.INFO, __file__, 1, message, arguments, None)
    made.created = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC).timestamp()
    vars(made).update(extra)
    return made


def test_a_json_line_is_one_object_with_time_level_logger_message_and_facts() -> None:
    line = JsonLines().format(record("batch of %d\nimages", 2, trace="1f", slide=17, images=(4, 5), milliseconds=80))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-23T12:00:00.250000Z",
        "level": "INFO",
        "logger": "smearcount.worker",
        "message": "batch of 2\nimages",
        "trace": "1f",
        "slide": 17,
        "images": [4, 5],
        "milliseconds": 80,
    }


def test_a_traceback_is_a_member_of_its_line() -> None:
    try:
        int("trouble")
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = JsonLines().format(failed)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("base 10: 'trouble'")


@pytest.mark.parametrize("form", [JsonLines(), PlainLines()])
def test_what_libraries_add_to_their_lines_stays_out(form: logging.Formatter) -> None:
    assert "Doe" not in form.format(record("received", data={"args": "Doe, Jane"}, path="/inbox/Doe"))


def test_a_plain_line_reads_as_before_with_its_facts_behind() -> None:
    line = PlainLines().format(record("batch sent", trace="1f", slide=17, images=[4, 5], refused=0, classified=None))
    assert line.endswith(" INFO smearcount.worker batch sent trace=1f slide=17 images=4,5 refused=0")


@pytest.mark.parametrize(
    ("form", "is_terminal", "made"),
    [
        (LogForm.AUTO, True, PlainLines),
        (LogForm.AUTO, False, JsonLines),
        (LogForm.PLAIN, False, PlainLines),
        (LogForm.JSON, True, JsonLines),
    ],
)
def test_the_form_is_what_was_asked_for_or_fits_the_reader(
    monkeypatch: pytest.MonkeyPatch,
    form: LogForm,
    is_terminal: bool,
    made: type[logging.Formatter],
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    try:
        log_to_stderr(form)
    finally:
        logging.captureWarnings(capture=False)  # which would last longer than the test
    assert [type(handler.formatter) for handler in root.handlers] == [made]
