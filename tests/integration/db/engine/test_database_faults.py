"""When the database does not answer, is locked, full, or is none: said in bounded time, and nothing half written."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event, text

from smearcount.db.engine import database
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError, DatabaseUnavailable
from smearcount.db.ingest import journal, results
from smearcount.db.migration import migrate, require_current
from smearcount.db.queries import counts
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import inbox_lines, progress

from support.journalling import new_inbox, seen, take
from support.servers import PostgresqlServer, free_port


def test_a_locked_sqlite_is_said_in_bounded_time_and_nothing_is_written(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SQLITE_BUSY_SECONDS", 0.5)
    with Database(sqlite_url) as opened, sqlite3.connect(str(opened.file), isolation_level=None) as other:
        inbox = new_inbox(opened)
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()

        with pytest.raises(DatabaseUnavailable, match="locked"):
            journal.record(opened, inbox, [seen("S/a.jpg")])

        assert 0.4 < time.monotonic() - started < 9, "not the ten seconds that it waits elsewhere"
        assert counts.slide_tallies(opened) == [], "reading goes on meanwhile"
        other.execute("ROLLBACK")
        assert journal.record(opened, inbox, [seen("S/a.jpg")]).new == 1
    other.close()


def test_a_writer_that_reads_first_waits_its_turn(sqlite_database: Database) -> None:
    """SQLite refuses at once, whatever the timeout, to let a transaction write after another has, since it read."""
    new_inbox(sqlite_database)
    trouble: list[DatabaseUnavailable] = []

    def add_many() -> None:
        try:
            for _ in range(50):
                with sqlite_database.writing() as connection:
                    arriving = connection.execute(text("SELECT arriving FROM inboxes")).scalar_one()
                    connection.execute(text("UPDATE inboxes SET arriving = :more"), {"more": arriving + 1})
        except DatabaseUnavailable as error:
            trouble.append(error)

    threads = [threading.Thread(target=add_many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert trouble == []
    assert [line.arriving for line in inbox_lines(sqlite_database)] == [150]


def test_a_full_disk_is_said_and_nothing_is_written(sqlite_database: Database) -> None:
    inbox = new_inbox(sqlite_database)
    journal.record(sqlite_database, inbox, [seen("S/first.jpg")])
    _allow_pages(sqlite_database, 0)  # SQLite takes that as: no more than there are

    with pytest.raises(DatabaseUnavailable, match="full"):
        journal.record(sqlite_database, inbox, [seen(f"S/{i:0200}.jpg") for i in range(2000)])

    assert [line.path for line in image_lines(sqlite_database)] == ["S/first.jpg"]
    _allow_pages(sqlite_database, 1_000_000)
    assert journal.record(sqlite_database, inbox, [seen(f"S/{i}.jpg") for i in range(2000)]).new == 2000


def _allow_pages(opened: Database, pages: int) -> None:
    """Let the database grow no further than so many pages, as on a full disk."""
    opened.close()
    pragma = f"PRAGMA max_page_count = {pages or 1}"

    @event.listens_for(opened.engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(pragma)


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough to look at" * 50, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_database_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "smearcount.db"
    path.write_bytes(content)
    with Database(f"sqlite:///{path}") as opened:
        for use in (require_current, migrate):
            with pytest.raises(DatabaseError) as raised:
                use(opened)
            assert not isinstance(raised.value, DatabaseUnavailable), "waiting would not help"
    assert path.read_bytes() == content


def test_someone_elses_database_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE patients (name TEXT)")
    connection.close()

    with Database(f"sqlite:///{path}") as opened:
        with pytest.raises(DatabaseError, match="nothing has been counted yet"):
            require_current(opened)
        with pytest.raises(DatabaseError, match="no smearcount tables"):
            counts.slide_tallies(opened)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "is no database URL"),
        ("mysql://host/name", "mysql database is not supported"),
        ("oracle://host/name", "not supported"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_wrong_url_is_refused_with_a_remedy(url: str, says: str) -> None:
    with pytest.raises(DatabaseError, match=says) as raised:
        Database(url)
    assert not isinstance(raised.value, DatabaseUnavailable)


def test_a_password_is_never_shown() -> None:
    with Database("postgresql://someone:verysecret@127.0.0.1:1/name") as opened:
        assert "verysecret" not in opened.shown
        with pytest.raises(DatabaseUnavailable) as raised, opened.reading():
            pass
    assert "verysecret" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)


def test_a_postgresql_that_is_not_there_is_said_in_bounded_time() -> None:
    started = time.monotonic()
    with (
        Database("postgresql://someone@127.0.0.1:1/name") as opened,
        pytest.raises(DatabaseUnavailable),
        opened.writing(),
    ):
        pass
    assert time.monotonic() - started < 10


def test_a_database_that_does_not_exist_is_said(postgresql_url: str) -> None:
    base, _, query = postgresql_url.partition("?")
    with (
        Database(f"{base}_not_there{'?' + query if query else ''}") as opened,
        pytest.raises(DatabaseUnavailable, match="does not exist"),
        opened.reading(),
    ):
        pass


def test_after_postgresql_was_restarted_the_next_transaction_works(own_postgresql: PostgresqlServer) -> None:
    with Database(own_postgresql.url()) as opened:
        migrate(opened)
        inbox = new_inbox(opened)
        journal.record(opened, inbox, [seen("S/a.jpg")])
        own_postgresql.stop()

        with pytest.raises(DatabaseUnavailable):
            journal.record(opened, inbox, [seen("S/b.jpg")])
        with pytest.raises(DatabaseUnavailable):
            progress(opened)

        own_postgresql.start()
        assert journal.record(opened, inbox, [seen("S/b.jpg")]).new == 1
        assert progress(opened).pending == 2


def test_postgresql_stopped_in_the_middle_of_a_transaction_leaves_nothing(own_postgresql: PostgresqlServer) -> None:
    with Database(own_postgresql.url()) as opened:
        migrate(opened)
        inbox = new_inbox(opened)
        journal.record(opened, inbox, [seen("S/a.jpg")])
        batches = take(opened, inbox)

        def write_while_it_stops() -> None:
            with opened.writing() as connection:
                connection.execute(text("UPDATE images SET state = 'done'"))
                own_postgresql.stop()
                connection.execute(text("SELECT 1"))

        with pytest.raises(DatabaseUnavailable):
            write_while_it_stops()
        own_postgresql.start()
        assert [item.path for item in results.begin(opened, batches[0].image_ids)] == ["S/a.jpg"]


def test_the_server_soon_lets_go_of_what_a_vanished_machine_had_locked() -> None:
    server = PostgresqlServer(port=free_port())
    try:
        server.start()
        with Database(server.url()) as opened, opened.reading() as connection:
            assert connection.execute(text("SHOW tcp_keepalives_idle")).scalar_one() == "10"
            assert connection.execute(text("SHOW tcp_keepalives_interval")).scalar_one() == "5"
            assert connection.execute(text("SHOW tcp_keepalives_count")).scalar_one() == "4"
            assert connection.execute(text("SHOW tcp_user_timeout")).scalar_one() == "30000"
    finally:
        server.remove()


def test_what_the_caller_raises_undoes_the_transaction_and_comes_out_as_it_is(database: Database) -> None:
    inbox = new_inbox(database)

    def write_and_fail() -> None:
        with database.writing() as connection:
            connection.execute(text("UPDATE inboxes SET arriving = 9"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert [line.arriving for line in inbox_lines(database)] == [0]
    assert journal.record(database, inbox, [seen("S/a.jpg")]).new == 1
