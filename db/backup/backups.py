"""Backups: the whole database as one file, written while everything runs and restored while nothing runs.

The file is what the database's own tools write: a SQLite file, or an archive of pg_dump. So it can also be read and restored
without smearcount, and an archive that pg_dump wrote elsewhere can be restored here. Without smearcount, PostgreSQL lacks a
function of the triggers that guard what people did, and says so; `smearcount migrate` makes them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, inspect, select

from smearcount.db.audit.guards import restore_guards
from smearcount.db.backup import digests, postgresql_archive, sqlite_copy
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import migrate, refuse_newer, revision_in
from smearcount.db.roles import grant
from smearcount.db.schema import Slide
from smearcount.files.atomic import replacing_file

#: A function that is called with the part that is done, in percent.
Progress = Callable[[int], None]

#: The first bytes of the two kinds of files.
_SQLITE_BEGINS, _ARCHIVE_BEGINS = b"SQLite format 3\0", b"PGDMP"


@dataclass(frozen=True)
class Backup:
    """A file that holds a whole database."""

    #: Name of the migration that the database was at.
    revision: str
    #: Size of the file.
    bytes: int


def back_up(database: Database, file: Path, *, replace: bool, progress: Progress, secret: str = "") -> Backup:
    """Write one state of the whole database into a file; other processes may read and write the database meanwhile.

    The file appears once it is whole. Only its owner can read it, because it holds names that may identify patients.

    Args:
        database: of this version or an earlier one, so that it can be backed up before an upgrade.
        file: the file to write; its folder exists.
        replace: whether an existing file may be replaced.
        progress: called while the file is written.
        secret: with it, a keyed digest is written beside the file; see `digests`.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: there is nothing to back up, the file exists or cannot be written, or PostgreSQL's programs are
            missing or fail.
    """
    revision = _revision_of(database)
    refuse_newer(revision)
    if database.file is not None and file.exists() and file.samefile(database.file):
        raise DatabaseError(f"{file} is the database itself; name another file for its backup")
    if file.exists() and not replace:
        raise DatabaseError(f"{file} exists already; name another file, or replace it with --replace")
    with _backup_file(file) as part:
        if database.file is not None:
            sqlite_copy.copy_out(database, part, progress)
        else:
            postgresql_archive.dump(database, part, progress)
    digests.write_digest(file, secret)
    return Backup(revision, file.stat().st_size)


def restore(
    database: Database,
    file: Path,
    *,
    replace: bool,
    progress: Progress,
    secret: str = "",
    may_lack_digest: bool = False,
) -> Backup:
    """Replace what the database holds by a backup, all of it or nothing, and then upgrade it to this version's schema.

    Only rows are taken from the file, table by table: the tables, views and triggers are made as this version makes them.

    Args:
        database: a database that no process of smearcount uses; it may not exist yet.
        file: a backup of the same kind of database, of this version or an earlier one.
        replace: whether slides that the database holds may be lost.
        progress: called while the backup is restored.
        secret: with it, the backup must carry the digest that was made with it.
        may_lack_digest: whether a backup without a digest is taken as well.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: the file is no such backup, is damaged, not the site's or of a newer version, the database holds
            slides or is in use, or PostgreSQL's programs are missing or fail. The database is as it was.
    """
    digests.check_digest(file, secret, may_lack=may_lack_digest)
    backup = _examined(file, is_sqlite=database.file is not None)
    slides = _slides_in(database)
    if slides and not replace:
        raise DatabaseError(
            f"the database {database.shown} holds {slides} slides, which would be lost; "
            "back it up first, then give --replace, or name another one with --database or --data"
        )
    if database.file is not None:
        database.close()  # this connection would count as one that uses the database
        sqlite_copy.copy_in(file, database.file, backup.revision, progress)
    else:
        postgresql_archive.restore(database, file, backup.revision, progress)
    migrate(database)
    restore_guards(database)
    with database.writing(durable=True) as connection:
        grant(connection)  # a backup holds no rights
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
def _backup_file(file: Path) -> Iterator[Path]:
    """Yield a file to write the backup to; it takes the name `file` once it is whole and on disk."""
    try:
        with replacing_file(file, private=True, durable=True) as part:
            yield part
    except OSError as error:
        raise DatabaseError(f"the backup {file} cannot be written: {error.strerror}") from error
