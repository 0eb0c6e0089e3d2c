"""Keeping the queue filled from the journal, with a real database and a real Valkey."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.ingest import journal, queueing, results
from smearcount.watcher.dispatch import Dispatch
from smearcount.watcher.settings import WatcherSettings
from smearcount.worker.queue import BatchQueue
from smearcount.worker.settings import WorkerSettings

from support.journalling import MODEL, classified, new_inbox, seen, take


@pytest.fixture
def queue(broker_url: str) -> Iterator[BatchQueue]:
    """Yield an empty queue."""
    opened = BatchQueue(WorkerSettings(), broker_url)
    yield opened
    opened.close()


def finish(database: Database, ids: range) -> None:
    """Do with images what a worker does."""
    begun, _ = results.begin_fresh(database, list(ids))
    assert len(begun) == len(ids)
    results.store(database, MODEL, "bench", [classified(item.image_id, str(item.image_id)) for item in begun])


def test_the_queue_is_refilled_with_whole_batches_and_not_image_by_image(
    database: Database, queue: BatchQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smearcount.watcher.dispatch._FULL_SECONDS", 0.0)
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(100)])
    dispatch = Dispatch(database, queue, inbox, WatcherSettings(queue_images=40, batch_images=4))

    dispatch.run()
    assert (queueing.count_queued(database), queue.depth().waiting) == (40, 10)

    finish(database, range(1, 11))
    dispatch.run()
    assert (queueing.count_queued(database), queue.depth().waiting) == (30, 10), "room for ten is left as it is"

    finish(database, range(11, 21))
    dispatch.run()
    assert (queueing.count_queued(database), queue.depth().waiting) == (40, 15), "half empty, it is filled up"


def test_more_is_queued_than_fits_into_one_round(database: Database, queue: BatchQueue) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{number:04}.jpg") for number in range(3000)])
    dispatch = Dispatch(database, queue, inbox, WatcherSettings())

    dispatch.run()
    assert queueing.count_queued(database) == 2048
    dispatch.run()
    assert queueing.count_queued(database) == 3000


def test_what_is_left_is_queued_however_little_it_is(database: Database, queue: BatchQueue) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(45)])
    dispatch = Dispatch(database, queue, inbox, WatcherSettings(queue_images=40, batch_images=4))

    dispatch.run()
    finish(database, range(1, 41))
    dispatch.run()

    assert queueing.count_queued(database) == 5


def queued(database: Database, ids: range, *, ago: timedelta) -> None:
    """Have it that images were queued then."""
    moment = datetime.now(UTC) - ago
    with database.writing() as connection:
        if connection.dialect.name == "sqlite":
            moment = moment.replace(tzinfo=None)
        change = text("UPDATE images SET queued_at = :moment WHERE id BETWEEN :first AND :last")
        connection.execute(change, {"moment": str(moment), "first": ids[0], "last": ids[-1]})


@pytest.mark.parametrize(
    ("lost_ago", "finished_ago", "is_taken_back"),
    [
        pytest.param(timedelta(minutes=20), timedelta(minutes=1), True, id="overtaken"),
        pytest.param(timedelta(minutes=20), timedelta(minutes=19), False, id="its turn comes only now"),
        pytest.param(timedelta(minutes=2), timedelta(0), False, id="may be delivered again"),
        pytest.param(timedelta(minutes=20), timedelta(hours=-1), False, id="the clock was set back"),
    ],
)
def test_a_batch_that_later_ones_have_long_overtaken_is_queued_again_though_the_queue_is_not_empty(
    database: Database, queue: BatchQueue, lost_ago: timedelta, finished_ago: timedelta, is_taken_back: bool
) -> None:
    inbox = new_inbox(database)
    settings = WatcherSettings(queue_images=40, batch_images=4)
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(4)])
    take(database, inbox)  # and never sent
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(4, 12)])
    Dispatch(database, queue, inbox, settings).run()
    assert queue.depth().waiting == 2
    queued(database, range(1, 5), ago=lost_ago)
    queued(database, range(5, 13), ago=finished_ago)
    finish(database, range(5, 9))

    Dispatch(database, queue, inbox, settings).run()

    assert queue.depth().waiting == (3 if is_taken_back else 2)
    Dispatch(database, queue, inbox, settings).run()
    assert queue.depth().waiting == (3 if is_taken_back else 2), "once is enough"
