"""One watcher per inbox, and one sender per destination: each holds a lease, which is free again as soon as its process ends."""

import fcntl
from pathlib import Path
from typing import IO, ClassVar

from sqlalchemy import Connection, exc, text

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable


class Lease:
    """The right to do what only one process may do at a time.

    On SQLite, which serves one machine, the lease is a lock on a file beside the database. On PostgreSQL it is an advisory
    lock of a connection that stays open for it. Both end with the process, however that ends.
    """

    #: What the lease is of, in the name of the lock file.
    WHAT: ClassVar[str]
    #: First key of the PostgreSQL locks, which keeps them apart from those of other programs; the second is the number.
    SPACE: ClassVar[int]

    def __init__(self, database: Database, number: int) -> None:
        """Prepare the lease of the inbox or the destination with this id; `take` takes it."""
        self._database = database
        self._number = number
        self._file: IO[bytes] | None = None
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take the lease, or check that it is still held.

        Returns:
            Whether the lease is held; False if another process holds it.

        Raises:
            DatabaseUnavailable: the database does not answer, or the lock file cannot be used; the lease is not held.
        """
        return self._take_lock() if self._database.file is None else self._lock_file(self._database.file)

    def release(self) -> None:
        """Give the lease back, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _lock_file(self, database_file: Path) -> bool:
        if self._file is not None:
            return True
        lock = database_file.with_name(f"{database_file.name}.{self.WHAT}-{self._number}.lock")
        try:
            file = lock.open("ab", buffering=0)
        except OSError as error:
            raise DatabaseUnavailable(f"the lock beside the database cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError as error:
            file.close()
            raise DatabaseUnavailable(f"the lock beside the database cannot be held: {error.strerror}") from error
        self._file = file
        return True

    def _take_lock(self) -> bool:
        keys = {"space": self.SPACE, "number": self._number}
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1")).all()
                return True
            self._connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            is_mine = self._connection.execute(text("SELECT pg_try_advisory_lock(:space, :number)"), keys).scalar_one()
        except exc.SQLAlchemyError as error:
            self.release()
            raise DatabaseUnavailable(f"the database {self._database.shown} does not answer") from error
        if not is_mine:
            self.release()
        return bool(is_mine)


class InboxLease(Lease):
    """The right to watch one inbox."""

    WHAT = "inbox"
    SPACE = 0x736D63


class DestinationLease(Lease):
    """The right to send to one destination."""

    WHAT = "destination"
    SPACE = 0x736D64
