"""What an operator relies on: logs without names, one trace from file to row, and a status that says what is wrong."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal
from smearcount.db.migration import migrate
from smearcount.db.records import SeenFile
from smearcount.db.schema import Image, Inbox, Work

from support.exports import cell_bytes, drop, exports
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

CELLS = 30
#: Times so far in the future do not grow old while a test runs.
AHEAD = timedelta(hours=1)


@contextmanager
def opened(smearcount: Smearcount) -> Iterator[Database]:
    """Yield the command's database, made if there is none; for its user alone, as the command makes it."""
    with Database(f"sqlite:///{smearcount.data / 'smearcount.db'}") as database:
        mask = os.umask(0o077)
        migrate(database)
        os.umask(mask)
        yield database


@contextmanager
def logging_to(log: Path, smearcount: Smearcount, *arguments: object) -> Iterator[None]:
    """Run a command while the context lasts; what it writes to standard error is in `log` afterwards."""
    command = [sys.executable, "-m", "smearcount.cli.main", *map(str, arguments)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=smearcount.all_environment(), stdout=subprocess.DEVNULL, stderr=file)
        try:
            yield
            process.terminate()
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def test_a_trace_leads_from_the_watcher_to_the_row_and_nothing_names_a_patient(
    smearcount: Smearcount, inbox: Path, broker_url: str
) -> None:
    smearcount.environment["SMEARCOUNT_BROKER_URL"] = broker_url
    files = {f"Doe, Jane {name}": content for name, content in exports(slides=2, cells=CELLS).items()}
    drop(inbox, files | {"Doe, Jane S00/Doe.jpg": b"no image"})
    logs = inbox.parent / "worker.log", inbox.parent / "watcher.log"
    with (
        logging_to(logs[0], smearcount, "worker", "--workers", 1),
        logging_to(logs[1], smearcount, "watch", inbox),
    ):
        wait_until(lambda: smearcount.is_counted(2 * CELLS + 1), what="all images")
    said = "".join(log.read_text() for log in logs)
    assert "Doe" not in said
    assert str(inbox) not in said

    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    assert any(line["logger"].startswith("celery") for line in lines), "Celery's lines are of the same form"
    sent = [line for line in lines if line["message"].endswith("images sent")]
    stored = {line["trace"]: line for line in lines if line["message"] == "batch stored"}
    begun = [line["trace"] for line in lines if line["message"].endswith("images begun")]
    assert sorted(begun) == sorted(stored) == sorted(line["trace"] for line in sent)
    assert {line["slide"] for line in sent} == {1, 2}
    for line in sent:
        done = stored[line["trace"]]
        assert done["slide"] == line["slide"]
        assert done["classified"] + done["refused"] == len(line["images"])
        assert (done["postponed"], done["milliseconds"] > 0) == (0, True)
    assert sum(line["refused"] for line in stored.values()) == 1

    with opened(smearcount) as database, database.reading() as connection:
        of_image = dict(connection.execute(select(Image.id, Work.trace).join(Work, Work.at == Image.finished_at)).all())
    assert of_image == {image_id: line["trace"] for line in sent for image_id in line["images"]}


def assert_logs(smearcount: Smearcount, *, json: bool) -> None:
    """Check that each line in the logs of what `up` started has the form wanted, and that they say what was traced."""
    for part in ("watcher", "worker"):
        text = (smearcount.data / "logs" / f"{part}.log").read_text()
        # Celery announces its end on standard output, which is not part of the log.
        lines = text.replace("\nworker: Warm shutdown (MainProcess)\n", "").splitlines()
        assert lines
        assert all(line.startswith("{") is json for line in lines), lines
        assert sum(" trace=" in line or '"trace"' in line for line in lines) >= 1


def test_what_up_starts_writes_json_if_told_so(smearcount: Smearcount, inbox: Path) -> None:
    smearcount.environment["SMEARCOUNT_LOG"] = "json"
    drop(inbox, exports(slides=1, cells=3))
    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 0, done.stderr
    assert_logs(smearcount, json=True)


def test_a_form_that_does_not_exist_is_refused(smearcount: Smearcount) -> None:
    smearcount.environment["SMEARCOUNT_LOG"] = "xml"
    done = smearcount.call("worker")
    assert done.returncode == 1
    assert done.stderr.startswith("error: SMEARCOUNT_LOG cannot be 'xml'")


def test_up_warns_of_settings_once_and_what_it_starts_writes_for_people_and_does_not_repeat_it(
    smearcount: Smearcount, inbox: Path
) -> None:
    smearcount.environment |= {"SMEARCOUNT_WARNED": "", "SMEARCOUNT_WORKER": "1", "SMEARCOUNT_WEB_LISTENERS": "7"}
    drop(inbox, exports(slides=1, cells=3))
    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(set(warnings))
    assert "warning: SMEARCOUNT_WORKER is no setting; did you mean SMEARCOUNT_WORKERS?" in warnings
    assert {line.split()[1] for line in warnings if " is deprecated" in line} == {
        "SMEARCOUNT_WEB_LISTENERS",
        # Among the times that all these tests shorten.
        "SMEARCOUNT_EMPTY_SECONDS",
        "SMEARCOUNT_REDELIVERY_SECONDS",
        "SMEARCOUNT_RESCAN_SECONDS",
    }
    logs = list((smearcount.data / "logs").glob("*.log"))
    assert len(logs) >= 3
    for log in logs:
        assert "warning: " not in log.read_text()
    assert_logs(smearcount, json=False)


def journal_some(database: Database, inbox: Path, *, watched: timedelta, came: timedelta) -> None:
    """Journal a pending image; `watched` and `came` are the ages of the watcher's last sign of life and of the image."""
    now = datetime.now(UTC)
    inbox_id = inbox_registry.register_inbox(database, str(inbox), str(inbox))
    with database.writing() as connection:
        connection.execute(update(Inbox).values(watched_at=now - watched))
    drop(inbox, {"S1/1.jpg": cell_bytes(1)})
    journal.record(database, inbox_id, [SeenFile("S1", "1.jpg", 1, 1, "S1")])
    with database.writing() as connection:
        connection.execute(update(Image).values(seen_at=now - came))


def test_status_says_in_words_what_monitoring_would_alert_to(smearcount: Smearcount, inbox: Path) -> None:
    with opened(smearcount) as database:
        journal_some(database, inbox, watched=timedelta(hours=2), came=timedelta(hours=3))
    done = smearcount.call("status")
    assert done.returncode == 0, "the exit code does not tell of it"
    first, second = done.stderr.splitlines()
    assert first.startswith(f"attention: nobody watches the inbox {inbox} since ")
    assert first.endswith("(SmearcountWatcherDown in docs/runbook.md)")
    assert second.endswith("more than 15 min (SmearcountOldestPending in docs/runbook.md)")
    assert "attention" not in done.stdout

    smearcount.environment["SMEARCOUNT_ALERT_PENDING_MINUTES"] = "0"
    smearcount.environment["SMEARCOUNT_BROKER_URL"] = "redis://127.0.0.1:1/0"
    said = smearcount.call("status", "--format", "json").stderr
    assert "SmearcountOldestPending" not in said
    assert "the broker does not answer" in said
    assert "SmearcountBrokerDown" in said


def test_watching_prints_a_block_for_each_change_and_ends_by_ctrl_c(
    smearcount: Smearcount, inbox: Path, broker_url: str
) -> None:
    smearcount.environment["SMEARCOUNT_BROKER_URL"] = broker_url
    with opened(smearcount) as database:
        journal_some(database, inbox, watched=-AHEAD, came=-AHEAD)
        watching = smearcount.start("status", "--watch", "--format", "csv")
        assert watching.stdout is not None
        values = (line.split(",") for line in watching.stdout)
        columns, first = next(values), next(values)
        pending = columns.index("pending")
        assert first[pending] == "1"
        with database.writing() as connection:
            connection.execute(update(Image).values(state="quarantined"))
        assert next(values) == columns
        changed = next(values)
        assert (changed[pending], changed[columns.index("quarantined")]) == ("0", "1")
        watching.send_signal(signal.SIGINT)
        said, _ = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 130
    assert said.strip() == "interrupted", "nothing is printed while nothing changes"


def test_on_a_terminal_what_is_shown_follows_what_is_there(smearcount: Smearcount, inbox: Path) -> None:
    with opened(smearcount) as database:
        journal_some(database, inbox, watched=-AHEAD, came=-AHEAD)
        ours, theirs = pty.openpty()
        watching = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", "status", "--watch"],
            env={**smearcount.all_environment(), "TERM": "xterm", "COLUMNS": "100", "LINES": "60"},
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            _read_until(ours, r"pending +1\b")
            with database.writing() as connection:
                connection.execute(update(Image).values(state="quarantined"))
            _read_until(ours, r"quarantined +1\b")
            watching.send_signal(signal.SIGINT)
            said = _read_until(ours, "interrupted")
            assert watching.wait(PATIENCE) == 130
            assert "Traceback" not in said
        finally:
            watching.kill()
            watching.wait()
            os.close(ours)


def _read_until(terminal: int, pattern: str) -> str:
    said = ""
    while not re.search(pattern, said):
        said += os.read(terminal, 65536).decode(errors="replace")
    return said
