"""Backups of SQLite and PostgreSQL alike: taken while cells are counted, restored whole or not at all."""

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from smearcount.db.audit.verification import verify
from smearcount.db.backup import postgresql_archive, sqlite_copy
from smearcount.db.backup.backups import Backup, back_up, restore
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import latest_revision, migrate, require_current
from smearcount.db.review.sign_off import comment
from smearcount.db.schema import VIEWS
from smearcount.differential.classes import CellClass

from support.backing import (
    differential,
    earlier_revisions,
    empty_beside,
    make_as_of,
    programs_first_in_path,
    tallies,
    url_of,
)
from support.journalling import count_cells, new_inbox

CELLS_PER_SLIDE = 8


def nothing(_percent: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs_first_in_path())


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path) -> Iterator[Database]:
    """Yield a second database of the same kind, without tables."""
    with empty_beside(url_of(database), tmp_path) as url, Database(url) as opened:
        yield opened


@pytest.fixture
def counted(database: Database) -> Database:
    """A database that holds two slides, which is not in use."""
    add_slides(database, new_inbox(database), ["S-1", "S-2"])
    return database


def add_slides(database: Database, inbox_id: int, slides: list[str]) -> None:
    for slide in slides:
        kinds = (list(CellClass) * 2)[:CELLS_PER_SLIDE]
        cells = [(f"{slide}/{number}.jpg", f"{slide}-{number}", kind, True) for number, kind in enumerate(kinds)]
        count_cells(database, inbox_id, cells)


def copy_by_hand(database: Database, file: Path) -> None:
    """Copy a database as somebody would who does not know smearcount."""
    if database.file is not None:
        with closing(sqlite3.connect(database.file)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
    else:
        address = url_of(database).replace("postgresql+psycopg:", "postgresql:")
        subprocess.run(["pg_dump", "--format=custom", f"--file={file}", f"--dbname={address}"], check=True)


def write_revision(database: Database, revision: str) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """Count slide after slide from another thread; yields the names of those that are finished."""
    finished: list[str] = []
    ending = threading.Event()
    failures: list[BaseException] = []

    def count() -> None:
        try:
            with Database(url_of(database)) as own:
                inbox_id = new_inbox(own)
                while not ending.is_set():
                    name = f"T-{len(finished)}"
                    add_slides(own, inbox_id, [name])
                    finished.append(name)
        except BaseException as error:  # noqa: BLE001 (raised again by the test's own thread)
            failures.append(error)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield finished
    finally:
        ending.set()
        thread.join()
    assert not failures, failures


def test_a_backup_taken_while_counting_holds_one_moment(
    database: Database, elsewhere: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many steps that others write between them; SQLite would begin anew each time.
    monkeypatch.setattr(sqlite_copy, "_PAGES", 1)
    add_slides(database, new_inbox(database), [f"S-{number}" for number in range(20)])
    steps: list[int] = []
    with counting(database) as finished:
        while not finished:
            pass
        sure = list(finished)

        made = back_up(database, tmp_path / "backup", replace=False, progress=steps.append)

        later = len(finished)
    database.close()
    found = restore(elsewhere, tmp_path / "backup", replace=False, progress=nothing)

    assert made == found == Backup(latest_revision(), (tmp_path / "backup").stat().st_size)
    require_current(elsewhere)
    now, then = tallies(database), tallies(elsewhere)
    assert {f"S-{number}" for number in range(20)} | set(sure) <= then.keys() <= now.keys()
    assert len(then) <= 20 + later + 1
    for slide, tally in then.items():
        assert tally.images in {0, CELLS_PER_SLIDE}, "a slide's images were journalled together"
        assert sum(tally.cells.values()) in {0, CELLS_PER_SLIDE}, "and stored together"
        if slide in sure or slide.startswith("S-"):
            assert tally.cells == now[slide].cells
    assert steps == sorted(steps)
    assert len(set(steps)) > 3


def test_a_backup_is_for_its_owner_alone_and_whole_at_once(counted: Database, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    seen: list[set[str]] = []

    back_up(
        counted, folder / "b", replace=False, progress=lambda _: seen.append({one.name for one in folder.iterdir()})
    )

    assert seen
    assert all("b" not in names for names in seen)
    assert [one.name for one in folder.iterdir()] == ["b"]
    assert (folder / "b").stat().st_mode & 0o777 == 0o600


def test_an_interrupted_backup_leaves_the_one_before(
    counted: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_copy, "_PAGES", 1)
    folder = tmp_path / "backups"
    folder.mkdir()
    back_up(counted, folder / "b", replace=False, progress=nothing)
    before = (folder / "b").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        back_up(counted, folder / "b", replace=True, progress=_interrupt)

    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {"b": before}


def test_an_interrupted_restore_leaves_the_database_as_it_was(
    counted: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_copy, "_PAGES", 1)
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)
    add_slides(counted, new_inbox(counted), ["S-3"])
    before = differential(counted)

    with pytest.raises(KeyboardInterrupt):
        restore(counted, tmp_path / "b", replace=True, progress=_interrupt)

    assert differential(counted) == before
    require_current(counted)


def test_an_interrupted_restore_makes_no_database(
    counted: Database, elsewhere: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_copy, "_PAGES", 1)
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)

    with pytest.raises(KeyboardInterrupt):
        restore(elsewhere, tmp_path / "b", replace=False, progress=_interrupt)

    if elsewhere.file is not None:
        assert list(elsewhere.file.parent.iterdir()) == []
    else:
        with elsewhere.reading() as connection:
            assert inspect(connection).get_table_names() == []


def _interrupt(percent: int) -> None:
    if percent < 100:
        raise KeyboardInterrupt


def test_slides_are_not_lost_unasked(counted: Database, elsewhere: Database, tmp_path: Path) -> None:
    migrate(elsewhere)
    add_slides(elsewhere, new_inbox(elsewhere), ["S-9"])
    back_up(elsewhere, tmp_path / "b", replace=False, progress=nothing)
    before = differential(counted)

    with pytest.raises(DatabaseError, match=r"holds 2 slides, which would be lost; .* --replace"):
        restore(counted, tmp_path / "b", replace=False, progress=nothing)
    assert differential(counted) == before

    restore(counted, tmp_path / "b", replace=True, progress=nothing)
    assert differential(counted) == differential(elsewhere)
    add_slides(counted, new_inbox(counted), ["S-10"])
    assert tallies(counted).keys() == {"S-9", "S-10"}


@pytest.mark.parametrize("revision", earlier_revisions())
def test_an_earlier_versions_backup_is_upgraded(
    counted: Database, elsewhere: Database, tmp_path: Path, revision: str
) -> None:
    make_as_of(elsewhere, revision)
    expected = differential(elsewhere)
    made = back_up(elsewhere, tmp_path / "b", replace=False, progress=nothing)

    # Into a database of this version, with tables that the backup knows nothing of.
    found = restore(counted, tmp_path / "b", replace=True, progress=nothing)

    assert made.revision == found.revision == revision
    require_current(counted)
    assert differential(counted) == expected


def test_a_newer_versions_backup_is_refused(counted: Database, elsewhere: Database, tmp_path: Path) -> None:
    write_revision(counted, "9999")
    copy_by_hand(counted, tmp_path / "b")

    with pytest.raises(DatabaseError, match=r"b was made by a newer version of smearcount \(schema 9999\); upgrade"):
        restore(elsewhere, tmp_path / "b", replace=False, progress=nothing)
    with pytest.raises(DatabaseError, match="made by a newer version"):
        back_up(counted, tmp_path / "c", replace=False, progress=nothing)


def test_a_copy_made_by_the_databases_own_tools_is_restored(
    counted: Database, elsewhere: Database, tmp_path: Path
) -> None:
    comment(counted, 1, reviewer="Ada", text="left shift?")
    copy_by_hand(counted, tmp_path / "b")

    restore(elsewhere, tmp_path / "b", replace=False, progress=nothing)
    restore(elsewhere, tmp_path / "b", replace=True, progress=nothing)

    assert differential(elsewhere) == differential(counted)
    assert verify(elsewhere).slide_events == 1


def test_a_database_in_use_is_left_alone(counted: Database, tmp_path: Path) -> None:
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)
    with Database(url_of(counted)) as other:
        before = differential(other)
        with pytest.raises(DatabaseError, match=r"is in use.* then restore"):
            restore(counted, tmp_path / "b", replace=True, progress=nothing)
        assert differential(other) == before

    restore(counted, tmp_path / "b", replace=True, progress=nothing)
    assert differential(counted) == before


def test_what_is_no_backup_is_refused(counted: Database, tmp_path: Path) -> None:
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)
    before = differential(counted)
    whole = (tmp_path / "b").read_bytes()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE cats (name TEXT)")
    (tmp_path / "text").write_text("no backup")
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(whole[: len(whole) * 2 // 3])
    # Of an archive, all but the last rows of the last table; of a SQLite file, all but a part of its last page.
    (tmp_path / "nearly-whole").write_bytes(whole[:-40])

    for name in ("other.db", "text", "empty", "short", "nearly-whole", "missing"):
        with pytest.raises(DatabaseError):
            restore(counted, tmp_path / name, replace=True, progress=nothing)
        assert differential(counted) == before, name


def test_a_damaged_backup_changes_nothing(counted: Database, tmp_path: Path) -> None:
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)
    before = differential(counted)
    damaged = bytearray((tmp_path / "b").read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 4096] = b"\xff" * 4096
    (tmp_path / "b").write_bytes(bytes(damaged[: middle + 8192]))

    with pytest.raises(DatabaseError):
        restore(counted, tmp_path / "b", replace=True, progress=nothing)

    assert differential(counted) == before


def test_nothing_is_overwritten_by_a_backup_unasked(counted: Database, tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")

    with pytest.raises(DatabaseError, match="exists already"):
        back_up(counted, tmp_path / "thesis", replace=False, progress=nothing)
    if counted.file is not None:
        with pytest.raises(DatabaseError, match="is the database itself"):
            back_up(counted, counted.file, replace=True, progress=nothing)
    with pytest.raises(DatabaseError, match="cannot be written: No such file"):
        back_up(counted, tmp_path / "no" / "folder", replace=False, progress=nothing)

    assert (tmp_path / "thesis").read_text() == "years of work"


def test_nothing_yet_is_no_backup(bare_database: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="nothing has been counted yet"):
        back_up(bare_database, tmp_path / "b", replace=False, progress=nothing)
    assert not (tmp_path / "b").exists()
    if bare_database.file is not None:
        assert not bare_database.file.exists()


def test_a_backup_of_the_other_kind_is_refused(
    sqlite_database: Database, postgresql_database: Database, tmp_path: Path
) -> None:
    back_up(sqlite_database, tmp_path / "s", replace=False, progress=nothing)
    back_up(postgresql_database, tmp_path / "p", replace=False, progress=nothing)

    with pytest.raises(DatabaseError, match="of a SQLite database"):
        restore(postgresql_database, tmp_path / "s", replace=True, progress=nothing)
    with pytest.raises(DatabaseError, match="of a PostgreSQL database"):
        restore(sqlite_database, tmp_path / "p", replace=True, progress=nothing)


def test_missing_and_old_programs_are_said(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseError, match=r"pg_dump was not found; install .* postgresql-client"):
        back_up(postgresql_database, tmp_path / "b", replace=False, progress=nothing)

    _write_program(tmp_path / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'")
    (tmp_path / "env").symlink_to("/usr/bin/env")
    with pytest.raises(DatabaseError, match=r"pg_dump is of version 9, older than the server's \d+; install"):
        back_up(postgresql_database, tmp_path / "b", replace=False, progress=nothing)
    assert not (tmp_path / "b").exists()


def test_what_pg_dump_says_is_passed_on(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("pg_dump")
    _write_program(tmp_path / "pg_dump", f'test "$1" = --version || set -- --no-such-option; exec {real} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{programs_first_in_path()}")

    with pytest.raises(DatabaseError, match=r"pg_dump failed: .*no-such-option"):
        back_up(postgresql_database, tmp_path / "b", replace=False, progress=nothing)

    assert [one.name for one in tmp_path.iterdir()] == ["pg_dump"]


def _write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_backup_carries_what_people_did_and_its_chain(counted: Database, elsewhere: Database, tmp_path: Path) -> None:
    comment(counted, 1, reviewer="Ada", text="left shift?")
    comment(counted, 2, reviewer="Ben", text="clumped")
    before = verify(counted)
    back_up(counted, tmp_path / "b", replace=False, progress=nothing)
    comment(counted, 2, reviewer="Ben", text="after the backup")
    later = verify(counted)

    restore(elsewhere, tmp_path / "b", replace=False, progress=nothing)

    assert before.holds
    assert before.slide_events == 2
    assert verify(elsewhere, noted=before.head) == before
    assert not verify(elsewhere, noted=later.head).holds, "what came after the backup is lost"
    for statement in ("DELETE FROM slide_events", "UPDATE slide_events SET text = ''"):
        with pytest.raises(DatabaseError, match="only added"), elsewhere.writing() as connection:
            connection.execute(text(statement))
    comment(elsewhere, 1, reviewer="Ada", text="goes on")
    assert verify(elsewhere, noted=before.head).holds
    if elsewhere.file is None:
        with elsewhere.reading() as connection:
            may = "SELECT has_table_privilege('smearcount_web', 'slide_events', :right)"
            rights = [connection.execute(text(may), {"right": right}).scalar_one() for right in ("INSERT", "UPDATE")]
        assert rights == [True, False], "an archive holds no rights; they are granted anew"


def test_every_view_is_backed_up(postgresql_database: Database) -> None:
    with postgresql_database.reading() as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)


def test_what_else_is_in_the_database_stays_there(postgresql_database: Database, tmp_path: Path) -> None:
    add_slides(postgresql_database, new_inbox(postgresql_database), ["S-1"])
    with postgresql_database.writing() as connection:
        connection.execute(text("CREATE TABLE cats (name TEXT)"))
        connection.execute(text("INSERT INTO cats VALUES ('Mia')"))
    back_up(postgresql_database, tmp_path / "b", replace=False, progress=nothing)
    with postgresql_database.writing() as connection:
        connection.execute(text("INSERT INTO cats VALUES ('Leo')"))

    restore(postgresql_database, tmp_path / "b", replace=True, progress=nothing)

    with postgresql_database.reading() as connection:
        assert connection.execute(text("SELECT name FROM cats")).scalars().all() == ["Mia", "Leo"]


def test_a_sites_own_view_is_not_dropped(postgresql_database: Database, tmp_path: Path) -> None:
    back_up(postgresql_database, tmp_path / "b", replace=False, progress=nothing)
    with postgresql_database.writing() as connection:
        connection.execute(text("CREATE VIEW of_the_site AS SELECT slide FROM slide_summary"))

    with pytest.raises(DatabaseError, match=r"cannot drop view slide_summary .*; view of_the_site depends"):
        restore(postgresql_database, tmp_path / "b", replace=True, progress=nothing)

    with postgresql_database.reading() as connection:
        assert connection.execute(text("SELECT * FROM of_the_site")).all() == []


def test_the_password_is_on_no_command_line() -> None:
    with Database("postgresql://user:se%3Acr%5Cet%2F%40%25@127.0.0.1:1/name") as unreachable:
        with postgresql_archive._address(unreachable) as address:
            assert "cr" not in address
            passwords = Path(address.partition("passfile=")[2].replace("%2F", "/"))
            assert passwords.read_text() == "*:*:*:*:se\\:cr\\\\et/@%\n"
            assert passwords.stat().st_mode & 0o777 == 0o600
        assert not passwords.exists()
