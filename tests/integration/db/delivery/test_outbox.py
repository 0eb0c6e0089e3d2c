"""The outbox is complete and in the order of commits, whoever writes at the same moment and from whatever version it comes."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from smearcount.db.delivery import messages, outbox
from smearcount.db.delivery.destinations import position, register
from smearcount.db.delivery.messages import NewMessage
from smearcount.db.delivery.outbox import ChangeKind
from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import DestinationLease, InboxLease
from smearcount.db.migration import migrate
from smearcount.db.review import sign_off
from smearcount.db.schema import DeliveryRow, OutboxRow

from support.backing import make_as_of
from support.journalling import new_inbox
from support.receiving.delivering import slides
from support.reviewing import IG, Bench, sign


def kinds(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(OutboxRow.kind).order_by(OutboxRow.id)).scalars())


def test_everything_that_people_do_is_told_once_for_each_slide(database: Database) -> None:
    bench = Bench(database)
    one = bench.fill("S-1", [None, None])
    two = bench.fill("S-2", [None])
    bench.complete()
    bench.call(IG, *one, *two)
    first = bench.slide_id("S-1")
    sign_off.comment(database, first, reviewer="Ada", text="pale")
    event = sign(database, first, reviewer="Ada")

    assert kinds(database) == ["completed", "completed", "review", "review", "comment", "sign-off"]
    last = outbox.happenings(database, after=5, limit=10)
    assert [(row.slide_id, row.kind, row.event_id, row.at) for row in last] == [
        (first, ChangeKind.SIGN_OFF, event.id, event.at)
    ]


def test_rows_are_committed_in_the_order_of_their_ids(postgresql_database: Database) -> None:
    """Otherwise a reader who has seen the greater id would never look for the smaller one."""
    database = postgresql_database
    (slide_id, other) = slides(Bench(database), "S-1", "S-2")
    row = {"kind": "comment", "event_id": None, "at": datetime.now(UTC)}
    is_waiting = threading.Event()

    def add_another() -> None:
        with database.writing() as connection:
            is_waiting.set()
            outbox.add(connection, [{"slide_id": other, **row}])

    thread = threading.Thread(target=add_another)
    with database.writing() as connection:
        outbox.add(connection, [{"slide_id": slide_id, **row}])
        thread.start()
        assert is_waiting.wait(60)
        thread.join(0.5)
        assert thread.is_alive(), "it has to wait for the row before its own"
        assert kinds(database) == ["completed", "completed"]
    thread.join()

    rows = outbox.happenings(database, after=2, limit=10)
    assert [one.slide_id for one in rows] == [slide_id, other]


def test_what_earlier_versions_stored_is_in_it_by_time(bare_database: Database) -> None:
    make_as_of(bare_database, "0011")
    migrate(bare_database)

    rows = outbox.happenings(bare_database, after=0, limit=10)
    assert [(row.slide_id, row.kind) for row in rows] == [(1, ChangeKind.COMPLETED), (1, ChangeKind.SIGN_OFF)]
    assert rows[1].event_id is not None


def test_messages_are_made_once_of_each_row(database: Database) -> None:
    (slide_id,) = slides(Bench(database), "S-1")
    destination = register(database, {"lis": datetime.now(UTC) - timedelta(days=1)})["lis"]
    came_from, newest = position(database, destination)
    new = [NewMessage(newest, slide_id, "preliminary", "x" * 20, "text")]

    assert messages.store(database, destination, new, came_from=came_from, up_to=newest)
    assert not messages.store(database, destination, new, came_from=came_from, up_to=newest)

    with database.reading() as connection:
        assert len(connection.execute(select(DeliveryRow.id)).all()) == 1
    assert position(database, destination) == (newest, newest)


def test_a_destination_that_the_settings_name_no_more_is_kept(database: Database) -> None:
    ids = register(database, {"lis": None, "archive": None})
    assert register(database, {"lis": None}) == {"lis": ids["lis"]}
    assert register(database, {"archive": None, "lis": None}) == ids


def test_only_one_sender_serves_a_destination(database: Database) -> None:
    inbox = new_inbox(database)
    one, other, watcher = (
        DestinationLease(database, inbox),
        DestinationLease(database, inbox),
        InboxLease(database, inbox),
    )
    assert one.take()
    assert not other.take()
    assert watcher.take(), "an inbox of the same number is something else"
    one.release()
    assert other.take()
    for lease in (other, watcher):
        lease.release()


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_cursor_misses_nothing_whatever_the_size_of_a_page(database: Database, limit: int) -> None:
    names = [f"S-{number}" for number in range(5)]
    ids = slides(Bench(database), *names)
    for one in reversed(ids):
        sign_off.comment(database, one, reviewer="Ada", text="pale")
    seen: list[int] = []
    cursor = 0
    while True:
        found = outbox.changed_slides(database, after=cursor, limit=limit)
        seen += found.slides
        cursor = found.cursor
        if not found.is_more:
            break
    assert set(seen) == set(ids)
    assert seen[-1] == ids[0]
    assert outbox.changed_slides(database, after=cursor, limit=limit).slides == ()
