"""Backup and restore as an operator uses them: while everything runs, and after the machine is gone."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.backing import empty_beside, programs_first_in_path
from support.exports import drop, exports
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

SLIDES, CELLS = 8, 60


def counted_by(smearcount: Smearcount, inbox: Path, images: int) -> dict[str, dict[str, int]]:
    """Let watcher and worker count everything, end them, and return the cells of each slide."""
    smearcount.start("watch", inbox)
    smearcount.start("worker", "--workers", 1)
    wait_until(lambda: smearcount.is_counted(images), what="all images")
    smearcount.end()
    smearcount.started.clear()
    return smearcount.cells()


def test_a_backup_taken_while_counting_goes_on_elsewhere(
    smearcount: Smearcount, inbox: Path, tmp_path: Path, database_url: str, broker_url: str
) -> None:
    smearcount.environment |= {"PATH": programs_first_in_path(), "SMEARCOUNT_BROKER_URL": broker_url}
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = database_url
    files = exports(slides=SLIDES, cells=CELLS)
    drop(inbox, files)
    file = tmp_path / "backup"
    smearcount.start("watch", inbox)
    smearcount.start("worker", "--workers", 1)
    wait_until(lambda: smearcount.images("done") > CELLS, what="the first images")

    done = smearcount.call("backup", file)

    assert done.returncode == 0, done.stderr
    assert "at schema" in done.stderr
    wait_until(lambda: smearcount.is_counted(len(files)), what="all images")
    in_use = smearcount.call("restore", file, "--replace")
    assert in_use.returncode == 1
    assert "is in use" in in_use.stderr
    assert len(in_use.stderr.strip().splitlines()) == 1
    smearcount.end()
    smearcount.started.clear()
    undisturbed = smearcount.cells()
    with empty_beside(database_url, tmp_path) as other:
        smearcount.environment["SMEARCOUNT_DATABASE_URL"] = other
        restored = smearcount.call("restore", file)
        assert restored.returncode == 0, restored.stderr
        then = smearcount.images("done")
        assert CELLS < then <= len(files)
        assert counted_by(smearcount, inbox, len(files)) == undisturbed


def test_what_is_interrupted_or_killed_leaves_all_as_it_was(
    smearcount: Smearcount, inbox: Path, tmp_path: Path
) -> None:
    drop(inbox, exports(slides=1, cells=5))
    assert smearcount.run("up", inbox, "--once").returncode == 0
    with closing(sqlite3.connect(smearcount.data / "smearcount.db")) as database:
        # Make backups and restores take long enough to be interrupted: 400 MB, in rows of our own, since only those are restored.
        database.execute("UPDATE images SET reason = hex(zeroblob(40000000))")
        database.commit()
    folder = tmp_path / "backups"
    folder.mkdir()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        backup = smearcount.start("backup", folder / "b")
        wait_until(lambda: any(one.stat().st_size for one in folder.iterdir()), what="the backup's first pages")
        backup.send_signal(number)
        said, _ = backup.communicate(timeout=PATIENCE)
        assert backup.returncode == code, said
        assert said.strip() == "interrupted"
        assert list(folder.iterdir()) == []

    backup = smearcount.start("backup", folder / "b")
    wait_until(lambda: any(one.stat().st_size for one in folder.iterdir()), what="the backup's first pages")
    backup.kill()
    backup.communicate(timeout=PATIENCE)
    assert not (folder / "b").exists()

    assert smearcount.call("backup", folder / "b").returncode == 0
    slides = smearcount.cells()
    assert smearcount.call("restore", folder / "b", "--data", tmp_path / "new").returncode == 0
    smearcount.data = tmp_path / "new"
    assert smearcount.cells() == slides

    drop(inbox, exports(slides=2, cells=5))
    assert smearcount.run("up", inbox, "--once").returncode == 0
    newer = smearcount.cells()
    assert newer != slides
    journal = smearcount.data / "smearcount.db-journal"
    restore = smearcount.start("restore", folder / "b", "--replace")
    wait_until(lambda: journal.exists() and journal.stat().st_size > 1_000_000, what="the restore's first pages")
    restore.kill()
    restore.communicate(timeout=PATIENCE)
    assert smearcount.cells() == newer, "as it was before"


def test_without_postgresqls_programs_one_line_says_so(
    smearcount: Smearcount, postgresql_url: str, tmp_path: Path
) -> None:
    smearcount.environment |= {"SMEARCOUNT_DATABASE_URL": postgresql_url, "PATH": str(tmp_path)}

    done = smearcount.call("backup", tmp_path / "b")

    assert done.returncode == 1
    assert done.stderr.startswith("error: pg_dump was not found; install PostgreSQL's client programs")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("sqlite_url")  # makes the database in the data folder
def test_the_nightly_backup_keeps_one_file_a_day(smearcount: Smearcount, tmp_path: Path) -> None:
    unit = (Path(__file__).parents[2] / "deployment" / "systemd" / "smearcount-backup.service").read_text()
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    folder, program = tmp_path / "backups", tmp_path / "smearcount"
    folder.mkdir()
    program.write_text('#!/bin/sh\nexec python -m cli.main "$@"\n')
    program.chmod(0o755)
    command = command.replace("/opt/smearcount/.venv/bin/smearcount", str(program))
    command = command.replace("/var/backups/smearcount", str(folder)).replace("$$", "$").replace("%%", "%")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for _ in range(2):
        done = subprocess.run(
            ["sh", "-c", command],
            env=smearcount.all_environment() | {"PATH": path},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    assert len(list(folder.iterdir())) == 1
    assert next(folder.iterdir()).suffix == ".backup"


@pytest.mark.parametrize("command", ["worker", "web", "migrate", "slides"])
def test_an_older_version_refuses_a_newer_versions_database(
    smearcount: Smearcount, sqlite_url: str, command: str
) -> None:
    _make_newer(sqlite_url)
    smearcount.environment |= {"SMEARCOUNT_DATABASE_URL": sqlite_url, "SMEARCOUNT_BROKER_URL": "redis://127.0.0.1:1/0"}

    done = smearcount.call(command)

    assert done.returncode == 1
    assert "error: the database was made by a newer version of smearcount (schema 9999); upgrade" in done.stderr
    assert "Traceback" not in done.stderr


def test_parts_that_run_go_on_while_another_host_upgrades_the_database(
    smearcount: Smearcount, inbox: Path, sqlite_url: str, broker_url: str
) -> None:
    smearcount.environment |= {"SMEARCOUNT_DATABASE_URL": sqlite_url, "SMEARCOUNT_BROKER_URL": broker_url}
    drop(inbox, exports(slides=1, cells=10))
    smearcount.start("watch", inbox)
    smearcount.start("worker", "--workers", 1)
    wait_until(lambda: smearcount.is_counted(10), what="the first images")

    _make_newer(sqlite_url)

    files = exports(slides=3, cells=30)
    drop(inbox, files)
    wait_until(lambda: smearcount.is_counted(len(files)), what="the images that came after the upgrade")
    assert all(sum(cells.values()) == 30 for cells in smearcount.cells().values())


def _make_newer(url: str) -> None:
    """Change a database as a next version may: add things, without removing or renaming any."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as database:
        database.execute("ALTER TABLE classifications ADD COLUMN of_the_future TEXT")
        database.execute("CREATE TABLE of_the_future (id INTEGER)")
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
