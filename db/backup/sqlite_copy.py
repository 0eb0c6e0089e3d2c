"""Copying a SQLite database by SQLite's own means: out of one that is in use, and into one that is not.

Out of a database, its pages are copied. Back into it, the rows alone: what else the file holds, such as triggers and views, may
be anybody's, and would run in the laboratory's database from then on. So we make the tables ourselves and fill them.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError

#: Number of pages, 4 MB together, between two calls of the progress function.
_PAGES = 1024

#: Time to wait for processes that are about to close the database, in seconds.
_IN_USE_SECONDS = 1.0


def copy_out(database: Database, part: Path, progress: Callable[[int], None]) -> None:
    """Copy one state of the database into the empty file `part`, while other processes read and write the database.

    Raises:
        DatabaseError: the file cannot be written, or the copy is damaged.
    """
    with database.reading() as connection, _translated(f"the database {database.shown} cannot be copied"):
        # The transaction must have read something, so that the copy keeps the state with which it begins. Otherwise SQLite
        # starts over whenever another process writes, and while cells are counted it never comes to an end.
        connection.exec_driver_sql("SELECT count(*) FROM alembic_version").all()
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # noqa: S101 (for the type checker)
        with closing(sqlite3.connect(part)) as target:
            # Nobody reads the copy yet, and the caller syncs the whole file at the end.
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=_PAGES, progress=_in_percent(progress))
            # In WAL mode, as the database is, the copy could not be read from a read-only medium.
            target.execute("PRAGMA journal_mode = DELETE")
            _require_whole(target, part)


def copy_in(file: Path, place: Path, revision: str, progress: Callable[[int], None]) -> None:
    """Replace the database at `place` by the rows of the copy `file`, all or nothing, even if the power fails meanwhile.

    Args:
        file: the copy.
        place: the database's file.
        revision: the migration that the copy is at.
        progress: called with the part that is done, in percent.

    Raises:
        DatabaseError: a process uses the database, the copy is damaged or holds other tables than smearcount makes, or the
            database cannot be written.
    """
    was_there = place.exists()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=place.parent, prefix=".restore-") as folder,
            _translated(f"{file} cannot be restored"),
        ):
            with closing(_open_copy(file)) as copy:
                _require_whole(copy, file)
            made = Path(folder) / "made.db"
            _make(made, revision)
            _fill(made, file, lambda percent: progress(percent // 2))
            with (
                closing(_open_copy(made)) as source,
                closing(sqlite3.connect(place, timeout=_IN_USE_SECONDS, isolation_level=None)) as target,
            ):
                _keep_others_out(target, place)
                source.backup(target, pages=_PAGES, progress=_in_percent(lambda percent: progress(50 + percent // 2)))
                was_there = True
            place.chmod(0o600)  # it holds names that may identify patients
    except OSError as error:
        raise DatabaseError(f"the data folder {place.parent} cannot be used: {error.strerror}") from error
    finally:
        if not was_there:
            place.unlink(missing_ok=True)


def revision_in_file(file: Path) -> str | None:
    """Return the migration that the database in a copy is at; None if it is none of smearcount.

    Raises:
        DatabaseError: the copy cannot be read.
    """
    with _translated(f"{file} cannot be read"), closing(_open_copy(file)) as source:
        if not _is_table(source, "main", "alembic_version"):
            return None
        row = source.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def _open_copy(file: Path) -> sqlite3.Connection:
    copy = sqlite3.connect(_uri(file), uri=True)
    # Whatever the file's own schema says must not call functions that can do harm.
    copy.execute("PRAGMA trusted_schema = OFF")
    return copy


def _uri(file: Path) -> str:
    return f"file:{quote(str(file.absolute()))}?mode=ro"


def _make(place: Path, revision: str) -> None:
    """Make an empty database with our own tables and triggers, as they were at a migration."""
    from smearcount.db import upgrade  # noqa: PLC0415 (loads Alembic, which most commands do not need)

    with Database(f"sqlite:///{place}") as database, database.writing() as connection:
        upgrade.upgrade(connection, revision)


def _fill(place: Path, file: Path, progress: Callable[[int], None]) -> None:
    """Copy the rows of all tables that a database of ours has from a file that may be anybody's.

    Raises:
        DatabaseError: the file lacks a table or a column, or its rows do not belong together.
    """
    with closing(sqlite3.connect(f"file:{quote(str(place))}", uri=True, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("PRAGMA synchronous = OFF")
        target.execute("PRAGMA trusted_schema = OFF")
        target.execute("ATTACH ? AS copy", (_uri(file),))
        target.execute("BEGIN IMMEDIATE")
        ours = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        tables = [name for (name,) in target.execute(ours)]
        # Our own triggers refuse rows that take the place of others, and the row with which a new chain begins is replaced.
        triggers = target.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            target.execute(f"DROP TRIGGER main.{name}")
        for done, table in enumerate(tables):
            _fill_table(target, table, file)
            progress(100 * (done + 1) // len(tables))
        for _, statement in triggers:
            target.execute(statement)
        astray = target.execute("PRAGMA main.foreign_key_check").fetchone()
        if astray is not None:
            raise DatabaseError(
                f"the copy {file} is damaged: a row of {astray[0]} names one of {astray[2]} that is not there"
            )
        target.execute("COMMIT")
        target.execute("DETACH copy")


def _fill_table(target: sqlite3.Connection, table: str, file: Path) -> None:
    if not _is_table(target, "copy", table):
        raise DatabaseError(f"the copy {file} holds no table {table}, which a backup of smearcount has")
    columns = _columns(target, "main", table)
    if missing := columns - _columns(target, "copy", table):
        raise DatabaseError(f"the table {table} of {file} lacks {min(missing)}, which a backup of smearcount has")
    names = ", ".join(f'"{name}"' for name in sorted(columns))
    # The names are those of our own tables.
    target.execute(f'DELETE FROM main."{table}"')  # noqa: S608
    target.execute(f'INSERT INTO main."{table}" ({names}) SELECT {names} FROM copy."{table}"')  # noqa: S608


def _is_table(connection: sqlite3.Connection, database: str, name: str) -> bool:
    """Say whether an ordinary table has this name: a view or a virtual table runs what the file says."""
    found = connection.execute(
        f"SELECT type, rootpage FROM {database}.sqlite_master WHERE name = ?",  # noqa: S608 (our name)
        (name,),
    ).fetchall()
    return [(kind, page > 0) for kind, page in found] == [("table", True)]


def _columns(connection: sqlite3.Connection, database: str, table: str) -> set[str]:
    """Return the names of a table's columns that are kept, not computed."""
    rows = connection.execute(f'PRAGMA {database}.table_xinfo("{table}")')
    return {name for _, name, _, _, _, _, hidden in rows if hidden == 0}


def _keep_others_out(target: sqlite3.Connection, place: Path) -> None:
    try:
        # SQLite cannot leave WAL mode while another process has the database open. The lock that is taken next is held
        # until the connection is closed.
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("PRAGMA locking_mode = EXCLUSIVE")
        target.execute("BEGIN EXCLUSIVE")
        target.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise DatabaseError(
            f"the database {place} is in use; end `up` (or watchers, workers and web server), then restore"
        ) from None


def _require_whole(copy: sqlite3.Connection, file: Path) -> None:
    found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DatabaseError(f"the copy {file} is damaged: {found}")
    # SQLite reads the missing end of a file as zeros. In WAL mode the end may be in the file beside it.
    expected = _number(copy, "page_count") * _number(copy, "page_size")
    is_wal = copy.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if file.stat().st_size < expected and not is_wal:
        raise DatabaseError(f"the copy {file} is damaged: its end is missing")


def _number(copy: sqlite3.Connection, pragma: str) -> int:
    return int(copy.execute(f"PRAGMA {pragma}").fetchone()[0])


def _in_percent(progress: Callable[[int], None]) -> Callable[[int, int, int], None]:
    return lambda _status, remaining, total: progress(100 * (total - remaining) // max(total, 1))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DatabaseError(f"{what}: {error}") from error
