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
from support.working import Desk, cell_image

PATH = "S1/0001.jpg"


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Iterator[Desk]:
    """Yield an inbox with a slide of three images, once with SQLite and once with PostgreSQL; no broker."""
    (tmp_path / "inbox").mkdir()
    with Desk(database, tmp_path / "inbox", "redis://nowhere", hash_files=True) as made:
        made.put("S1", 3)
        yield made


def take(desk: Desk) -> list[Batch]:
    return queueing.take_batches(desk.database, desk.inbox_id, at_most=100, batch_size=64)


def complain(desk: Desk, code: str = NOT_HERE, *, of: int = 3) -> None:
    """Let a worker begin with the images and miss the first `of` them."""
    (batch,) = take(desk)
    items = results.begin(desk.database, batch.image_ids)
    results.store(
        desk.database, MODEL, "bench-2", [NotVisible(item.image_id, code, "not seen") for item in items[:of]]
        + [classified(item.image_id, item.path) for item in items[of:]],
    )  # fmt: skip


def line(desk: Desk, path: str = PATH) -> ImageLine:
    (found,) = [one for one in image_lines(desk.database) if one.path == path]
    return found


def sent(desk: Desk, answers: VisibilityCheck | None = None) -> list[int]:
    """The images that are sent when the queue is filled."""
    batches = (answers or VisibilityCheck(desk.database)).check(take(desk))
    return [image_id for batch in batches for image_id in batch.image_ids]


def test_images_that_nobody_missed_cost_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "items_to_check", None)  # nothing is asked
    batches = take(desk)

    assert [batch.not_visible for batch in batches] == [()]
    assert VisibilityCheck(desk.database).check(batches) is batches


@pytest.mark.parametrize("code", [NOT_HERE, OTHER_COPY])
def test_what_is_there_is_sent_again(desk: Desk, code: str) -> None:
    complain(desk, code, of=2)

    assert sent(desk) == [1, 2]
    assert (line(desk).state, line(desk).reason_code) == (ImageState.QUEUED, code)
    assert not visibility.is_confirmed_by_watcher(desk.database, 2)


def test_what_is_gone_is_quarantined_and_the_rest_sent(desk: Desk) -> None:
    complain(desk)
    (desk.root / PATH).unlink()

    assert sent(desk) == [1, 3]
    assert (line(desk).state, line(desk).reason_code, line(desk).attempts) == (ImageState.QUARANTINED, "gone", 0)
    assert line(desk).finished_at is not None
    assert visibility.is_confirmed_by_watcher(desk.database, 2)


def test_what_lies_in_a_folder_that_is_gone_is_quarantined(desk: Desk) -> None:
    complain(desk)
    shutil.rmtree(desk.root / "S1")
    (desk.root / "S1").write_bytes(b"what was a folder is a file")

    assert sent(desk) == []
    assert desk.states() == {"quarantined": 3}


def test_what_has_changed_waits_for_its_new_version(desk: Desk) -> None:
    complain(desk, OTHER_COPY)
    (desk.root / PATH).write_bytes(cell_image(9))

    assert sent(desk) == [1, 3]
    assert (line(desk).state, line(desk).reason_code) == (ImageState.PENDING, CHANGED)
    assert visibility.is_confirmed_by_watcher(desk.database, 2)
    assert sent(desk) == [], "it was put aside for a while"

    desk.journal("S1")
    assert line(desk).reason is None
    assert sent(desk) == [4], "the new version"
    assert visibility.is_confirmed_by_watcher(desk.database, 2), "the old one is superseded"


def test_what_was_put_aside_is_looked_for_again_and_sent_once_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "CHANGED_SECONDS", -1)
    before = (desk.root / PATH).stat()
    complain(desk)
    os.utime(desk.root / PATH, ns=(0, 0))
    assert sent(desk) == [1, 3]
    assert sent(desk) == []

    os.utime(desk.root / PATH, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert sent(desk) == [2]


def test_other_bytes_of_the_same_version_are_what_counts_from_then_on(desk: Desk) -> None:
    """Or an image whose first reading went wrong would wait for ever."""
    complain(desk, OTHER_COPY)
    path = desk.root / PATH
    status, content = path.stat(), path.read_bytes()[::-1]
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert sent(desk) == [1, 2, 3]
    items = {item.path: item.sha256 for item in results.begin(desk.database, [1, 2, 3])}
    assert items[PATH] == hashlib.sha256(content).hexdigest()
    assert items["S1/0000.jpg"] == hashlib.sha256(cell_image(0)).hexdigest()


def test_while_the_inbox_is_away_nothing_is_said_to_be_gone(desk: Desk) -> None:
    complain(desk)
    desk.root.rename(desk.root.with_name("away"))

    assert sent(desk) == [1, 2, 3], "a worker may see it"
    assert desk.states() == {"queued": 3}


def test_an_empty_inbox_may_be_unmounted_and_one_that_stays_empty_was_emptied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = VisibilityCheck(desk.database)
    complain(desk)
    away = desk.root.rename(desk.root.with_name("away"))
    desk.root.mkdir()
    assert sent(desk, answers) == [1, 2, 3]

    monkeypatch.setattr(watchers, "_EMPTIED_SECONDS", 0.0)
    for item in results.begin(desk.database, [1, 2, 3]):
        results.store(desk.database, MODEL, "bench-2", [NotVisible(item.image_id, NOT_HERE, "not seen")])
    assert sent(desk, answers) == []
    assert {one.reason_code for one in desk.outcomes().values()} == {"gone"}

    desk.root.rmdir()
    away.rename(desk.root)
    known = journal.known_in_folder(desk.database, desk.inbox_id, "S1")
    assert {one.held_against for one in known.values()} == {"gone"}, "they count when they are back"


def test_an_inbox_that_was_empty_for_a_moment_is_not_held_to_it_later(desk: Desk) -> None:
    answers = VisibilityCheck(desk.database)
    (item,) = visibility.items_to_check(desk.database, [1])
    away = desk.root.rename(desk.root.with_name("away"))
    desk.root.mkdir()
    assert answers._check_item(item).refusal is None
    assert answers._empty_since is not None
    desk.root.rmdir()
    away.rename(desk.root)

    assert answers._check_item(item).refusal is None
    assert answers._empty_since is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_the_watcher_may_not_read_either_is_quarantined_as_unreadable(desk: Desk, tmp_path: Path) -> None:
    (item, *_) = visibility.items_to_check(desk.database, [2])
    (desk.root / PATH).chmod(0)
    with _passable(tmp_path), _somebody_else():
        found = VisibilityCheck(desk.database)._check_item(item)

    assert found.refusal is not None
    assert found.refusal.code == "unreadable"
    assert "retry" in found.refusal.reason


def test_what_the_system_cannot_read_is_quarantined_as_unreadable(desk: Desk) -> None:
    # A name that no file system takes: an error that is neither gone nor forbidden.
    (item, *_) = visibility.items_to_check(desk.database, [2])
    found = VisibilityCheck(desk.database)._check_item(replace(item, path="S1/" + "x" * 300))

    assert found.refusal is not None
    assert found.refusal.code == "unreadable"
    assert "too long" in found.refusal.reason


@pytest.mark.parametrize("what", ["folder", "pipe", "circle"])
def test_what_is_no_file_any_more_is_quarantined(desk: Desk, what: str) -> None:
    complain(desk)
    path = desk.root / PATH
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("0001.jpg")

    assert sent(desk) == [1, 3]
    assert line(desk).reason_code == "not-a-file"


def test_a_link_out_of_the_inbox_is_quarantined_and_one_within_it_is_not(desk: Desk, tmp_path: Path) -> None:
    complain(desk)
    for name, target in (("0001.jpg", tmp_path / "secret.jpg"), ("0002.jpg", desk.root / "elsewhere.jpg")):
        (desk.root / "S1" / name).rename(target)
        (desk.root / "S1" / name).symlink_to(target)

    assert sent(desk) == [1, 3]
    assert line(desk).reason_code == "leaves-inbox"


def test_a_file_too_large_for_a_cell_is_left_for_a_worker_to_refuse(desk: Desk) -> None:
    os.truncate(desk.root / PATH, LARGEST_FILE + 1)
    desk.journal("S1")
    complain(desk)

    assert sent(desk) == [1, 3, 4]


def test_complaints_and_results_at_once_leave_each_image_in_one_state(desk: Desk) -> None:
    """PostgreSQL would end one of two transactions that lock the same rows in different orders."""
    desk.put("S2", 40)
    batches = take(desk)
    ids = [image_id for batch in batches for image_id in batch.image_ids]
    items = results.begin(desk.database, ids)
    trouble: list[Exception] = []
    gate = threading.Barrier(3)

    def each(work: list[int], what: str) -> None:
        gate.wait()
        try:
            for image_id in work:
                if what == "count":
                    results.store(desk.database, MODEL, "bench", [classified(image_id, str(image_id))])
                elif what == "miss":
                    results.store(desk.database, MODEL, "bench-2", [NotVisible(image_id, NOT_HERE, "not seen")])
                else:
                    changed = [one for one in work if one != image_id]
                    visibility.record_findings(
                        desk.database, refused=[], changed=changed, read_anew={image_id: "0" * 64}
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
    assert desk.states() == {"done": 43}


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
