"""Workers on machines that do not show the inbox as its watcher saw it, as real processes beside one that does.

They are told to look elsewhere for the inbox, as other machines would.
"""

import hashlib
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from smearcount.db.schema import Classification, Image

from support.working import QueuedInbox, WorkerProcess, WorkerTimes, cell_image

#: A machine that sees nothing idles for a second.
QUICK: WorkerTimes = {"batch_seconds": 4, "redelivery_seconds": 10}

LEFT = "are left to others"
AGAIN = "images are seen here again"


def mirrored(inbox: QueuedInbox) -> Path:
    """A copy of the inbox, with the times of its files."""
    return Path(shutil.copytree(inbox.root, inbox.root.with_name("mirror")))


def missed(inbox: QueuedInbox, code: str) -> int:
    """How many images wait because a worker missed them."""
    return sum(one.reason_code == code for one in inbox.outcomes().values())


def classes_of(inbox: QueuedInbox) -> dict[str, str]:
    """The call of each image, by its path."""
    with inbox.database.reading() as connection:
        rows = connection.execute(
            select(Image.folder, Image.filename, Image.sha256, Classification.cell_class).join(
                Classification, Classification.image_id == Image.id
            )
        ).all()
    for folder, filename, sha256, _ in rows:
        assert sha256 == hashlib.sha256((inbox.root / folder / filename).read_bytes()).hexdigest()
    return {f"{folder}/{filename}": cell_class for folder, filename, _, cell_class in rows}


@pytest.mark.parametrize("place", ["no folder", "an empty mount point", "another folder"])
def test_the_work_of_a_machine_that_sees_nothing_goes_to_another(
    any_inbox: QueuedInbox, tmp_path: Path, place: str
) -> None:
    inbox = any_inbox
    elsewhere = tmp_path / "elsewhere"
    if place != "no folder":
        elsewhere.mkdir()
    if place == "another folder":
        (elsewhere / "S1").mkdir()
        (elsewhere / "S1" / "0000.txt").write_text("of another inbox")
    inbox.put("S1", 200)
    inbox.put("S2", 100)

    with WorkerProcess(inbox, tmp_path / "unmounted.log", mounts=elsewhere, **QUICK) as unmounted:
        inbox.tend_until(lambda: missed(inbox, "not-here"), what="the workers that see nothing to say so")
        assert inbox.open_images() == 300, "a worker that sees nothing has decided something"
        with WorkerProcess(inbox, tmp_path / "seeing.log", workers=1, **QUICK) as seeing:
            inbox.tend_until_finished()
            assert seeing.stop() == 0
        assert unmounted.stop() == 0

    assert inbox.states() == {"done": 300}
    assert {(one.reason_code, one.attempts) for one in inbox.outcomes().values()} == {(None, 1)}
    assert len(classes_of(inbox)) == 300
    assert LEFT not in seeing.said()
    assert 1 <= unmounted.said().count(LEFT) <= 2, "each of the two processes says so once"
    assert AGAIN not in unmounted.said()
    assert ".jpg" not in unmounted.said()
    assert "S1" not in unmounted.said()


def test_each_machine_has_a_mount_point_of_its_own(any_inbox: QueuedInbox, tmp_path: Path) -> None:
    any_inbox.put("S1", 100)
    mounted = any_inbox.root.rename(tmp_path / "mounted")
    named = f'{{"{any_inbox.root}": "{mounted}"}}'

    with WorkerProcess(any_inbox, tmp_path / "worker.log", mounts=named, workers=1) as worker:
        any_inbox.tend_until_finished()
        assert worker.stop() == 0

    assert any_inbox.states() == {"done": 100}
    assert LEFT not in worker.said()


def test_an_inbox_that_comes_back_is_noticed_at_once(inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox.put("S1", 130)
    share = tmp_path / "share"

    with WorkerProcess(
        inbox, tmp_path / "worker.log", mounts=share, workers=1, batch_seconds=200, redelivery_seconds=300,
        longest_pause=60,
    ) as worker:  # fmt: skip
        inbox.tend_until(lambda: LEFT in worker.said(), what="the worker to say so")
        share.symlink_to(inbox.root)

        inbox.tend_until_finished()
        assert worker.stop() == 0

    assert inbox.states() == {"done": 130}
    assert worker.said().count(LEFT) == worker.said().count(AGAIN) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idling_worker_ends_when_it_is_told_to(inbox: QueuedInbox, tmp_path: Path, how: signal.Signals) -> None:
    inbox.put("S1", 130)

    with WorkerProcess(
        inbox, tmp_path / "worker.log", mounts=tmp_path / "nowhere", batch_seconds=300, redelivery_seconds=400,
        longest_pause=60,
    ) as worker:  # fmt: skip
        inbox.tend_until(lambda: worker.said().count(LEFT) == 2, what="both processes to say so")
        os.killpg(worker.process.pid, how) if how is signal.SIGINT else worker.process.send_signal(how)
        assert worker.wait(40) == 0

    assert inbox.open_images() == 130
    assert inbox.queue.depth().held == 0


@pytest.mark.parametrize("older", ["size", "time", "bytes"])
def test_an_older_copy_is_not_counted(any_inbox: QueuedInbox, tmp_path: Path, older: str) -> None:
    inbox = any_inbox
    inbox.hash_files = older == "bytes"
    inbox.put("S1", 70)
    mirror = mirrored(inbox)
    behind = mirror / "S1" / "0003.jpg"
    status = behind.stat()
    if older == "size":
        behind.write_bytes(cell_image(3, comment=b"an older one"))
    elif older == "bytes":
        behind.write_bytes(cell_image(4))
        assert behind.stat().st_size == status.st_size or _pad(behind, status.st_size)
    passed = 10**10 if older == "time" else 0
    os.utime(behind, ns=(status.st_atime_ns, status.st_mtime_ns - passed))

    with WorkerProcess(inbox, tmp_path / "behind.log", mounts=mirror, workers=1, **QUICK) as stale:
        inbox.tend_until(
            lambda: missed(inbox, "other-copy") == 1 and inbox.states()["done"] == 69, what="all but the older copy"
        )
        with WorkerProcess(inbox, tmp_path / "good.log", workers=1, **QUICK) as good:
            inbox.tend_until_finished()
            assert good.stop() == 0
        assert stale.stop() == 0

    assert inbox.states() == {"done": 70}
    assert LEFT in stale.said()
    classes_of(inbox)  # each by the bytes in the inbox


def test_what_every_worker_sees_otherwise_stays_pending_and_says_why(inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox.hash_files = True
    inbox.put("S1", 10)
    mirror = mirrored(inbox)
    (mirror / "S1" / "0003.jpg").write_bytes(b"nothing like it")

    with WorkerProcess(inbox, tmp_path / "worker.log", mounts=mirror, **QUICK) as worker:
        inbox.tend_until(lambda: inbox.states()["done"] == 9, what="the others")
        inbox.tend_until(lambda: worker.said().count("batch of 1 images begun") >= 2, what="it to be tried again")
        # The remedy: the file is copied anew.
        shutil.copy2(inbox.root / "S1" / "0003.jpg", mirror / "S1" / "0003.jpg")
        inbox.tend_until_finished()
        assert worker.stop() == 0

    assert inbox.states() == {"done": 10}


def test_files_that_are_gone_end_so_and_hold_nobody_up(any_inbox: QueuedInbox, tmp_path: Path) -> None:
    inbox = any_inbox
    inbox.put("S1", 70)
    inbox.put("S2", 70)
    shutil.rmtree(inbox.root / "S1")
    (inbox.root / "S2" / "0000.jpg").unlink()

    with WorkerProcess(
        inbox, tmp_path / "worker.log", workers=1, batch_seconds=200, redelivery_seconds=300, longest_pause=60
    ) as worker:
        inbox.tend_until_finished()
        assert worker.stop() == 0

    assert inbox.states() == {"done": 69, "quarantined": 71}
    assert Counter(one.reason_code for one in inbox.outcomes().values()) == {None: 69, "gone": 71}


def _pad(path: Path, size: int) -> bool:
    """Bring an image to a size; bytes after its end change nothing of what it shows."""
    content = path.read_bytes()
    path.write_bytes(content[:size].ljust(size, b"\0"))
    return path.stat().st_size == size
