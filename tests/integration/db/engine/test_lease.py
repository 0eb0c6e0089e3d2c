"""One watcher per inbox, and none for longer than its process lives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
from smearcount.db.errors import DatabaseUnavailable

from support.journalling import new_inbox
from support.waiting import wait_until

_HOLD = """
import sys
from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
lease = InboxLease(Database(sys.argv[1]), int(sys.argv[2]))
print(lease.take(), flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(database: Database, inbox: int) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lease."""
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _HOLD, url, str(inbox)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def lease(database: Database) -> Iterator[InboxLease]:
    made = InboxLease(database, new_inbox(database))
    yield made
    made.release()


def test_taking_it_again_keeps_it(lease: InboxLease) -> None:
    assert lease.take()
    assert lease.take()


def test_a_second_holder_is_refused_until_the_first_gives_it_back(database: Database, lease: InboxLease) -> None:
    assert lease.take()
    with Database(database.url.render_as_string(hide_password=False)) as other_database:
        other = InboxLease(other_database, new_inbox(database))

        assert not other.take()
        lease.release()
        assert other.take()
        assert not lease.take()
        other.release()


def test_inboxes_do_not_keep_each_other_from_being_watched(database: Database, lease: InboxLease) -> None:
    assert lease.take()
    other = InboxLease(database, new_inbox(database, "/other"))

    assert other.take()
    other.release()


def test_it_is_free_the_moment_its_holder_is_killed(database: Database, lease: InboxLease) -> None:
    with held_elsewhere(database, new_inbox(database)) as process:
        assert not lease.take()
        process.kill()
        process.wait()
        wait_until(lease.take, what="the lease to be free")


def test_giving_back_what_one_does_not_hold_is_harmless(lease: InboxLease) -> None:
    lease.release()
    lease.release()


def test_a_lost_connection_is_noticed_and_the_lease_taken_anew(postgresql_database: Database) -> None:
    lease = InboxLease(postgresql_database, new_inbox(postgresql_database))
    assert lease.take()
    with postgresql_database.writing() as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        assert connection.execute(text(ended)).all()

    with pytest.raises(DatabaseUnavailable):
        lease.take()
    wait_until(lease.take, what="the lease to be taken anew")
    lease.release()


def test_a_server_that_does_not_answer_is_said(postgresql_url: str) -> None:
    with Database(postgresql_url.replace("?host=/", "?host=/nowhere/")) as database:
        lease = InboxLease(database, 1)
        with pytest.raises(DatabaseUnavailable):
            lease.take()


def test_a_lock_file_that_cannot_be_made_is_said(sqlite_database: Database) -> None:
    lease = InboxLease(sqlite_database, 1)
    assert sqlite_database.file is not None
    sqlite_database.file.with_name(f"{sqlite_database.file.name}.inbox-1.lock").mkdir()

    with pytest.raises(DatabaseUnavailable, match="lock"):
        lease.take()
