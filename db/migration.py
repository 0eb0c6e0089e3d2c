"""Bringing a database to the schema of this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from db.database import Database
from db.errors import DatabaseError

#: Any number: whoever holds this PostgreSQL lock is migrating.
_MIGRATION_LOCK = 0x736D6561


def migrate(database: Database) -> None:
    """Create or upgrade the tables and views; several processes may do so at once, one does the work.

    Raises:
        DatabaseError: the database was made by a newer version of smearcount, or cannot be used.
    """
    if database.file is not None:
        try:
            database.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"cannot make the data folder {database.file.parent}: {error.strerror}") from error
    with database.reading() as connection:
        if _revision(connection) == latest_revision():
            return
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        _refuse_newer(_revision(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(database: Database) -> None:
    """Check that the tables are of this version, without changing anything.

    Raises:
        DatabaseError: there are none yet, or they are of another version; says what to do.
    """
    nothing_yet = DatabaseError(
        f"nothing has been counted yet in {database.shown}; "
        "start with: smearcount up INBOX (or name another folder with --data)"
    )
    if database.file is not None and not database.file.exists():
        raise nothing_yet
    with database.reading() as connection:
        revision = _revision(connection)
    if revision is None:
        raise nothing_yet
    _refuse_newer(revision)
    if revision != latest_revision():
        raise DatabaseError(
            f"the database {database.shown} is of an older version ({revision}); upgrade it with: smearcount migrate"
        )


def latest_revision() -> str:
    """Name of the newest migration that this version knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise DatabaseError("the installation is damaged: it holds no migrations; install smearcount again")
    return head


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseError(
            f"the database was made by a newer version of smearcount (schema {revision}); upgrade this installation"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
