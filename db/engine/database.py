"""The database, SQLite or PostgreSQL, with transactions for reading and for writing."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from smearcount.db.errors import DatabaseError, DatabaseUnavailable

#: Time that a writer waits for another one before it gives up, in seconds.
SQLITE_BUSY_SECONDS = 10
#: Time within which a PostgreSQL server must answer a new connection, in seconds.
POSTGRESQL_CONNECT_SECONDS = 5

#: How URLs begin that hold a path, and no login.
_PATHS = ("sqlite", "redis+socket", "unix")
#: Passwords among the parameters of a URL.
_IN_QUERY = re.compile(r"([?&;][^=&;]*(?:password|passwd|pwd|secret|token)=)[^&;#]*", re.IGNORECASE)

# A server or a login may be set to answer before anything is on disk (`off`). All other settings wait for this server's disk
# at least, and perhaps for another server as well, which is the site's choice.
_BEGIN_DURABLE = """
SELECT set_config('enable_seqscan', 'off', true),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, true)
"""


class Database:
    """A database on which transactions can be opened.

    It connects when it is first used, and again after a connection was lost. Threads may share it.
    """

    def __init__(self, url: str) -> None:
        """Prepare for the database at `url`; this does not connect yet.

        Raises:
            DatabaseError: the URL is none of a supported database.
        """
        self.url = _checked_url(url)
        self.engine = _engine(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; the next transaction opens a new one."""
        self.engine.dispose()

    @property
    def shown(self) -> str:
        """The URL without its password, for messages."""
        return without_password(self.url.render_as_string(hide_password=False))

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database; None for PostgreSQL."""
        is_file = self.url.get_backend_name() == "sqlite" and self.url.database
        return Path(str(self.url.database)) if is_file else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database from its first query to its end.

        Raises:
            DatabaseUnavailable: the database does not answer; another try may succeed.
            DatabaseError: the database answers, but cannot be used.
        """
        # By default each query of a PostgreSQL transaction sees a state of its own: an image that is pending for one
        # query and counted for another could be in neither number.
        options = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        with (
            _translated(self.shown),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Connection]:
        """Open a transaction to write in: it is committed at the end, or rolled back if anything is raised.

        On SQLite it holds the database's one write lock from its beginning. On PostgreSQL it sees what other transactions
        commit meanwhile; `db.engine.locking` keeps them from rows.

        Args:
            durable: wait at the end until everything is on disk, so that it also outlives a power cut. What a person did is
                written so; what the next scan finds again need not be.

        Raises:
            DatabaseUnavailable: the database does not answer, is locked or full; nothing was written.
            DatabaseError: the database answers, but cannot be used; nothing was written.
        """
        options = {"smearcount_writes": True, "smearcount_durable": durable}
        with (
            _translated(self.shown),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection


def without_password(url: str) -> str:
    """Return the URL of a database or a broker without its passwords, also where it is not a proper one."""
    address, mark, query = url.partition("?")
    scheme, slashes, rest = address.partition("://")
    if not scheme.lower().startswith(_PATHS):
        # Up to the last @: somebody may have forgotten to quote the one in a password.
        login, at, host = (rest if slashes else scheme).rpartition("@")
        user, colon, _ = login.partition(":")
        shown = f"{user}:***" if colon and slashes else "***" if not slashes and at else login
        address = f"{scheme}{slashes}{shown}{at}{host}" if slashes else f"{shown}{at}{host}"
    return address + _IN_QUERY.sub(r"\1***", mark + query)


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number, too
        raise DatabaseError(
            f"{without_password(url)!r} is no database URL; it looks like postgresql://user:secret@host/smearcount or sqlite:////path/file.db"
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
                # The client notices within half a minute, and not within hours, that the server's machine is gone.
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
    # The server, too, must notice that a client's machine is gone. By default it keeps the client's locks for hours, and
    # workers at the same slide and watchers of the same inbox would wait for as long.
    settings = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4", "user_timeout": "30000"}
    chosen = ", ".join(f"set_config('tcp_{name}', '{value}', false)" for name, value in settings.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {chosen}")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    # Writing statements find their rows by keys. While a table is small, the server prefers to read it as a whole, and it
    # keeps such a plan for a minute or until the table has some thousand rows.
    if options.get("smearcount_writes", False):
        connection.exec_driver_sql(
            _BEGIN_DURABLE if options.get("smearcount_durable", False) else "SET LOCAL enable_seqscan = off"
        )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions, not the driver
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    # For this statement alone, SQLite ignores its timeout: if several processes make the file at the same moment, all but
    # one of them fail at once with "locked".
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
    # A transaction that reads first and then writes may fail at once with "locked", whatever the timeout is. One that
    # takes the write lock first waits for its turn.
    options = connection.get_execution_options()
    if not options.get("smearcount_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # With WAL and NORMAL, a power cut may lose the last transactions but never damages the file. The next scan finds again
    # what was lost, since the images are still in the inbox. What a person did, no scan finds: FULL syncs the log at the end
    # of the transaction, and with it everything that was committed before. SQLite sets the level between transactions alone,
    # and the pool hands out a connection as the one before left it; so each writer sets its own.
    level = "FULL" if options.get("smearcount_durable", False) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


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
