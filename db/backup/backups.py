"""Backups: the whole database as one file, written while everything runs and put back while nothing does.

The file is what the database's own tools write, a SQLite file or an archive of pg_dump. So it can be read and restored
without smearcount as well, and an archive that pg_dump wrote elsewhere can be restored here.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, inspect, select

from smearcount.db.backup import postgresql_archive, sqlite_copy
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import migrate, refuse_newer, revision_in
from smearcount.db.schema import Slide

#: Called with the part that is done, in percent.
Progress = Callable[[int], None]

#: How the two kinds of files begin.
_SQLITE_BEGINS, _ARCHIVE_BEGINS = b"SQLite format 3\0", b"PGDMP"


@dataclass(frozen=True)
class Backup:
    """A file that holds a whole database."""

    #: The migration that the database was at.
    revision: str
    bytes: int


def back_up(database: Database, file: Path, *, replace: bool, progress: Progress) -> Backup:
    """Write one state of the whole database into a file; others may read and write it meanwhile.

    The file appears when it is whole, readable for its owner alone: it holds names that may identify patients.

    Args:
        database: of this version or an earlier one, so that it can be backed up before it is upgraded.
        file: where to; its folder exists.
        replace: whether an earlier file of that name may be replaced.
        progress: told how far it is.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: there is nothing to back up, the file cannot be written, or PostgreSQL's programs are missing.
    """
    revision = _revision_of(database)
    refuse_newer(revision)
    if database.file is not None and file.exists() and file.samefile(database.file):
        raise DatabaseError(f"{file} is the database itself; name another file for its backup")
    if file.exists() and not replace:
        raise DatabaseError(f"{file} exists already; name another file, or replace it with --replace")
    with _written_whole(file) as part:
        if database.file is not None:
            sqlite_copy.copy_out(database, part, progress)
        else:
            postgresql_archive.dump(database, part, progress)
    return Backup(revision, file.stat().st_size)


def restore(database: Database, file: Path, *, replace: bool, progress: Progress) -> Backup:
    """Put a backup in the place of what the database holds, all or nothing, and bring it to this version's schema.

    Args:
        database: empty, or not there yet; nothing of ours may be using it.
        file: a backup of the same kind of database, of this version or an earlier one.
        replace: whether slides that the database holds may be lost.
        progress: told how far it is.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: the file is no such backup, it is damaged or of a newer version, the database holds slides or is in
            use, or PostgreSQL's programs are missing. The database is as it was.
    """
    backup = _examined(file, is_sqlite=database.file is not None)
    slides = _slides_in(database)
    if slides and not replace:
        raise DatabaseError(
            f"the database {database.shown} holds {slides} slides, which would be lost; "
            "back it up first, then give --replace, or name another one with --database or --data"
        )
    if database.file is not None:
        database.close()  # our own connection would count as somebody who uses it
        sqlite_copy.copy_in(file, database.file, progress)
    else:
        postgresql_archive.restore(database, file, progress)
    migrate(database)
    return backup


def _revision_of(database: Database) -> str:
    if database.file is None or database.file.exists():
        with database.reading() as connection:
            revision = revision_in(connection)
        if revision is not None:
            return revision
    raise DatabaseError(f"nothing has been counted yet in {database.shown}, so there is nothing to back up")


def _slides_in(database: Database) -> int:
    if database.file is not None and not database.file.exists():
        return 0
    with database.reading() as connection:
        if not inspect(connection).has_table(Slide.__tablename__):
            return 0
        return connection.execute(select(func.count()).select_from(Slide)).scalar_one()


def _examined(file: Path, *, is_sqlite: bool) -> Backup:
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_SQLITE_BEGINS))
        size = file.stat().st_size
    except OSError as error:
        raise DatabaseError(f"the backup {file} cannot be read: {error.strerror}") from None
    if begins == _SQLITE_BEGINS:
        if not is_sqlite:
            raise DatabaseError(f"{file} is a backup of a SQLite database, which PostgreSQL cannot take")
        revision = sqlite_copy.revision_in_file(file)
    elif begins.startswith(_ARCHIVE_BEGINS):
        if is_sqlite:
            raise DatabaseError(
                f"{file} is a backup of a PostgreSQL database; say which one to restore it into with --database"
            )
        revision = postgresql_archive.revision_in_file(file)
    else:
        revision = None
    if revision is None:
        raise DatabaseError(f"{file} is no backup of smearcount; name a file that `smearcount backup` has written")
    refuse_newer(revision, f"the backup {file}")
    return Backup(revision, size)


@contextmanager
def _written_whole(file: Path) -> Iterator[Path]:
    """Yield a path beside `file` to write to; it takes the name of `file` at the end, and is gone if anything is raised."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(file)
    except OSError as error:
        raise DatabaseError(f"the backup {file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
