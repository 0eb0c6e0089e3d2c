"""Copying a SQLite database page by page, by SQLite's own means: out of one that is in use, and into one that is not."""

import sqlite3
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


def copy_in(file: Path, place: Path, progress: Callable[[int], None]) -> None:
    """Replace the database at `place` by the copy `file`, all of it or nothing, even if the power fails meanwhile.

    Raises:
        DatabaseError: a process uses the database, the copy is damaged, or the database cannot be written.
    """
    was_there = place.exists()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with (
            _translated(f"{file} cannot be restored"),
            closing(_open_copy(file)) as source,
            closing(sqlite3.connect(place, timeout=_IN_USE_SECONDS, isolation_level=None)) as target,
        ):
            _require_whole(source, file)
            _keep_others_out(target, place)
            source.backup(target, pages=_PAGES, progress=_in_percent(progress))
            was_there = True
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
        if not source.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = source.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def _open_copy(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)


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
