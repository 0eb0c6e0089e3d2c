"""Images that kill or hang the process that opens them, with a real worker: one is given up, all others are counted."""

from pathlib import Path

import pytest

from smearcount.worker.batches import MOST_ATTEMPTS

from support.waiting import wait_until
from support.worker_process import EXITS, HANGS, KILLS
from support.working import QueuedInbox, WorkerProcess

POISON = "S1/0037.jpg"


@pytest.mark.parametrize("how", [KILLS, EXITS], ids=["killed", "exits"])
def test_an_image_that_kills_its_process_is_given_up_and_the_others_are_counted(
    inbox: QueuedInbox, tmp_path: Path, how: bytes
) -> None:
    inbox.put("S1", 64, {37: how})
    inbox.put("S2", 64)

    with WorkerProcess(inbox, tmp_path / "worker.log") as worker:
        inbox.tend_until_finished()
        _assert_only_the_poison_was_given_up(inbox)

        # The pool is as it was.
        assert len(worker.children()) == 2
        inbox.put("S3", 64)
        inbox.tend_until_finished()
        assert worker.stop() == 0

    assert inbox.states() == {"done": 3 * 64 - 1, "quarantined": 1}


def test_an_image_that_hangs_its_process_is_given_up_and_the_others_are_counted(
    inbox: QueuedInbox, tmp_path: Path
) -> None:
    inbox.put("S1", 64, {37: HANGS})
    inbox.put("S2", 64)

    with WorkerProcess(inbox, tmp_path / "worker.log", batch_seconds=3, redelivery_seconds=5) as worker:
        inbox.tend_until_finished()
        _assert_only_the_poison_was_given_up(inbox)
        wait_until(lambda: len(worker.children()) == 2, what="the pool to be whole again")
        assert worker.stop() == 0


def test_a_hanging_batch_keeps_no_other_slide_waiting(inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox.put("S1", 1, {0: HANGS})
    inbox.send()

    with WorkerProcess(inbox, tmp_path / "worker.log", batch_seconds=1000, redelivery_seconds=2000) as worker:
        wait_until(lambda: inbox.outcomes()["S1/0000.jpg"].attempts, what="the image to be tried")
        inbox.put("S2", 200)
        inbox.tend_until(lambda: inbox.states()["done"] == 200, what="the other slide")
        hanging = inbox.outcomes()["S1/0000.jpg"]
        assert (hanging.state, hanging.attempts) == ("queued", 1), "the first batch does not hang any more"
        worker.kill()


def _assert_only_the_poison_was_given_up(inbox: QueuedInbox) -> None:
    outcomes = inbox.outcomes()
    poison = outcomes.pop(POISON)
    assert (poison.state, poison.reason_code, poison.attempts) == ("quarantined", "kills-worker", MOST_ATTEMPTS)
    assert {outcome.state for outcome in outcomes.values()} == {"done"}
    assert len(outcomes) == 127
