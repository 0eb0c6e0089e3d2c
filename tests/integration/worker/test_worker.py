"""A real worker: its own processes, a real broker, real databases."""

import os
import signal
import time
from pathlib import Path

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.engine.database import Database
from smearcount.db.ingest import queueing
from smearcount.db.migration import migrate
from smearcount.db.records import Batch
from smearcount.worker.application import make_application
from smearcount.worker.settings import WorkerSettings

from support.servers import PostgresqlServer
from support.waiting import wait_until
from support.worker_process import SLOW
from support.working import QueuedInbox, WorkerProcess, WorkerTimes, kill_broker

#: What an operator should never read in the log of a worker that works.
FRIGHTENING = ("Traceback", "Warning", "WARNING", "ERROR", "CRITICAL", "superuser", "Deprecat")


def _assert_calm(worker: WorkerProcess) -> None:
    said = worker.said()
    assert not [word for word in FRIGHTENING if word in said], said


def _started(worker: WorkerProcess) -> None:
    wait_until(worker.is_ready, what="the worker to be ready")


def test_a_worker_counts_what_is_queued_ends_calmly_and_names_no_file_and_no_slide(
    any_inbox: QueuedInbox, tmp_path: Path
) -> None:
    any_inbox.put("Jane Doe 1970", 150)
    any_inbox.put("S2", 70)
    (any_inbox.root / "Jane Doe 1970" / "bad.jpg").write_bytes(b"no image")
    any_inbox.journal("Jane Doe 1970")

    with WorkerProcess(any_inbox, tmp_path / "worker.log") as worker:
        any_inbox.tend_until_finished()
        assert any_inbox.queue.depth().waiting == 0
        code = worker.stop()

    assert code == 0
    assert any_inbox.states() == {"done": 220, "quarantined": 1}
    assert {outcome.attempts for outcome in any_inbox.outcomes().values()} == {1}
    assert any_inbox.queue.depth().held == 0
    assert "Jane" not in worker.said()
    assert ".jpg" not in worker.said()
    _assert_calm(worker)


def test_sigterm_finishes_the_batch_under_way_and_leaves_the_rest_queued(inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox.put("S1", 12 * 64, dict.fromkeys(range(0, 12 * 64, 64), SLOW))
    inbox.send()

    with WorkerProcess(inbox, tmp_path / "worker.log", workers=1) as worker:
        wait_until(inbox.finished_images, what="the first batch")
        held = inbox.queue.depth().held
        # Between two batches it holds none for a moment.
        wait_until(lambda: inbox.queue.depth().held == 1, what="the next batch to be under way")
        code = worker.stop()

    assert code == 0
    assert held <= 1, "a worker of one process holds more than the message it works on"
    finished = inbox.finished_images()
    assert finished % 64 == 0
    assert 64 <= finished < 12 * 64
    # What was received and not begun goes back at once.
    assert inbox.queue.depth().held == 0
    # A batch just finished may be there once more, which changes nothing.
    assert inbox.queue.depth().waiting + finished // 64 in {12, 13}
    assert set(inbox.outcomes().values()) >= {("queued", None, 0, None, None)}
    _assert_calm(worker)


def test_ctrl_c_in_a_terminal_finishes_the_batch_under_way(inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox.put("S1", 6 * 64, dict.fromkeys(range(0, 6 * 64, 64), SLOW))
    inbox.send()

    with WorkerProcess(inbox, tmp_path / "worker.log") as worker:
        wait_until(inbox.finished_images, what="the first batch")
        os.killpg(worker.process.pid, signal.SIGINT)  # a terminal tells parent and children alike
        code = worker.wait()

    assert code == 0
    assert inbox.finished_images() % 64 == 0
    assert {outcome.attempts for outcome in inbox.outcomes().values() if outcome.state == "queued"} <= {0}
    assert inbox.queue.depth().held == 0
    _assert_calm(worker)


def test_a_worker_waits_for_a_broker_that_is_not_there_yet(
    tmp_path: Path, sqlite_database: Database, own_broker: EmbeddedBroker
) -> None:
    (tmp_path / "inbox").mkdir()
    with QueuedInbox(sqlite_database, tmp_path / "inbox", own_broker.url) as inbox:
        inbox.put("S1", 10)
        with WorkerProcess(inbox, tmp_path / "worker.log") as worker:
            wait_until(lambda: "Cannot connect" in worker.said(), what="the worker to miss the broker")

            own_broker.start()

            inbox.tend_until_finished()
            assert worker.stop() == 0
        assert inbox.states() == {"done": 10}
        assert "Traceback" not in worker.said()


def test_a_worker_goes_on_after_the_broker_was_killed_and_restarted(
    tmp_path: Path, sqlite_database: Database, own_broker: EmbeddedBroker
) -> None:
    (tmp_path / "inbox").mkdir()
    own_broker.start()
    with QueuedInbox(sqlite_database, tmp_path / "inbox", own_broker.url) as inbox:
        inbox.put("S1", 8 * 64, dict.fromkeys(range(0, 8 * 64, 64), SLOW))
        with WorkerProcess(inbox, tmp_path / "worker.log") as worker:
            inbox.tend_until(inbox.finished_images, what="the first batch")
            kill_broker(own_broker)
            own_broker.start()

            inbox.tend_until_finished()
            assert worker.stop() == 0
        assert inbox.states() == {"done": 8 * 64}
        assert "Traceback" not in worker.said()
        assert "Deprecat" not in worker.said()


def test_a_worker_ends_when_told_to_while_the_broker_is_away(
    tmp_path: Path, sqlite_database: Database, own_broker: EmbeddedBroker
) -> None:
    (tmp_path / "inbox").mkdir()
    own_broker.start()
    with QueuedInbox(sqlite_database, tmp_path / "inbox", own_broker.url) as inbox:
        inbox.put("S1", 64, {0: SLOW, 1: SLOW})
        inbox.send()
        with WorkerProcess(inbox, tmp_path / "worker.log", workers=1) as worker:
            wait_until(lambda: inbox.outcomes()["S1/0000.jpg"].attempts, what="the batch to be begun")
            worker.process.send_signal(signal.SIGTERM)
            own_broker.stop()

            assert worker.wait() == 0
        assert inbox.states() == {"done": 64}, "the batch under way was not finished"
        assert "Traceback" not in worker.said()


def test_a_worker_goes_on_with_an_emptied_broker(
    inbox: QueuedInbox, tmp_path: Path, own_broker: EmbeddedBroker
) -> None:
    inbox.broker_url = own_broker.url
    own_broker.start()
    inbox.put("S1", 4 * 64, dict.fromkeys(range(0, 4 * 64, 64), SLOW))
    with WorkerProcess(inbox, tmp_path / "worker.log", workers=1) as worker:
        inbox.tend_until(inbox.finished_images, what="the first batch")
        kill_broker(own_broker)
        (own_broker.folder / "appendonlydir").rename(tmp_path / "lost")
        own_broker.start()

        inbox.tend_until_finished()
        assert worker.stop() == 0
    assert inbox.states() == {"done": 4 * 64}


def test_killing_all_processes_in_mid_work_changes_no_count(inbox: QueuedInbox, tmp_path: Path) -> None:
    comments = dict.fromkeys(range(0, 5 * 64, 64), SLOW)
    inbox.put("S1", 5 * 64, comments)
    inbox.put("S2", 5 * 64, comments)
    quick: WorkerTimes = {"batch_seconds": 4, "redelivery_seconds": 5}

    for round_ in range(2):
        with WorkerProcess(inbox, tmp_path / "worker.log", **quick) as worker:
            before = inbox.finished_images()
            inbox.tend_until(lambda now=before: inbox.finished_images() > now, what="a batch")  # type: ignore[misc]
            worker.kill()
        assert inbox.open_images(), f"everything was finished before the kill in round {round_}"
    with WorkerProcess(inbox, tmp_path / "worker.log", **quick) as worker:
        inbox.tend_until_finished()
        assert worker.stop() == 0

    assert inbox.states() == {"done": 10 * 64}
    classes = inbox.classes()
    assert classes["S1"] == classes["S2"]
    assert classes["S1"].total() == 5 * 64


def test_the_lock_of_a_worker_killed_while_it_looks_for_lost_messages_ends_soon(
    inbox: QueuedInbox, tmp_path: Path
) -> None:
    inbox.put("S1", 64, {0: SLOW, 1: SLOW})
    inbox.send()
    quick: WorkerTimes = {"batch_seconds": 4, "redelivery_seconds": 5}
    with WorkerProcess(inbox, tmp_path / "worker.log", **quick) as worker:
        wait_until(lambda: inbox.outcomes()["S1/0000.jpg"].attempts, what="the batch to be begun")
        worker.kill()
    application = make_application(WorkerSettings(), inbox.broker_url)
    with application.connection_for_read() as connection:
        channel = connection.default_channel
        lock = channel.client.lock(channel.unacked_mutex_key, timeout=channel.unacked_mutex_expire)
        assert lock.acquire(blocking=False)

        with WorkerProcess(inbox, tmp_path / "worker.log", **quick) as worker:
            began = time.monotonic()
            inbox.tend_until_finished()
            assert time.monotonic() - began < 120, "kombu's own limit is 300 s"
            assert worker.stop() == 0
    application.close()
    assert inbox.states() == {"done": 64}


def test_a_batch_delivered_to_two_processes_at_once_counts_once(any_inbox: QueuedInbox, tmp_path: Path) -> None:
    any_inbox.put("S1", 64, {0: SLOW})
    (batch,) = queueing.take_batches(any_inbox.database, any_inbox.inbox_id, at_most=64, batch_size=64)

    with WorkerProcess(any_inbox, tmp_path / "worker.log") as worker:
        _started(worker)
        for _ in range(2):
            any_inbox.queue.send(batch)
        wait_until(lambda: any_inbox.states() == {"done": 64}, what="the batch")
        wait_until(lambda: not _any_message(any_inbox), what="both messages to be done with")
        before = any_inbox.outcomes()

        any_inbox.queue.send(Batch(batch.slide_id, batch.image_ids))
        wait_until(lambda: not _any_message(any_inbox), what="the third message to be done with")
        assert worker.stop() == 0

    assert any_inbox.outcomes() == before
    assert any_inbox.classes()["S1"].total() == 64
    _assert_calm(worker)


def test_a_database_that_goes_away_for_a_while_loses_nothing(
    own_postgresql: PostgresqlServer, tmp_path: Path, broker_url: str
) -> None:
    (tmp_path / "inbox").mkdir()
    with (
        Database(own_postgresql.url()) as database,
        QueuedInbox(database, tmp_path / "inbox", broker_url) as inbox,
    ):
        migrate(database)
        inbox.put("S1", 4 * 64, dict.fromkeys(range(0, 4 * 64, 64), SLOW))
        inbox.send()
        with WorkerProcess(inbox, tmp_path / "worker.log", workers=1) as worker:
            wait_until(inbox.finished_images, what="the first batch")

            own_postgresql.stop()
            wait_until(lambda: "will queue these" in worker.said(), what="the worker to miss the database")
            own_postgresql.start()

            inbox.tend_until_finished()
            assert worker.stop() == 0
        assert inbox.states() == {"done": 4 * 64}
        assert "Traceback" not in worker.said()


def _any_message(inbox: QueuedInbox) -> int:
    depth = inbox.queue.depth()
    return depth.waiting + depth.held
