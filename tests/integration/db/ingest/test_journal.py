"""The watcher's side of the database: files become rows, rows become batches, batches come back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import completion, inbox_registry, journal, queueing, results
from smearcount.db.queries import counts
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import inbox_lines, progress
from smearcount.db.records import Journalled, JournalledFile, KnownFile, Refusal, Refused
from smearcount.db.schema import Image, ImageState, Slide
from smearcount.differential.classes import CellClass
from smearcount.differential.status import SlideStatus
from smearcount.inbox.versions import FileVersion

from support.journalling import MODEL, begin, classified, count_cells, new_inbox, seen, take
from support.waiting import wait_until

LATER = timedelta(seconds=60)


def states(database: Database) -> dict[str, str]:
    """State of every file's current row."""
    return {line.path: str(line.state) for line in image_lines(database)}


def test_an_inbox_keeps_its_id_and_another_watcher_does_not_move_it(database: Database) -> None:
    first = inbox_registry.register_inbox(database, "ward", "/mnt/a")

    assert inbox_registry.register_inbox(database, "ward", "/mnt/b") == first
    assert [line.root for line in inbox_lines(database)] == ["/mnt/a"]

    inbox_registry.place_inbox(database, first, "/mnt/b")
    assert [line.root for line in inbox_lines(database)] == ["/mnt/b"]
    assert inbox_registry.register_inbox(database, "other", "/mnt/a") != first


def test_the_newest_files_that_can_be_counted_are_told_as_they_were_journalled(database: Database) -> None:
    inbox = new_inbox(database, "ward")
    count_cells(database, inbox, [("S/a.jpg", "a", CellClass.NEUTROPHIL, True)])
    journal.record(database, inbox, [seen("loose.jpg", refusal=Refusal("no-slide", "reason"))])
    journal.record(database, inbox, [seen("S/b.jpg", size=7, mtime_ns=5), seen("S/c.jpg")])
    journal.record(database, new_inbox(database, "icu"), [seen("S/d.jpg")])

    assert journal.newest_files(database, "ward", at_most=2) == [
        JournalledFile("S/c.jpg", FileVersion(100, 1), is_open=True),
        JournalledFile("S/b.jpg", FileVersion(7, 5), is_open=True),
    ]
    assert journal.newest_files(database, "ward", at_most=9)[2:] == [
        JournalledFile("S/a.jpg", FileVersion(100, 1), is_open=False)
    ]
    assert journal.newest_files(database, "other", at_most=9) == []


def test_a_clock_that_is_set_back_holds_nothing_up(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg")])
    take(database, inbox)
    hour_ahead = datetime.now(UTC) + timedelta(hours=1)
    with database.writing() as connection:
        connection.execute(update(Image).values(queued_at=hour_ahead, not_before=hour_ahead))
        connection.execute(update(Slide).values(last_image_at=hour_ahead))

    assert queueing.put_back_lost(database, inbox, queued_before=datetime.now(UTC)) == 1
    items = begin(database, take(database, inbox))
    results.store(database, MODEL, "bench", [classified(item.image_id, item.path) for item in items])
    assert completion.complete_slides(database, inbox, quiet=LATER) == ["S"]


def test_recording_a_file_again_changes_nothing(database: Database) -> None:
    inbox = new_inbox(database)

    assert journal.record(database, inbox, [seen("S/a.jpg")]) == Journalled(new=1)
    assert journal.record(database, inbox, [seen("S/a.jpg")]) == Journalled()
    assert journal.record(database, inbox, []) == Journalled()
    assert len(image_lines(database)) == 1


def test_a_changed_file_supersedes_its_old_row(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg", size=1)])

    assert journal.record(database, inbox, [seen("S/a.jpg", size=2)]) == Journalled(superseded=1)
    assert journal.record(database, inbox, [seen("S/a.jpg", size=2, mtime_ns=2)]) == Journalled(superseded=1)
    assert progress(database).superseded == 2
    assert progress(database).pending == 1


def test_of_a_file_seen_twice_at_once_the_last_version_counts(database: Database) -> None:
    inbox = new_inbox(database)
    twice = [seen("S/a.jpg", size=2), seen("S/a.jpg", size=3)]

    assert journal.record(database, inbox, twice) == Journalled(new=1)
    assert journal.known_in_folder(database, inbox, "S") == {"a.jpg": KnownFile(FileVersion(3, 1))}
    assert journal.record(database, inbox, twice) == Journalled(), "it is known in this version"
    assert journal.record(database, inbox, [seen("S/a.jpg", size=4), seen("S/a.jpg", size=5)]) == Journalled(
        superseded=1
    )


def test_more_files_than_fit_one_statement_are_journalled_at_once(database: Database) -> None:
    inbox = new_inbox(database)
    files = [seen(f"S{i % 7}/{i}.jpg") for i in range(1203)]

    assert journal.record(database, inbox, files) == Journalled(new=1203)
    assert journal.record(database, inbox, files) == Journalled()


def test_a_record_that_fails_leaves_nothing(database: Database) -> None:
    inbox = new_inbox(database)
    files = [seen(f"S/{i}.jpg") for i in range(600)]
    files.append(seen("S/bad.jpg", size=2**70))  # no database has room for this number

    with pytest.raises(Exception, match=r"(?i)large|range|long"):
        journal.record(database, inbox, files)
    assert progress(database).pending == 0
    assert counts.slide_tallies(database) == []


def test_a_refused_file_is_quarantined_with_its_reason(database: Database) -> None:
    inbox = new_inbox(database)

    came = journal.record(database, inbox, [seen("a.jpg", refusal=Refusal("no-slide", "no slide"))])

    assert came == Journalled(new=1, refused=1)
    (line,) = image_lines(database)
    assert (line.state, line.reason_code, line.reason, line.slide) == (
        ImageState.QUARANTINED, "no-slide", "no slide", None,
    )  # fmt: skip
    assert take(database, inbox) == []


@pytest.mark.parametrize("code", ["gone", "empty", "no-slide", "leaves-inbox"])
def test_a_file_is_counted_once_nothing_is_held_against_it_any_more(database: Database, code: str) -> None:
    inbox = new_inbox(database)
    refused = seen("S/a.jpg", refusal=Refusal(code, "reason"))
    journal.record(database, inbox, [refused])

    assert journal.known_in_folder(database, inbox, "S") == {"a.jpg": KnownFile(FileVersion(100, 1), code)}
    assert journal.record(database, inbox, [refused]) == Journalled(), "still refused for the same reason"
    assert journal.record(database, inbox, [seen("S/a.jpg")]) == Journalled(superseded=1)
    assert states(database) == {"S/a.jpg": "pending"}


def test_a_file_found_bad_by_a_worker_stays_so_until_it_changes(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg")])
    (item,) = begin(database, take(database, inbox))
    results.store(database, MODEL, "bench", [Refused(item.image_id, Refusal("not-an-image", "reason"))])

    assert journal.known_in_folder(database, inbox, "S") == {"a.jpg": KnownFile(FileVersion(100, 1))}
    assert journal.record(database, inbox, [seen("S/a.jpg")]) == Journalled()
    assert journal.record(database, inbox, [seen("S/a.jpg", size=5)]) == Journalled(superseded=1)


def test_known_files_are_those_of_this_folder_and_inbox_in_their_current_version(database: Database) -> None:
    inbox, other = new_inbox(database, "/one"), new_inbox(database, "/two")
    journal.record(database, inbox, [seen("S/a.jpg", size=1), seen("S/deep/b.jpg"), seen("T/c.jpg")])
    journal.record(database, inbox, [seen("S/a.jpg", size=2)])
    journal.record(database, other, [seen("S/d.jpg")])

    assert journal.known_in_folder(database, inbox, "S") == {"a.jpg": KnownFile(FileVersion(2, 1))}
    assert journal.known_in_folder(database, inbox, "S/deep") == {"b.jpg": KnownFile(FileVersion(100, 1))}
    assert journal.known_in_folder(database, inbox, "") == {}


def test_hostile_names_are_kept(database: Database) -> None:
    inbox = new_inbox(database)
    names = [r"\xff\xfe.jpg", "'; DROP TABLE images; --.jpg", "%_.jpg", "🩸" * 60 + ".jpg", " .jpg", r"a\x0ab.jpg"]
    journal.record(database, inbox, [seen(f"Ward 3/{name}") for name in names])

    assert set(journal.known_in_folder(database, inbox, "Ward 3")) == set(names)
    assert {line.path for line in image_lines(database, slide="Ward 3")} == {f"Ward 3/{name}" for name in names}


def test_batches_hold_one_slide_each_oldest_first_and_no_more_than_asked(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"{slide}/{i}.jpg") for i in range(5) for slide in ("S", "T")])

    batches = queueing.take_batches(database, inbox, at_most=8, batch_size=3)

    assert [len(batch.image_ids) for batch in batches] == [3, 1, 3, 1]
    assert len({batch.slide_id for batch in batches}) == 2
    taken = sorted(image_id for batch in batches for image_id in batch.image_ids)
    assert taken == [line.id for line in image_lines(database)][:8]
    assert queueing.count_queued(database) == 8
    assert [len(batch.image_ids) for batch in take(database, inbox)] == [1, 1]
    assert take(database, inbox) == []


def test_batches_are_of_ones_own_inbox(database: Database) -> None:
    inbox, other = new_inbox(database, "/one"), new_inbox(database, "/two")
    journal.record(database, inbox, [seen("S/a.jpg")])

    assert take(database, other) == []
    assert len(take(database, inbox)) == 1


def test_asking_for_batches_needs_no_write_lock_while_nothing_is_pending(sqlite_database: Database) -> None:
    inbox = new_inbox(sqlite_database)
    with sqlite_database.writing():
        assert take(sqlite_database, inbox) == []


def test_what_could_not_be_sent_is_pending_again(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg"), seen("T/b.jpg")])
    batches = take(database, inbox)

    queueing.put_back(database, batches[1:])

    assert states(database) == {"S/a.jpg": "queued", "T/b.jpg": "pending"}
    assert take(database, inbox) == batches[1:]


def test_putting_back_leaves_finished_images_finished(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg")])
    batches = take(database, inbox)
    (item,) = begin(database, batches)
    results.store(database, MODEL, "bench", [classified(item.image_id, "a")])

    queueing.put_back(database, batches)

    assert states(database) == {"S/a.jpg": "done"}
    assert queueing.put_back_lost(database, inbox, queued_before=datetime.now(UTC) + LATER) == 0


def test_lost_images_are_pending_again_but_not_those_queued_just_now(database: Database) -> None:
    inbox, other = new_inbox(database, "/one"), new_inbox(database, "/two")
    journal.record(database, inbox, [seen("S/a.jpg")])
    journal.record(database, other, [seen("S/a.jpg")])
    before = datetime.now(UTC)
    take(database, inbox)
    take(database, other)

    assert queueing.put_back_lost(database, inbox, queued_before=before) == 0
    assert queueing.put_back_lost(database, inbox, queued_before=datetime.now(UTC) + LATER) == 1
    assert queueing.count_queued(database) == 1, "the other inbox's own watcher looks after it"


def test_a_slide_completes_when_quiet_with_nothing_open_or_arriving(database: Database) -> None:
    inbox = new_inbox(database)
    count_cells(database, inbox, [("S/a.jpg", "a", CellClass.NEUTROPHIL, True)])
    quiet = timedelta(0)

    assert completion.complete_slides(database, inbox, quiet=LATER) == []
    assert completion.complete_slides(database, inbox, quiet=quiet, arriving=lambda: {"S"}) == []
    assert completion.complete_slides(database, inbox, quiet=quiet) == ["S"]
    assert completion.complete_slides(database, inbox, quiet=quiet) == []
    assert counts.slide_tally(database, "S").status is SlideStatus.COMPLETE


@pytest.mark.parametrize("queue_it", [False, True])
def test_a_slide_with_open_images_does_not_complete(database: Database, queue_it: bool) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg")])
    if queue_it:
        take(database, inbox)

    assert completion.complete_slides(database, inbox, quiet=timedelta(0)) == []


def test_a_late_image_reopens_its_slide(database: Database) -> None:
    inbox = new_inbox(database)
    count_cells(database, inbox, [("S/a.jpg", "a", CellClass.NEUTROPHIL, True)])
    completion.complete_slides(database, inbox, quiet=timedelta(0))

    journal.record(database, inbox, [seen("S/late.jpg")])

    tally = counts.slide_tally(database, "S")
    assert (tally.status, tally.completed_at, tally.pending) == (SlideStatus.COUNTING, None, 1)


def test_overwriting_an_image_gives_its_duplicates_their_turn(database: Database) -> None:
    inbox = new_inbox(database)
    same = [(f"S/{name}.jpg", "same bytes", CellClass.MONOCYTE, True) for name in "abc"]
    count_cells(database, inbox, same)
    completion.complete_slides(database, inbox, quiet=timedelta(0))
    assert counts.slide_tally(database, "S").duplicates == 2

    journal.record(database, inbox, [seen("S/a.jpg", size=7)])

    assert states(database) == {"S/a.jpg": "pending", "S/b.jpg": "pending", "S/c.jpg": "pending"}
    assert counts.slide_tally(database, "S").status is SlideStatus.COUNTING
    items = begin(database, take(database, inbox))
    contents = {"S/a.jpg": "other bytes"}
    outcomes = [classified(item.image_id, contents.get(item.path, "same bytes")) for item in items]
    results.store(database, MODEL, "bench", outcomes)
    tally = counts.slide_tally(database, "S")
    assert (tally.cells[CellClass.NEUTROPHIL], tally.duplicates, tally.cells[CellClass.MONOCYTE]) == (2, 1, 0)


def test_a_file_whose_slide_changed_with_the_pattern_leaves_the_old_slide(database: Database) -> None:
    inbox = new_inbox(database)
    same = [("S/a.jpg", "same", CellClass.MONOCYTE, True), ("S/b.jpg", "same", CellClass.MONOCYTE, True)]
    count_cells(database, inbox, same)
    completion.complete_slides(database, inbox, quiet=timedelta(0))

    journal.record(database, inbox, [seen("S/a.jpg", mtime_ns=2, slide="other")])

    left = counts.slide_tally(database, "S")
    assert (left.images, left.pending, left.status) == (1, 1, SlideStatus.COUNTING), "b.jpg counts now"
    assert counts.slide_tally(database, "other").pending == 1


def test_the_watchers_sign_of_life_is_kept(database: Database) -> None:
    inbox = new_inbox(database)
    began_at = datetime.now(UTC)
    inbox_registry.note_watch(database, inbox, arriving=3, is_whole_scan=False)
    (line,) = inbox_lines(database)
    assert line.watched_at is not None
    assert (line.scanned_at, line.arriving) == (None, 3)

    inbox_registry.note_watch(database, inbox, arriving=0, is_whole_scan=True)
    (line,) = inbox_lines(database)
    assert line.scanned_at is not None
    assert began_at <= line.scanned_at <= datetime.now(UTC)
    inbox_registry.note_watch(database, inbox, arriving=1, is_whole_scan=False)
    assert inbox_lines(database)[0].scanned_at == line.scanned_at


def test_journalling_takes_its_locks_in_the_order_of_the_workers(postgresql_database: Database) -> None:
    """First the slide, then its images; the other way round watcher and worker would wait for each other."""
    inbox = new_inbox(postgresql_database)
    count_cells(postgresql_database, inbox, [("S/a.jpg", "a", CellClass.NEUTROPHIL, True)])
    changes = [[seen("S/a.jpg", mtime_ns=2)], [seen("S/a.jpg", mtime_ns=3, slide="other")]]
    is_waiting = text("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")

    with ThreadPoolExecutor() as threads:
        for files in changes:
            with postgresql_database.writing() as worker:
                worker.execute(text("SELECT id FROM slides FOR UPDATE"))
                watcher = threads.submit(journal.record, postgresql_database, inbox, files)
                wait_until(lambda: worker.execute(is_waiting).scalar_one(), what="the watcher to wait")
                worker.execute(text("SELECT id FROM images FOR UPDATE NOWAIT"))
            assert watcher.result(10) == Journalled(superseded=1)


def test_overwriting_while_workers_store_never_locks_up(database: Database) -> None:
    """The watcher takes slides, then images, as workers do; the other way round PostgreSQL ends one with a deadlock."""
    inbox = new_inbox(database)
    paths = [f"S/{i}.jpg" for i in range(30)]
    trouble: list[Exception] = []
    is_done = threading.Event()

    def overwrite() -> None:
        for version in range(1, 40):
            journal.record(database, inbox, [seen(path, mtime_ns=version) for path in paths])

    def work_once() -> None:
        items = begin(database, take(database, inbox, at_most=20))
        outcomes = [classified(item.image_id, f"{item.path} {item.version.mtime_ns}") for item in items]
        results.store(database, MODEL, "bench", outcomes)

    def work() -> None:
        while not is_done.is_set():
            work_once()

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except DatabaseUnavailable as error:
            trouble.append(error)
        finally:
            is_done.set()

    with ThreadPoolExecutor() as threads:
        threads.map(run, (overwrite, work, work))

    assert trouble == []
    queueing.put_back_lost(database, inbox, queued_before=datetime.now(UTC) + LATER)
    while progress(database).open:
        work_once()
    assert counts.slide_tally(database, "S").cells[CellClass.NEUTROPHIL] == len(paths)
