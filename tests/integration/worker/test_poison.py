"""Images that kill or hang the process that opens them, with a real worker: one is given up, all others are counted."""

from pathlib import Path

import pytest

from smearcount.worker.batches import MOST_ATTEMPTS

from support.waiting import wait_until
from support.worker_process import EXITS, HANGS, KILLS
from support.working import Desk, WorkerProcess

POISON = "S1/0037.jpg"


@pytest.mark.parametrize("how", [KILLS, EXITS], ids=["killed", "exits"])
def test_an_image_that_kills_its_process_is_given_up_and_the_others_are_counted(
    desk: Desk, tmp_path: Path, how: bytes
) -> None:
    desk.put("S1", 64, {37: how})
    desk.put("S2", 64)

    with WorkerProcess(desk, tmp_path / "worker.log") as worker:
        desk.tend_until_finished()
        _assert_only_the_poison_was_given_up(desk)

        # The pool is as it was.
        assert len(worker.children()) == 2
        desk.put("S3", 64)
        desk.tend_until_finished()
        assert worker.stop() == 0

    assert desk.states() == {"done": 3 * 64 - 1, "quarantined": 1}


def test_an_image_that_hangs_its_process_is_given_up_and_the_others_are_counted(desk: Desk, tmp_path: Path) -> None:
    desk.put("S1", 64, {37: HANGS})
    desk.put("S2", 64)

    with WorkerProcess(desk, tmp_path / "worker.log", batch_seconds=3, redelivery_seconds=5) as worker:
        desk.tend_until_finished()
        _assert_only_the_poison_was_given_up(desk)
        wait_until(lambda: len(worker.children()) == 2, what="the pool to be whole again")
        assert worker.stop() == 0


def test_a_hanging_batch_keeps_no_other_slide_waiting(desk: Desk, tmp_path: Path) -> None:
    desk.put("S1", 1, {0: HANGS})
    desk.send()

    with WorkerProcess(desk, tmp_path / "worker.log", batch_seconds=1000, redelivery_seconds=2000) as worker:
        wait_until(lambda: desk.outcomes()["S1/0000.jpg"].attempts, what="the image to be tried")
        desk.put("S2", 200)
        desk.tend_until(lambda: desk.states()["done"] == 200, what="the other slide")
        hanging = desk.outcomes()["S1/0000.jpg"]
        assert (hanging.state, hanging.attempts) == ("queued", 1), "the first batch does not hang any more"
        worker.kill()


def _assert_only_the_poison_was_given_up(desk: Desk) -> None:
    outcomes = desk.outcomes()
    poison = outcomes.pop(POISON)
    assert (poison.state, poison.reason_code, poison.attempts) == ("quarantined", "kills-worker", MOST_ATTEMPTS)
    assert {outcome.state for outcome in outcomes.values()} == {"done"}
    assert len(outcomes) == 127
