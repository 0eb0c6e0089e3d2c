"""Bringing a database to the schema of this version, and checking which version it has."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.roles import UPGRADE_LOCK, grant, require_owner

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
#: A migration's own name, and the name of the one before it, which the first does not have.
_REVISION = re.compile(r'^revision = "(\w+)"\ndown_revision = (?:"(\w+)"|None)$', re.MULTILINE)


def migrate(database: Database) -> None:
    """Create or upgrade the tables and views, in one transaction.

    Several processes may call this at once: one does the work, the others wait for it.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: the database was made by a newer version of smearcount, or cannot be used.
    """
    if database.file is not None:
        try:
            database.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"cannot make the data folder {database.file.parent}: {error.strerror}") from error
    with database.reading() as connection:
        if revision_in(connection) == latest_revision():
            return
    with database.writing(durable=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        refuse_newer(revision_in(connection))
        if connection.dialect.name == "postgresql":
            require_owner(connection)
        from smearcount.db import upgrade  # noqa: PLC0415 (loads Alembic, which most starts do not need)

        upgrade.upgrade(connection)
        grant(connection)


def require_current(database: Database) -> None:
    """Check that the tables are of this version, without changing anything.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: there are no tables yet, or they are of another version; the message says what to do.
    """
    nothing_yet = DatabaseError(
        f"nothing has been counted yet in {database.shown}; "
        "start with: smearcount up INBOX (or name another folder with --data)"
    )
    if database.file is not None and not database.file.exists():
        raise nothing_yet
    with database.reading() as connection:
        revision = revision_in(connection)
    if revision is None:
        raise nothing_yet
    refuse_newer(revision)
    if revision != latest_revision():
        raise DatabaseError(
            f"the database {database.shown} is of an older version ({revision}); upgrade it with: smearcount migrate"
        )


def latest_revision() -> str:
    """Return the name of the newest migration that this version knows.

    Raises:
        DatabaseError: the installation is damaged and holds no migrations.
    """
    return _revisions()[0]


def revision_in(connection: Connection) -> str | None:
    """Return the name of the migration that a database is at; None if it holds no tables of smearcount."""
    # Alembic's own function makes a new statement each time, and SQLAlchemy keeps hundreds of them, 16 kB each.
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def refuse_newer(revision: str | None, what: str = "the database") -> None:
    """Check that this version knows a migration; None, for a database without tables, passes.

    Raises:
        DatabaseError: this version does not know it, so a newer version made `what`.
    """
    if revision is not None and revision not in _revisions():
        raise DatabaseError(
            f"{what} was made by a newer version of smearcount (schema {revision}); upgrade this installation"
        )


@cache
def _revisions() -> tuple[str, ...]:
    """Return the names of all migrations that this version knows, newest first.

    We read the names from the files and do not load Alembic, which takes a quarter of a second.
    """
    following = {
        before: name
        for file in _VERSIONS.glob("*.py")
        for name, before in _REVISION.findall(file.read_text(encoding="utf-8"))
    }
    names: list[str] = []
    newest = ""
    while newest in following:
        newest = following[newest]
        names.insert(0, newest)
    if not names:
        raise DatabaseError("the installation is damaged: it holds no migrations; install smearcount again")
    return tuple(names)
