"""The signs that alerts look at, on real databases; and totals that are not counted at every scrape."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal, results
from smearcount.db.queries import health
from smearcount.db.queries.health import RecentFiles
from smearcount.db.queries.inboxes import progress
from smearcount.db.records import Refusal, TimeSpent
from smearcount.db.schema import Classification, Image
from smearcount.differential.classes import CellClass
from smearcount.web.monitoring.totals import TotalsCache

from support.journalling import MODEL, NEWER_MODEL, begin, classified, count_cells, new_inbox, seen, take

#: How an image is followed back to its message, as docs/reference.md has it.
TRACE_OF_IMAGE = "SELECT work.trace FROM images JOIN work ON work.at = images.finished_at WHERE images.id = :id"

CELLS = [
    ("S-1/1.jpg", "a", CellClass.NEUTROPHIL, True),
    ("S-1/2.jpg", "b", CellClass.LYMPHOCYTE, True),
    ("S-1/3.jpg", "c", CellClass.MONOCYTE, False),
    ("S-1/4.jpg", "a", CellClass.NEUTROPHIL, True),
]


def test_recent_files_are_told_by_what_became_of_them(database: Database) -> None:
    inbox = new_inbox(database)
    assert health.read_health(database).recent == RecentFiles()
    count_cells(database, inbox, CELLS)
    journal.record(database, inbox, [seen("S-1/5.jpg", refusal=Refusal("empty", "0 bytes")), seen("S-1/6.jpg")])

    found = health.read_health(database)

    assert found.recent == RecentFiles(identified=2, unidentified=1, duplicates=1, quarantined=1)
    assert (found.recent.cells, found.recent.files) == (3, 5)


def test_the_newest_call_of_a_recent_file_counts_and_only_once(database: Database) -> None:
    ids = count_cells(database, new_inbox(database), CELLS[:3])
    with database.writing() as connection:
        connection.execute(
            update(Image).where(Image.id == ids["S-1/1.jpg"]).values(state="queued", finished_at=None, attempts=0)
        )
    again = [classified(ids["S-1/1.jpg"], "a", identified=False)]
    results.store(database, NEWER_MODEL, "bench", again)
    with database.reading() as connection:
        assert len(connection.execute(Classification.__table__.select()).all()) == 4

    assert health.read_health(database).recent == RecentFiles(identified=1, unidentified=2)


def test_only_so_many_files_and_none_older_than_a_day_are_recent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = count_cells(database, new_inbox(database), CELLS[:3])
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    with database.writing() as connection:
        connection.execute(update(Image).where(Image.id == ids["S-1/3.jpg"]).values(finished_at=yesterday))
    assert health.read_health(database).recent == RecentFiles(identified=2)

    monkeypatch.setattr(health, "RECENT_FILES", 1)

    assert health.read_health(database).recent == RecentFiles(identified=1)


def test_each_inbox_has_its_own_signs(database: Database) -> None:
    busy, quiet = new_inbox(database, "/busy"), new_inbox(database, "/quiet")
    before = datetime.now(UTC)
    journal.record(database, busy, [seen("S-1/1.jpg"), seen("S-2/1.jpg")])
    inbox_registry.note_watch(database, busy, arriving=3, is_whole_scan=False)

    found = health.read_health(database)

    first, second = found.inboxes
    assert (first.inbox_id, first.name, first.arriving) == (busy, "/busy", 3)
    assert first.watched_at is not None
    assert first.last_image_at is not None
    assert before <= first.last_image_at <= first.watched_at <= datetime.now(UTC)
    assert (second.inbox_id, second.watched_at, second.last_image_at) == (quiet, None, None)
    assert found.oldest_pending_at == first.last_image_at


def test_every_outcome_is_followed_back_to_its_message(database: Database) -> None:
    reference = (Path(__file__).parents[4] / "docs" / "reference.md").read_text()
    assert f"    {TRACE_OF_IMAGE.replace(':id', '4711')};\n" in reference
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S-1/{number}.jpg") for number in range(4)])
    first, second = take(database, inbox, batch_size=2)
    for trace, batch, contents in (("trace-1", first, "ab"), ("trace-2", second, "ac")):
        begun = begin(database, [batch])
        outcomes = [
            classified(item.image_id, content, CellClass.NEUTROPHIL)
            for item, content in zip(begun, contents, strict=True)
        ]
        results.store(database, MODEL, "bench", outcomes, TimeSpent(2, 0.1, 0.1, 0.1), trace)

    with database.reading() as connection:
        found = {
            image_id: connection.execute(text(TRACE_OF_IMAGE), {"id": image_id}).scalars().all()
            for batch in (first, second)
            for image_id in batch.image_ids
        }
    assert found == {image_id: ["trace-1"] for image_id in first.image_ids} | {
        image_id: ["trace-2"] for image_id in second.image_ids
    }


class Clock:
    """A clock that moves when told to, and by a fixed step each time it is read."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self._step = step

    def __call__(self) -> float:
        """Tell the time."""
        self.now += self._step
        return self.now


def test_totals_are_counted_again_only_when_it_takes_a_hundredth_of_the_time(sqlite_database: Database) -> None:
    inbox = new_inbox(sqlite_database)
    clock = Clock(step=0.25)  # what counting seems to take
    cache = TotalsCache(sqlite_database, clock)
    assert cache.latest()[0].progress.pending == 0
    journal.record(sqlite_database, inbox, [seen("S-1/1.jpg")])

    clock.now = 20.0
    totals, age = cache.latest()
    assert (totals.progress.pending, round(age)) == (0, 20), "too soon"

    clock.now = 26.0
    totals, age = cache.latest()
    assert (totals.progress, age < 1) == (progress(sqlite_database), True)
    assert totals.progress.pending == 1


def test_totals_that_take_long_to_count_are_still_counted_every_minute(sqlite_database: Database) -> None:
    clock = Clock(step=10)
    cache = TotalsCache(sqlite_database, clock)
    cache.latest()
    journal.record(sqlite_database, new_inbox(sqlite_database), [seen("S-1/1.jpg")])

    clock.now = 71.0

    assert cache.latest()[0].progress.pending == 1
