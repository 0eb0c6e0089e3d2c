"""What the watcher says to workers that miss images, with real files and databases."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from smearcount.db.engine.database import Database
from smearcount.db.ingest import journal, queueing, results, visibility
from smearcount.db.ingest.visibility import CHANGED, NOT_HERE, OTHER_COPY
from smearcount.db.queries.images import image_lines
from smearcount.db.records import Batch, ImageLine, NotVisible
from smearcount.db.schema import ImageState
from smearcount.inbox.reading import LARGEST_FILE
from smearcount.watcher import visibility as watchers
from smearcount.watcher.visibility import VisibilityCheck

from support.journalling import MODEL, classified
from support.working import QueuedInbox, cell_image

PATH = "S1/0001.jpg"


@pytest.fixture
def inbox(tmp_path: Path, database: Database) -> Iterator[QueuedInbox]:
    """Yield an inbox with a slide of three images, once with SQLite and once with PostgreSQL; no broker."""
    (tmp_path / "inbox").mkdir()
    with QueuedInbox(database, tmp_path / "inbox", "redis://nowhere", hash_files=True) as made:
        made.put("S1", 3)
        yield made


def take(inbox: QueuedInbox) -> list[Batch]:
    return queueing.take_batches(inbox.database, inbox.inbox_id, at_most=100, batch_size=64)


def complain(inbox: QueuedInbox, code: str = NOT_HERE, *, of: int = 3) -> None:
    """Let a worker begin with the images and miss the first `of` them."""
    (batch,) = take(inbox)
    items = results.begin(inbox.database, batch.image_ids)
    results.store(
        inbox.database, MODEL, "bench-2", [NotVisible(item.image_id, code, "not seen") for item in items[:of]]
        + [classified(item.image_id, item.path) for item in items[of:]],
    )  # fmt: skip


def line(inbox: QueuedInbox, path: str = PATH) -> ImageLine:
    (found,) = [one for one in image_lines(inbox.database) if one.path == path]
    return found


def sent(inbox: QueuedInbox, answers: VisibilityCheck | None = None) -> list[int]:
    """The images that are sent when the queue is filled."""
    batches = (answers or VisibilityCheck(inbox.database)).check(take(inbox))
    return [image_id for batch in batches for image_id in batch.image_ids]


def test_images_that_nobody_missed_cost_nothing(inbox: QueuedInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "items_to_check", None)  # nothing is asked
    batches = take(inbox)

    assert [batch.not_visible for batch in batches] == [()]
    assert VisibilityCheck(inbox.database).check(batches) is batches


@pytest.mark.parametrize("code", [NOT_HERE, OTHER_COPY])
def test_what_is_there_is_sent_again(inbox: QueuedInbox, code: str) -> None:
    complain(inbox, code, of=2)

    assert sent(inbox) == [1, 2]
    assert (line(inbox).state, line(inbox).reason_code) == (ImageState.QUEUED, code)
    assert not visibility.is_confirmed_by_watcher(inbox.database, 2)


def test_what_is_gone_is_quarantined_and_the_rest_sent(inbox: QueuedInbox) -> None:
    complain(inbox)
    (inbox.root / PATH).unlink()

    assert sent(inbox) == [1, 3]
    assert (line(inbox).state, line(inbox).reason_code, line(inbox).attempts) == (ImageState.QUARANTINED, "gone", 0)
    assert line(inbox).finished_at is not None
    assert visibility.is_confirmed_by_watcher(inbox.database, 2)


def test_what_lies_in_a_folder_that_is_gone_is_quarantined(inbox: QueuedInbox) -> None:
    complain(inbox)
    shutil.rmtree(inbox.root / "S1")
    (inbox.root / "S1").write_bytes(b"what was a folder is a file")

    assert sent(inbox) == []
    assert inbox.states() == {"quarantined": 3}


def test_what_has_changed_waits_for_its_new_version(inbox: QueuedInbox) -> None:
    complain(inbox, OTHER_COPY)
    (inbox.root / PATH).write_bytes(cell_image(9))

    assert sent(inbox) == [1, 3]
    assert (line(inbox).state, line(inbox).reason_code) == (ImageState.PENDING, CHANGED)
    assert visibility.is_confirmed_by_watcher(inbox.database, 2)
    assert sent(inbox) == [], "it was put aside for a while"

    inbox.journal("S1")
    assert line(inbox).reason is None
    assert sent(inbox) == [4], "the new version"
    assert visibility.is_confirmed_by_watcher(inbox.database, 2), "the old one is superseded"


def test_what_was_put_aside_is_looked_for_again_and_sent_once_it_is_back(
    inbox: QueuedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "CHANGED_SECONDS", -1)
    before = (inbox.root / PATH).stat()
    complain(inbox)
    os.utime(inbox.root / PATH, ns=(0, 0))
    assert sent(inbox) == [1, 3]
    assert sent(inbox) == []

    os.utime(inbox.root / PATH, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert sent(inbox) == [2]


def test_other_bytes_of_the_same_version_are_what_counts_from_then_on(inbox: QueuedInbox) -> None:
    """Or an image whose first reading went wrong would wait for ever."""
    complain(inbox, OTHER_COPY)
    path = inbox.root / PATH
    status, content = path.stat(), path.read_bytes()[::-1]
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert sent(inbox) == [1, 2, 3]
    items = {item.path: item.sha256 for item in results.begin(inbox.database, [1, 2, 3])}
    assert items[PATH] == hashlib.sha256(content).hexdigest()
    assert items["S1/0000.jpg"] == hashlib.sha256(cell_image(0)).hexdigest()


def test_while_the_inbox_is_away_nothing_is_said_to_be_gone(inbox: QueuedInbox) -> None:
    complain(inbox)
    inbox.root.rename(inbox.root.with_name("away"))

    assert sent(inbox) == [1, 2, 3], "a worker may see it"
    assert inbox.states() == {"queued": 3}


def test_an_empty_inbox_may_be_unmounted_and_one_that_stays_empty_was_emptied(
    inbox: QueuedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = VisibilityCheck(inbox.database)
    complain(inbox)
    away = inbox.root.rename(inbox.root.with_name("away"))
    inbox.root.mkdir()
    assert sent(inbox, answers) == [1, 2, 3]

    monkeypatch.setattr(watchers, "_EMPTIED_SECONDS", 0.0)
    for item in results.begin(inbox.database, [1, 2, 3]):
        results.store(inbox.database, MODEL, "bench-2", [NotVisible(item.image_id, NOT_HERE, "not seen")])
    assert sent(inbox, answers) == []
    assert {one.reason_code for one in inbox.outcomes().values()} == {"gone"}

    inbox.root.rmdir()
    away.rename(inbox.root)
    known = journal.known_in_folder(inbox.database, inbox.inbox_id, "S1")
    assert {one.held_against for one in known.values()} == {"gone"}, "they count when they are back"


def test_an_inbox_that_was_empty_for_a_moment_is_not_held_to_it_later(inbox: QueuedInbox) -> None:
    answers = VisibilityCheck(inbox.database)
    (item,) = visibility.items_to_check(inbox.database, [1])
    away = inbox.root.rename(inbox.root.with_name("away"))
    inbox.root.mkdir()
    assert answers._check_item(item).refusal is None
    assert answers._empty_since is not None
    inbox.root.rmdir()
    away.rename(inbox.root)

    assert answers._check_item(item).refusal is None
    assert answers._empty_since is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_the_watcher_may_not_read_either_is_quarantined_as_unreadable(inbox: QueuedInbox, tmp_path: Path) -> None:
    (item, *_) = visibility.items_to_check(inbox.database, [2])
    (inbox.root / PATH).chmod(0)
    with _passable(tmp_path), _somebody_else():
        found = VisibilityCheck(inbox.database)._check_item(item)

    assert found.refusal is not None
    assert found.refusal.code == "unreadable"
    assert "retry" in found.refusal.reason


def test_what_the_system_cannot_read_is_quarantined_as_unreadable(inbox: QueuedInbox) -> None:
    # A name that no file system takes: an error that is neither gone nor forbidden.
    (item, *_) = visibility.items_to_check(inbox.database, [2])
    found = VisibilityCheck(inbox.database)._check_item(replace(item, path="S1/" + "x" * 300))

    assert found.refusal is not None
    assert found.refusal.code == "unreadable"
    assert "too long" in found.refusal.reason


@pytest.mark.parametrize("what", ["folder", "pipe", "circle"])
def test_what_is_no_file_any_more_is_quarantined(inbox: QueuedInbox, what: str) -> None:
    complain(inbox)
    path = inbox.root / PATH
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("0001.jpg")

    assert sent(inbox) == [1, 3]
    assert line(inbox).reason_code == "not-a-file"


def test_a_link_out_of_the_inbox_is_quarantined_and_one_within_it_is_not(inbox: QueuedInbox, tmp_path: Path) -> None:
    complain(inbox)
    for name, target in (("0001.jpg", tmp_path / "secret.jpg"), ("0002.jpg", inbox.root / "elsewhere.jpg")):
        (inbox.root / "S1" / name).rename(target)
        (inbox.root / "S1" / name).symlink_to(target)

    assert sent(inbox) == [1, 3]
    assert line(inbox).reason_code == "leaves-inbox"


def test_a_file_too_large_for_a_cell_is_left_for_a_worker_to_refuse(inbox: QueuedInbox) -> None:
    os.truncate(inbox.root / PATH, LARGEST_FILE + 1)
    inbox.journal("S1")
    complain(inbox)

    assert sent(inbox) == [1, 3, 4]


def test_complaints_and_results_at_once_leave_each_image_in_one_state(inbox: QueuedInbox) -> None:
    """PostgreSQL would end one of two transactions that lock the same rows in different orders."""
    inbox.put("S2", 40)
    batches = take(inbox)
    ids = [image_id for batch in batches for image_id in batch.image_ids]
    items = results.begin(inbox.database, ids)
    trouble: list[Exception] = []
    gate = threading.Barrier(3)

    def each(work: list[int], what: str) -> None:
        gate.wait()
        try:
            for image_id in work:
                if what == "count":
                    results.store(inbox.database, MODEL, "bench", [classified(image_id, str(image_id))])
                elif what == "miss":
                    results.store(inbox.database, MODEL, "bench-2", [NotVisible(image_id, NOT_HERE, "not seen")])
                else:
                    changed = [one for one in work if one != image_id]
                    visibility.record_findings(
                        inbox.database, refused=[], changed=changed, read_anew={image_id: "0" * 64}
                    )
        except Exception as error:  # noqa: BLE001 (shown by the test)
            trouble.append(error)

    work = [item.image_id for item in items]
    threads = [
        threading.Thread(target=each, args=(order, what))
        for order, what in ((work, "count"), (work[::-1], "miss"), (work[::-1], "answer"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert trouble == []
    assert inbox.states() == {"done": 43}


@contextmanager
def _passable(folder: Path) -> Iterator[None]:
    """Let other users pass through a folder and those above it."""
    closed = {one: one.stat().st_mode & 0o7777 for one in (folder, *folder.parents) if not one.stat().st_mode & 0o001}
    for one, mode in closed.items():
        one.chmod(mode | 0o011)
    try:
        yield
    finally:
        for one, mode in closed.items():
            one.chmod(mode)


@contextmanager
def _somebody_else() -> Iterator[None]:
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)
