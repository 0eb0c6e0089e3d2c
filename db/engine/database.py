"""The connection: one database, SQLite or PostgreSQL, with transactions for reading and for writing."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from smearcount.db.errors import DatabaseError, DatabaseUnavailable

#: How long a writer waits for another one before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 10
POSTGRESQL_CONNECT_SECONDS = 5


class Database:
    """A database that transactions can be opened on; connects when first used, and again after a lost connection."""

    def __init__(self, url: str) -> None:
        """Prepare for the database at `url`; nothing is connected yet.

        Raises:
            DatabaseError: the URL is not one of a supported database.
        """
        self.url = _checked_url(url)
        self.engine = _engine(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def shown(self) -> str:
        """The URL without its password, for people."""
        return self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        is_file = self.url.get_backend_name() == "sqlite" and self.url.database
        return Path(str(self.url.database)) if is_file else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database.

        Raises:
            DatabaseUnavailable: it does not answer; another try may succeed.
            DatabaseError: it answers, but cannot be used.
        """
        # PostgreSQL by itself would let each query of a transaction see another state: an image could be missed
        # because it was pending for the one and counted for the next.
        options = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        with (
            _translated(self.shown),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction to write in; committed at the end, undone when anything is raised.

        Raises:
            DatabaseUnavailable: it does not answer, is locked or full; nothing was written.
            DatabaseError: it answers, but cannot be used.
        """
        options = {"smearcount_writes": True}
        with (
            _translated(self.shown),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection


def without_password(url: str) -> str:
    """Return a URL of a database or a broker as it may be shown."""
    return make_url(url).render_as_string(hide_password=True)


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise DatabaseError(
            f"{url!r} is no database URL; it looks like postgresql://user:secret@host/smearcount or sqlite:////path/file.db"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise DatabaseError("a database in memory would be gone with its process; name a file: sqlite:////path/file.db")
    if backend == "sqlite":
        return parsed
    raise DatabaseError(f"a {backend} database is not supported; use postgresql:// or sqlite://")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        engine = create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": POSTGRESQL_CONNECT_SECONDS,
                "application_name": "smearcount",
                # A server that vanished without a word is noticed in half a minute, not in hours.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 4,
                "tcp_user_timeout": 30_000,
            },
        )
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(connection: Any, _record: object) -> None:
    # The other way round: of a machine that vanished without a word, the server keeps the locks for hours, and whoever
    # works on the same slide or wants the same inbox waits, unless it looks sooner whether the machine is still there.
    settings = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4", "user_timeout": "30000"}
    chosen = ", ".join(f"set_config('tcp_{name}', '{value}', false)" for name, value in settings.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {chosen}")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    # Rows that are written are found by their keys. While a table is small the server would rather read it as a whole,
    # and it keeps a plan that it has made, for a minute or until the table has its first thousands of rows.
    if connection.get_execution_options().get("smearcount_writes", False):
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    _use_wal(cursor)
    # With WAL a power cut may lose the last transactions but never damages the file; what is lost is found again by
    # the next scan, since the images are still in the inbox.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    # Of several processes that make the file at the same moment, all but one are told "locked" at once: for this
    # statement alone SQLite waits for nobody, whatever the timeout.
    deadline = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts by reading and then writes can fail at once with "locked", whatever the timeout;
    # one that takes the write lock first waits its turn.
    writes = connection.get_execution_options().get("smearcount_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated(shown: str) -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        if "no such table" in str(error) or "no such column" in str(error):
            raise DatabaseError(f"the database {shown} holds no smearcount tables of this version") from error
        raise DatabaseUnavailable(f"the database {shown} cannot be used just now: {_first_line(error)}") from error
    except exc.ProgrammingError as error:
        raise DatabaseError(f"the database {shown} refused a query: {_first_line(error)}") from error
    except exc.DatabaseError as error:
        raise DatabaseError(f"the database {shown} is damaged or refuses: {_first_line(error)}") from error


def _first_line(error: exc.SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
