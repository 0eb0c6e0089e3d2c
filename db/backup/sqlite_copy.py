"""A SQLite database copied page by page, by SQLite's own means: out of a database in use, and into one that is not."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError

#: Pages between two looks at how far it is; 4 MB.
_PAGES = 1024

#: How long to wait for those that are about to close the database, in seconds.
_IN_USE_SECONDS = 1.0


def copy_out(database: Database, part: Path, progress: Callable[[int], None]) -> None:
    """Copy one state of the database into the empty file `part`, while others read and write.

    Raises:
        DatabaseError: the file cannot be written, or the copy is damaged.
    """
    with database.reading() as connection, _translated(f"the database {database.shown} cannot be copied"):
        # The transaction must have begun to read: only then does the copy stay with the state it began with. Without
        # it SQLite begins anew whenever somebody writes, and while cells are counted never comes to an end.
        connection.exec_driver_sql("SELECT count(*) FROM alembic_version").all()
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # noqa: S101 (for the type checker)
        with closing(sqlite3.connect(part)) as target:
            # Nobody reads it yet, and it is put on disk as a whole when it is done.
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=_PAGES, progress=_in_percent(progress))
            # As the database had it, the copy could not be read from a medium that cannot be written to.
            target.execute("PRAGMA journal_mode = DELETE")
            _require_whole(target, part)


def copy_in(file: Path, place: Path, progress: Callable[[int], None]) -> None:
    """Put the copy `file` in the place of the database at `place`, all or nothing, even through a power cut.

    Raises:
        DatabaseError: somebody uses the database, the copy is damaged, or the database cannot be written.
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
    """Return the migration that the database in a copy is at; None where it is not one of ours."""
    with _translated(f"{file} cannot be read"), closing(_open_copy(file)) as source:
        if not source.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = source.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def _open_copy(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)


def _keep_others_out(target: sqlite3.Connection, place: Path) -> None:
    try:
        # Whoever has the database open keeps it from leaving WAL; the lock taken next is held until the end.
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
    # SQLite takes what is missing of the last page for zeros. With WAL, the rest may be in the file beside it.
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
