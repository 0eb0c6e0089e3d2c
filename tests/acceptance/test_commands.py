"""The commands as a person meets them: help, one-line errors, exit codes, Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from smearcount.cli.local.broker import EmbeddedBroker

from support.exports import cell_bytes, drop, exports
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

COMMANDS = (
    "up",
    "watch",
    "worker",
    "slides",
    "counts",
    "images",
    "retry",
    "status",
    "doctor",
    "config",
    "simulate",
    "model",
    "web",
    "web-user",
    "audit",
    "migrate",
    "backup",
    "restore",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(smearcount: Smearcount, command: str) -> None:
    done = smearcount.call(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "says"),
    [
        (["slides"], {}, 1, "smearcount up INBOX"),
        (["counts", "S1"], {}, 1, "smearcount up INBOX"),
        (["up", "/no/such/folder", "--once"], {}, 1, "does not exist"),
        (["up", "/dev/null"], {}, 1, "/dev/null"),
        (["up"], {}, 2, "INBOX"),
        (["frobnicate"], {}, 2, "frobnicate"),
        (["up", ".", "--once"], {"SMEARCOUNT_PATTERN": "(?P<slide>"}, 1, "SMEARCOUNT_PATTERN"),
        (["up", ".", "--once"], {"SMEARCOUNT_PATTERN": ".*"}, 1, "no group named slide"),
        (["up", ".", "--once"], {"SMEARCOUNT_SETTLE_SECONDS": "soon"}, 1, "SMEARCOUNT_SETTLE_SECONDS"),
        (["up", ".", "--once"], {"SMEARCOUNT_DATA": "/proc/smearcount"}, 1, "--data"),
        (["up", ".", "--once"], {"SMEARCOUNT_MODEL": "/no/such/card.json"}, 1, "/no/such/card.json"),
        (["up", ".", "--once"], {"SMEARCOUNT_DATABASE_URL": "mysql://x/y"}, 1, "not supported"),
        (["slides"], {"SMEARCOUNT_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"}, 1, "cannot be used"),
        (["simulate", "out", "--from", "/no/such/folder"], {}, 1, "/no/such/folder"),
        (["web", "--host", "192.0.2.1"], {}, 1, "smearcount web-user"),
        (["web"], {"SMEARCOUNT_WEB_HOSTS": '["smears.lab.example"]'}, 1, "smearcount web-user"),
        (["web", "--users", "/no/such/users.json"], {}, 1, "/no/such/users.json"),
        (["web"], {"SMEARCOUNT_WEB_TOKEN": "secret"}, 1, "SMEARCOUNT_WEB_TOKEN"),
        (["web", "--port", "99999"], {}, 2, "99999"),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_the_remedy(
    smearcount: Smearcount, arguments: list[str], settings: dict[str, str], code: int, says: str
) -> None:
    smearcount.environment.update(settings)
    done = smearcount.call(*arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(("arguments", "code"), [(["slides"], 1), (["frobnicate"], 2), (["up", "--help"], 0)])
def test_a_process_says_the_same_and_ends_with_the_code(
    smearcount: Smearcount, arguments: list[str], code: int
) -> None:
    done, called = smearcount.run(*arguments), smearcount.call(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, called.stdout, called.stderr)


def test_a_terminals_ctrl_c_reaches_only_up_which_ends_every_process_and_loses_nothing(
    smearcount: Smearcount, inbox: Path
) -> None:
    files = exports(slides=4, cells=100)
    drop(inbox, files)
    up = subprocess.Popen(
        [sys.executable, "-m", "smearcount.cli.main", "up", str(inbox)],
        env=smearcount.all_environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    smearcount.started.append(up)
    wait_until(lambda: smearcount.images("done") > 0, what="the first images")
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) >= 4
    os.killpg(up.pid, signal.SIGINT)
    output, _ = up.communicate(timeout=PATIENCE)
    assert up.returncode == 130, output
    assert "Traceback" not in output
    assert not [process for process in family if process.is_running()]
    assert smearcount.run("up", inbox, "--once").returncode == 0
    assert smearcount.is_counted(len(files))


def test_config_names_every_setting_and_its_source_and_hides_secrets(smearcount: Smearcount) -> None:
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = "postgresql://user:hunter2@host/name"
    lines = {line["setting"]: line for line in smearcount.json("config")}
    assert lines["SMEARCOUNT_DATABASE_URL"]["source"] == "environment"
    assert "hunter2" not in str(lines)
    assert lines["SMEARCOUNT_QUEUE_IMAGES"] == lines["SMEARCOUNT_QUEUE_IMAGES"] | {"source": "default", "value": "8192"}
    given = smearcount.json("config", "--data", "elsewhere")
    assert next(line for line in given if line["setting"] == "SMEARCOUNT_DATA")["source"] == "option"


def test_doctor_says_what_is_wrong(smearcount: Smearcount, tmp_path: Path) -> None:
    smearcount.environment["SMEARCOUNT_BROKER_URL"] = "redis://127.0.0.1:1/0"
    done = smearcount.call("doctor", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "SMEARCOUNT_BROKER_URL" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_down_at_first_delays_but_loses_nothing(
    smearcount: Smearcount, inbox: Path, tmp_path: Path
) -> None:
    broker = EmbeddedBroker(tmp_path / "broker", tmp_path / "broker.log")
    smearcount.environment["SMEARCOUNT_BROKER_URL"] = broker.url
    files = exports(slides=1, cells=30)
    drop(inbox, files)
    watcher = smearcount.start("watch", inbox)
    worker = smearcount.start("worker", "--workers", 1)
    wait_until(lambda: smearcount.images("pending") == 30, what="the journal")
    (inbox / "S00" / "late.jpg").write_bytes(cell_bytes(77))
    wait_until(lambda: smearcount.images("pending") == 31, what="the journal")
    try:
        broker.start()
        wait_until(lambda: smearcount.is_counted(31), what="all images")
    finally:
        for process in (watcher, worker):
            process.terminate()
        watcher_said, _ = watcher.communicate(timeout=PATIENCE)
        worker.communicate(timeout=PATIENCE)
        broker.stop()
    assert "the broker does not answer" in watcher_said
    assert "late.jpg" not in watcher_said


def test_each_slide_is_printed_as_it_completes_and_again_after_a_late_image(
    smearcount: Smearcount, inbox: Path
) -> None:
    up = smearcount.start("up", inbox)
    assert up.stdout is not None
    for cells in (20, 21):
        drop(inbox, exports(slides=1, cells=cells))
        title = next(line for line in up.stdout if line.startswith("Slide S00"))
        assert title.strip() == "Slide S00"
        total = smearcount.json("slides")[0]
        assert (total["images"], total["status"]) == (cells, "complete")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Smearcount, Path]]:
    """A command with an `up` that runs and has counted nothing, and its empty inbox."""
    folder = tmp_path_factory.mktemp("running")
    command, empty = Smearcount(folder / "data"), folder / "inbox"
    empty.mkdir()
    try:
        command.start("up", empty)
        wait_until(command.is_watching, what="the watcher")
        yield command, empty
    finally:
        command.end()


def test_a_second_up_says_so_and_stops(running: tuple[Smearcount, Path], tmp_path: Path) -> None:
    smearcount, _ = running
    second = smearcount.call("up", tmp_path, "--once")
    assert second.returncode == 1
    assert "already runs" in second.stderr


def test_a_second_watcher_says_so_and_stops(running: tuple[Smearcount, Path]) -> None:
    smearcount, inbox = running
    second = smearcount.call("watch", inbox)
    assert second.returncode == 1
    assert "another watcher" in second.stderr


def test_doctor_finds_all_well_while_up_runs(running: tuple[Smearcount, Path]) -> None:
    smearcount, inbox = running
    findings = smearcount.json("doctor", inbox)
    others = {finding["what"]: finding["details"] for finding in findings if finding["state"] != "well"}
    assert others == {"images": "no slide has 20 cells yet"}
    assert list(inbox.iterdir()) == []
