"""The real watcher on a real folder: what people and analyzers do there, and what is journalled of it."""

import hashlib
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from smearcount.db.engine import database
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import inbox_registry, journal, queueing, results
from smearcount.db.ingest.visibility import NOT_HERE
from smearcount.db.migration import migrate
from smearcount.db.queries import counts
from smearcount.db.queries.cells import cells
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import deep_slides, inbox_lines, progress
from smearcount.db.queries.slides import slide as slide_summary
from smearcount.db.records import Batch, NotVisible
from smearcount.db.review.lost_calls import bring_back, lost_calls
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify
from smearcount.db.review.sign_off import slide_events
from smearcount.db.schema import SlideEventKind
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus, Status
from smearcount.inbox.paths import from_text
from smearcount.watcher import discovery, dispatch, watch
from smearcount.watcher.errors import InboxBusy, WatcherError
from smearcount.watcher.settings import WatcherSettings
from smearcount.watcher.watch import Watcher
from smearcount.worker.errors import BrokerUnavailable

from support.journalling import MODEL, classified
from support.reviewing import sign
from support.servers import PostgresqlServer
from support.waiting import wait_until

#: Times shortened so that tests need not wait; scans are rare, so that what is found quickly was found by its event.
QUICK = WatcherSettings(settle_seconds=0.15, empty_seconds=0.4, quiet_seconds=0.3, rescan_seconds=60, poll_seconds=0.2)
CELL = b"not really a JPEG"


@dataclass(frozen=True)
class Depth:
    """What is in the queue."""

    waiting: int
    held: int = 0


@dataclass
class MemoryQueue:
    """A queue in memory that keeps what it is given, until it is emptied or taken off the net."""

    batches: list[Batch] = field(default_factory=list)
    is_down: bool = False
    most_images: int = 0

    def send(self, batch: Batch) -> str:
        """Take a batch."""
        self._answer()
        self.batches.append(batch)
        self.most_images = max(self.most_images, sum(len(one.image_ids) for one in self.batches))
        return f"{len(self.batches)}"

    def depth(self) -> Depth:
        """Say what is there."""
        self._answer()
        return Depth(len(self.batches))

    def _answer(self) -> None:
        if self.is_down:
            raise BrokerUnavailable("the broker does not answer: tests took it off the net")


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Say what time it is, in seconds."""
        return self.now


class Site:
    """An inbox, a database and a queue, and a watcher that a test starts and stops."""

    def __init__(self, inbox: Path, opened: Database) -> None:
        self.inbox = inbox
        self.database = opened
        self.queue = MemoryQueue()
        self.clock = Clock()
        self.watcher: Watcher | None = None
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, **changes: object) -> Watcher:
        """Start watching, with QUICK settings but for the changes."""
        settings = QUICK.model_copy(update=changes)
        self.watcher = Watcher(self.inbox, self.database, self.queue, settings)
        self._thread = threading.Thread(target=self._run, args=(self.watcher,))
        self._thread.start()
        return self.watcher

    def by_hand(self, **changes: object) -> Watcher:
        """Make a watcher whose rounds and clock are the test's: without file events, and with one scan of the inbox.

        A scan finds what is there by the first round. Of what comes later, the test tells the watcher by `happened`.
        """
        by_hand = {"poll": True, "poll_seconds": 1e9, "settle_seconds": 0, "empty_seconds": 0, "quiet_seconds": 0}
        settings = QUICK.model_copy(update=by_hand | changes)
        self.watcher = Watcher(self.inbox, self.database, self.queue, settings, self.clock)
        return self.watcher

    def go_on(self, rounds: int = 1, *, seconds: float = 0) -> None:
        """Let so many seconds pass, and make so many rounds."""
        assert self.watcher is not None
        self.clock.now += seconds
        for _ in range(rounds):
            self.watcher._round()

    def happened(self, path: str, *, is_folder: bool = False) -> None:
        """Tell the watcher of a file event."""
        assert self.watcher is not None
        self.watcher._discovery._events.note(str(self.inbox / path), is_folder=is_folder)

    def arriving(self) -> list[str]:
        """Return the files that are waiting for stability."""
        assert self.watcher is not None
        return list(self.watcher._discovery.arriving)

    def stop(self) -> None:
        """Stop watching; what the watcher raised meanwhile fails the test."""
        if self._thread is not None and self.watcher is not None:
            self.watcher.stop()
            self._thread.join(60)
            assert not self._thread.is_alive()
        if self.watcher is not None:
            self.watcher.close()
        self.watcher = self._thread = None
        if self.error is not None:
            raise self.error

    def write(self, path: str | bytes, content: bytes = CELL) -> Path:
        """Write a file into the inbox in one go, with its folders."""
        full = self.inbox / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)
        return full

    def journalled(self) -> dict[str, str]:
        """State, or reason of refusal, of every file in the journal, by its real path."""
        return {from_text(line.path): line.reason_code or str(line.state) for line in image_lines(self.database)}

    def wait_for(self, expected: dict[str, str]) -> None:
        """Wait until exactly this is journalled."""
        wait_until(lambda: self.journalled() == expected, what=lambda: f"{expected}; there is {self.journalled()}")

    def wait_until_sent(self, images: int) -> None:
        """Wait until the queue holds so many images: what has just been marked as queued is about to be sent."""
        wait_until(lambda: self._in_queue() == images, what=lambda: f"{images} in the queue; it has {self._in_queue()}")

    def _in_queue(self) -> int:
        return sum(len(batch.image_ids) for batch in self.queue.batches)

    def superseded(self) -> int:
        """Return how many versions of files were replaced by newer ones."""
        return progress(self.database).superseded

    def work(self) -> None:
        """Do what workers do with all that is in the queue."""
        while self.queue.batches:
            batch = self.queue.batches.pop(0)
            items = results.begin(self.database, batch.image_ids)
            results.store(self.database, MODEL, "bench", [classified(one.image_id, one.path) for one in items])

    def miss(self, batch: Batch) -> None:
        """Do what workers do whose machine does not show the files."""
        items = results.begin(self.database, batch.image_ids)
        results.store(
            self.database, MODEL, "bench-2", [NotVisible(item.image_id, NOT_HERE, "not seen") for item in items]
        )

    def _run(self, watcher: Watcher) -> None:
        try:
            watcher.run()
        except BaseException as error:  # noqa: BLE001 (raised again where the test ends)
            self.error = error


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less between rounds and after trouble, for the tests' sake."""
    monkeypatch.setattr(discovery, "_LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(watch, "_BOOKKEEPING_SECONDS", 0.1)
    monkeypatch.setattr(watch, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "_FIRST_PAUSE", 0.2)
    monkeypatch.setattr(dispatch, "_CHECK_SECONDS", 0.2)
    monkeypatch.setattr(dispatch, "_JUST_QUEUED", timedelta(seconds=0.2))


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    (tmp_path / "inbox").mkdir()
    with Database(sqlite_url) as opened:
        made = Site(tmp_path / "inbox", opened)
        try:
            yield made
        finally:
            made.stop()


# What arrives


@pytest.mark.parametrize("changes", [{}, {"poll": True}], ids=["events", "polling"])
def test_what_is_there_and_what_comes_is_journalled_and_queued(site: Site, changes: dict[str, object]) -> None:
    site.write("S-1/before.jpg")
    site.start(**changes)
    site.wait_for({"S-1/before.jpg": "queued"})

    site.write("S-1/after.jpg")
    site.write("S-2/deep/er/after.png")

    site.wait_for({"S-1/before.jpg": "queued", "S-1/after.jpg": "queued", "S-2/deep/er/after.png": "queued"})
    site.wait_until_sent(3)
    assert sorted(len(batch.image_ids) for batch in site.queue.batches) == [1, 1, 1]
    assert site.superseded() == 0


def test_on_postgresql_too(tmp_path: Path, postgresql_database: Database) -> None:
    (tmp_path / "inbox").mkdir()
    site = Site(tmp_path / "inbox", postgresql_database)
    site.write(b"S-1/\xff\xfe.jpg")
    site.write("S-1/👩‍🔬.jpg")
    site.start()
    try:
        wait_until(lambda: len(site.journalled()) == 2, what="both files")
        site.write(b"S-1/\xff\xfe.jpg", b"something else")
        wait_until(lambda: site.superseded() == 1, what="the new version")
        with pytest.raises(InboxBusy):
            Watcher(site.inbox, postgresql_database, MemoryQueue(), QUICK)
        site.work()
    finally:
        site.stop()


def test_a_file_that_grows_slowly_is_journalled_once_when_whole(site: Site) -> None:
    slow = site.write("S-1/slow.jpg")
    watcher = site.by_hand(settle_seconds=2)
    site.go_on()
    assert site.arriving() == ["S-1/slow.jpg"]
    for _ in range(24):
        with slow.open("ab") as file:
            file.write(CELL)
        site.go_on(seconds=1.9)
        assert site.journalled() == {}

    site.go_on(seconds=2)  # it has not changed since the last round
    site.go_on(seconds=2)
    assert site.journalled() == {"S-1/slow.jpg": "queued"}
    known = journal.known_in_folder(site.database, watcher.inbox_id, "S-1")
    assert known["slow.jpg"].version.size == 25 * len(CELL)
    assert site.superseded() == 0


def test_a_burst_is_journalled_completely(site: Site) -> None:
    site.start()
    for number in range(800):
        site.write(f"S-{number % 15}/{number}.jpg")

    wait_until(lambda: progress(site.database).queued == 800, what="800 files")
    site.wait_until_sent(800)
    assert {len(batch.image_ids) for batch in site.queue.batches} != {1}, "batches are filled"
    assert site.superseded() == 0


def test_a_folder_renamed_into_place_is_journalled(site: Site, tmp_path: Path) -> None:
    site.write("S-0/first.jpg")
    outside = tmp_path / "outside" / "S-1" / "deep"
    outside.mkdir(parents=True)
    (outside / "cell.jpg").write_bytes(CELL)
    (outside.parent / "cell.jpg").write_bytes(CELL)
    site.start()
    site.wait_for({"S-0/first.jpg": "queued"})

    outside.parent.rename(site.inbox / "S-1")
    site.wait_for({"S-0/first.jpg": "queued", "S-1/cell.jpg": "queued", "S-1/deep/cell.jpg": "queued"})
    site.write("S-1/deep/later.jpg")

    wait_until(lambda: site.journalled().get("S-1/deep/later.jpg"), what="a file in the folder that was moved in")


def test_folders_made_all_at_once_do_not_wait_for_each_other(site: Site, tmp_path: Path) -> None:
    for number in range(120):
        folder = tmp_path / "outside" / f"S-{number}"
        folder.mkdir(parents=True)
        (folder / "cell.jpg").write_bytes(CELL)
    site.write("S/first.jpg")
    site.start()
    site.wait_for({"S/first.jpg": "queued"})

    for folder in (tmp_path / "outside").iterdir():
        folder.rename(site.inbox / folder.name)

    wait_until(lambda: len(site.journalled()) == 121, what="all folders")


def test_folders_of_many_events_are_scanned_in_one_round(site: Site) -> None:
    site.by_hand()
    site.go_on()
    for number in range(120):
        site.write(f"S-{number}/cell.jpg")
        site.happened(f"S-{number}", is_folder=True)

    site.go_on()

    assert len(site.journalled()) == 120


def test_a_file_moved_in_from_outside_is_journalled(site: Site, tmp_path: Path) -> None:
    site.write("S-1/first.jpg")
    site.start()
    site.wait_for({"S-1/first.jpg": "queued"})

    outside = tmp_path / "cell.jpg"
    outside.write_bytes(CELL)
    outside.rename(site.inbox / "S-1" / "cell.jpg")

    site.wait_for({"S-1/first.jpg": "queued", "S-1/cell.jpg": "queued"})


def test_a_file_under_a_temporary_name_counts_when_it_gets_its_own(site: Site) -> None:
    site.start()
    part = site.write("S-1/cell.jpg.part")
    site.write("S-1/other.jpg")
    site.wait_for({"S-1/other.jpg": "queued"})

    part.rename(site.inbox / "S-1" / "cell.jpg")

    site.wait_for({"S-1/other.jpg": "queued", "S-1/cell.jpg": "queued"})


@pytest.mark.parametrize("changes", [{}, {"poll": True}], ids=["events", "polling"])
def test_an_overwritten_file_supersedes_its_old_version(site: Site, changes: dict[str, object]) -> None:
    site.start(**changes)
    site.write("S-1/cell.jpg")
    site.wait_for({"S-1/cell.jpg": "queued"})
    site.work()

    site.write("S-1/cell.jpg", b"of another size")

    wait_until(lambda: site.superseded() == 1, what="the new version")
    site.wait_for({"S-1/cell.jpg": "queued"})


def test_a_file_overwritten_while_nobody_watched_is_noticed(site: Site) -> None:
    site.write("S-1/cell.jpg")
    site.start()
    site.wait_for({"S-1/cell.jpg": "queued"})
    site.stop()
    site.write("S-1/cell.jpg", b"of another size")

    site.start()

    wait_until(lambda: site.superseded() == 1, what="the new version")


def test_a_placeholder_that_is_filled_counts_once(site: Site) -> None:
    watcher = site.start(empty_seconds=30)
    placeholder = site.write("S-1/cell.jpg", b"")
    wait_until(lambda: len(watcher._discovery._stability) == 1, what="the placeholder to be noticed")

    placeholder.write_bytes(CELL)

    site.wait_for({"S-1/cell.jpg": "queued"})
    assert site.superseded() == 0


def test_a_file_that_stays_empty_is_quarantined_and_counts_once_filled(site: Site) -> None:
    site.start()
    empty = site.write("S-1/cell.jpg", b"")
    site.wait_for({"S-1/cell.jpg": "empty"})

    empty.write_bytes(CELL)

    site.wait_for({"S-1/cell.jpg": "queued"})


def test_files_that_stay_empty_neither_keep_a_slide_from_completing_nor_the_scan_from_ending(site: Site) -> None:
    """Each look used to let them settle anew; with several, something was arriving at every moment."""
    for number in range(5):
        site.write(f"S-1/{number}.jpg", b"")
    watcher = site.start(poll=True, poll_seconds=0.05)
    wait_until(lambda: set(site.journalled().values()) == {"empty"}, what="all to be quarantined")
    wait_until(lambda: not watcher._discovery._stability, what="nothing to arrive any more")
    saw: list[str] = []
    watcher._discovery._stability.observe = lambda path, *_: bool(saw.append(path))  # type: ignore[method-assign, func-returns-value]
    scans = _scans_ended(site)

    wait_until(lambda: _scans_ended(site) != scans, what="another scan")
    assert saw == []
    wait_until(lambda: counts.slide_tally(site.database, "S-1").status is SlideStatus.COMPLETE, what="completion")


def _scans_ended(site: Site) -> object:
    return inbox_lines(site.database)[0].scanned_at


def test_a_file_deleted_before_it_is_stable_leaves_no_trace(site: Site) -> None:
    short_lived = site.write("S-1/short.jpg")
    site.by_hand(settle_seconds=2)
    site.go_on()
    assert site.arriving() == ["S-1/short.jpg"]
    short_lived.unlink()
    site.write("S-1/stays.jpg")
    site.happened("S-1/stays.jpg")
    site.go_on()

    site.go_on(seconds=2)

    assert site.arriving() == []
    assert site.journalled() == {"S-1/stays.jpg": "queued"}


# What is none of ours, and what is refused


def test_what_is_no_image_file_is_ignored(site: Site) -> None:
    for path in (
        ".hidden.jpg", "S-1/.DS_Store", "S-1/._cell.jpg", "S-1/Thumbs.db", "S-1/desktop.ini", "S-1/@eaDir/cell.jpg",
        ".stfolder/cell.jpg", ".stversions/S-1/cell.jpg", "__MACOSX/S-1/cell.jpg", "S-1/cell.jpg.part",
        "S-1/cell.jpg.tmp", "S-1/~cell.jpg", "..x/cell.jpg", "S-1/report.pdf", "S-1/list.csv", "S-1/noending",
    ):  # fmt: skip
        site.write(path)
    os.mkfifo(site.inbox / "S-1" / "pipe.jpg")
    (site.inbox / "S-1" / "folder.jpg").mkdir()
    (site.inbox / "S-1" / "list-link.csv").symlink_to("/etc/hostname")
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(site.inbox / "S-1", os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{folder}/socket.jpg")  # a socket's path may not be long
        os.close(folder)
        site.write("S-1/before.jpg")
        site.start()
        site.wait_for({"S-1/before.jpg": "queued"})

        for path in (".late.jpg", "S-1/._late.jpg", "S-1/late.jpg.part", ".stversions/late/cell.jpg", "..y/late.jpg"):
            site.write(path)
        os.mkfifo(site.inbox / "S-1" / "late-pipe.jpg")
        site.write("S-1/after.jpg")
        site.wait_for({"S-1/before.jpg": "queued", "S-1/after.jpg": "queued"})


@pytest.mark.parametrize("late", [False, True], ids=["found by the scan", "found by its event"])
def test_links_out_of_the_inbox_are_refused_and_links_within_accepted(site: Site, tmp_path: Path, late: bool) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(CELL)
    (outside / "deep").mkdir()
    (outside / "deep" / "secret.jpg").write_bytes(CELL)
    site.write("S-1/cell.jpg")

    def link() -> None:
        (site.inbox / "S-2").mkdir()
        (site.inbox / "S-2" / "out.jpg").symlink_to(outside / "secret.jpg")
        (site.inbox / "S-2" / "climbs.jpg").symlink_to("../../outside/secret.jpg")
        (site.inbox / "S-2" / "folder").symlink_to(outside, target_is_directory=True)
        (site.inbox / "S-2" / "within.jpg").symlink_to("../S-1/cell.jpg")
        (site.inbox / "S-2" / "folder-within").symlink_to(site.inbox / "S-1", target_is_directory=True)
        (site.inbox / "S-2" / "round").symlink_to(site.inbox, target_is_directory=True)
        (site.inbox / "S-2" / "nowhere.jpg").symlink_to("nothing.jpg")
        (site.inbox / "S-2" / "itself.jpg").symlink_to("itself.jpg")

    if not late:
        link()
    site.start()
    wait_until(lambda: "S-1/cell.jpg" in site.journalled(), what="the first scan")
    if late:
        link()

    site.wait_for(
        {
            "S-1/cell.jpg": "queued",
            "S-2/out.jpg": "leaves-inbox",
            "S-2/climbs.jpg": "leaves-inbox",
            "S-2/folder": "leaves-inbox",
            "S-2/within.jpg": "queued",
            "S-2/nowhere.jpg": "gone",
            "S-2/itself.jpg": "gone",
        }
    )


def test_a_link_put_right_counts(site: Site) -> None:
    link = site.inbox / "S-1" / "link.jpg"
    link.parent.mkdir()
    link.symlink_to("/etc/hostname.jpg")
    site.start()
    site.wait_for({"S-1/link.jpg": "leaves-inbox"})

    site.write("S-1/cell.jpg")
    link.unlink()
    link.symlink_to("cell.jpg")

    site.wait_for({"S-1/link.jpg": "queued", "S-1/cell.jpg": "queued"})


NAMES = [
    b"line\nbreak.jpg", b"\xff\xfe\x80.jpg", b"a" * 251 + b".jpg", b"\xfe" * 251 + b".jpg", "🩸" * 60 + ".jpg",
    "\u202egpj.jpg", " .jpg", "'; DROP TABLE images; --.jpg", "%s%n{0}.jpg", "back\\slash.jpg", "\x1b[31m.jpg", "-rf.jpg",
]  # fmt: skip


def test_any_name_is_journalled_and_comes_back_as_it_was(site: Site) -> None:
    names = [os.fsdecode(name) if isinstance(name, bytes) else name for name in NAMES]
    for name in names[::2]:
        site.write(f"CON/{name}")
    site.start()
    wait_until(lambda: len(site.journalled()) == len(names[::2]), what="the names there")
    for name in names[1::2]:
        site.write(f"CON/{name}")

    site.wait_for({f"CON/{name}": "queued" for name in names})
    assert all(line.path.isprintable() for line in image_lines(site.database))


def test_a_path_too_long_for_the_journal_is_refused_and_holds_nothing_up(
    tmp_path: Path, postgresql_database: Database
) -> None:
    """PostgreSQL has no room for it in an index, and would refuse it, and all journalled with it, for ever."""
    (tmp_path / "inbox").mkdir()
    site = Site(tmp_path / "inbox", postgresql_database)
    deep = os.open(site.inbox, os.O_RDONLY)
    for number in range(12):
        name = hashlib.sha512(bytes([number])).hexdigest() + "-" * 100
        os.mkdir(name, dir_fd=deep)
        deep, above = os.open(name, os.O_RDONLY, dir_fd=deep), deep
        os.close(above)
    os.close(os.open("deep.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=deep))
    os.close(deep)
    site.write("S-1/cell.jpg")
    site.start()
    try:
        wait_until(lambda: len(site.journalled()) == 2, what="both files")
    finally:
        site.stop()

    assert sorted(site.journalled().values()) == ["path-too-long", "queued"]


def test_any_folder_name_names_a_slide(site: Site) -> None:
    slides = ["CON", " spaces ", "a\nb", "ünï", "x" * 255, "%", "S-1 (2)", "\udcff", "\u202e", "S-1", "s-1"]
    for slide in slides:
        site.write(f"{slide}/cell.jpg")
    site.start()
    site.wait_for({f"{slide}/cell.jpg": "queued" for slide in slides})

    assert {from_text(line.tally.slide) for line in counts.slide_tallies(site.database)} == set(slides)


def test_a_file_without_a_slide_is_refused_and_counts_once_it_is_in_a_folder(site: Site) -> None:
    site.start()
    loose = site.write("cell.jpg")
    site.wait_for({"cell.jpg": "no-slide"})

    (site.inbox / "S-1").mkdir()
    loose.rename(site.inbox / "S-1" / "cell.jpg")

    site.wait_for({"cell.jpg": "no-slide", "S-1/cell.jpg": "queued"})


def test_a_file_without_a_slide_counts_once_the_pattern_names_one(site: Site) -> None:
    site.write("S-1_cell.jpg")
    site.start()
    site.wait_for({"S-1_cell.jpg": "no-slide"})
    site.stop()

    site.start(pattern=r"(?P<slide>[^_/]+)_(?P<label>[^/]+)\.jpg")

    site.wait_for({"S-1_cell.jpg": "queued"})
    (line,) = image_lines(site.database)
    assert (line.slide, line.analyzer_label) == ("S-1", "cell")


# Slides


def test_a_slide_completes_after_the_quiet_period_and_a_late_image_reopens_it(site: Site) -> None:
    site.write("S-1/cell.jpg")
    site.start()
    site.wait_for({"S-1/cell.jpg": "queued"})

    def status() -> SlideStatus:
        return counts.slide_tally(site.database, "S-1").status

    assert status() is SlideStatus.COUNTING
    site.work()
    wait_until(lambda: status() is SlideStatus.COMPLETE, what="the slide to be complete")

    site.write("S-1/late.jpg")
    wait_until(lambda: status() is SlideStatus.COUNTING, what="the slide to be reopened")
    wait_until(lambda: site.queue.batches, what="the late image to be queued")
    site.work()
    wait_until(lambda: status() is SlideStatus.COMPLETE, what="the slide to be complete again")


def test_a_slide_is_not_complete_while_an_image_of_it_still_arrives(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_BOOKKEEPING_SECONDS", 0)
    site.write("S-1/cell.jpg")
    site.by_hand(settle_seconds=1)
    site.go_on()
    site.go_on(seconds=1)
    assert site.journalled() == {"S-1/cell.jpg": "queued"}
    growing = site.write("S-1/growing.jpg")
    site.happened("S-1/growing.jpg")
    site.go_on()
    assert site.arriving() == ["S-1/growing.jpg"]
    site.work()

    for _ in range(25):
        with growing.open("ab") as file:
            file.write(CELL)
        site.go_on(seconds=1)
        assert counts.slide_tally(site.database, "S-1").status is SlideStatus.COUNTING
    site.go_on(seconds=1)
    assert site.journalled() == {"S-1/cell.jpg": "done", "S-1/growing.jpg": "queued"}
    site.work()
    site.go_on()
    assert counts.slide_tally(site.database, "S-1").status is SlideStatus.COMPLETE


def test_after_a_restart_no_slide_completes_before_the_inbox_has_been_looked_through(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("S-1/cell.jpg")
    site.by_hand()
    site.go_on()
    assert site.journalled() == {"S-1/cell.jpg": "queued"}
    site.stop()
    site.work()
    monkeypatch.setattr(watch, "_BOOKKEEPING_SECONDS", 0)
    monkeypatch.setattr(discovery, "_ENTRIES_PER_ROUND", 1)
    site.write("S-0/came-meanwhile.jpg")
    site.write("S-1/came-meanwhile.jpg")

    watcher = site.by_hand()
    rounds = 0
    while not watcher._discovery.has_scanned:
        site.go_on()
        rounds += 1
        assert counts.slide_tally(site.database, "S-1").status is SlideStatus.COUNTING
    assert rounds > 3
    site.go_on(2)
    expected = {"S-1/cell.jpg": "done", "S-0/came-meanwhile.jpg": "queued", "S-1/came-meanwhile.jpg": "queued"}
    assert site.journalled() == expected
    site.work()
    site.go_on()
    assert counts.slide_tally(site.database, "S-1").status is SlideStatus.COMPLETE


# The queue


def test_while_the_broker_is_away_journalling_goes_on_and_later_everything_is_queued(site: Site) -> None:
    site.queue.is_down = True
    site.start()
    expected = {}
    for number in range(5):
        site.write(f"S-1/{number}.jpg")
        expected[f"S-1/{number}.jpg"] = "pending"
        site.wait_for(expected)

    site.queue.is_down = False

    site.wait_for(dict.fromkeys(expected, "queued"))


def test_the_queue_never_holds_more_than_allowed(site: Site) -> None:
    for number in range(30):
        site.write(f"S-{number % 3}/{number}.jpg")
    site.start(queue_images=7, batch_images=2)
    wait_until(lambda: site.queue.most_images == 7, what="a full queue")
    wait_until(lambda: len(site.journalled()) == 30, what="all to be journalled")

    def work_off() -> bool:
        site.work()
        return progress(site.database).done == 30

    wait_until(work_off, what="all to be done")
    assert site.queue.most_images == 7


def test_what_the_broker_lost_is_queued_again(site: Site) -> None:
    site.write("S-1/cell.jpg")
    site.start()
    site.wait_for({"S-1/cell.jpg": "queued"})
    site.wait_until_sent(1)
    (lost,) = site.queue.batches

    site.queue.batches.clear()

    wait_until(lambda: site.queue.batches == [lost], what="the batch to be queued again")


# Trouble


def test_a_file_that_a_worker_missed_is_sent_again_while_it_is_there_and_gone_when_it_is_not(site: Site) -> None:
    site.start()
    site.write("S-1/there.jpg")
    deleted = site.write("S-1/deleted.jpg")
    site.wait_for({"S-1/there.jpg": "queued", "S-1/deleted.jpg": "queued"})
    site.wait_until_sent(2)
    deleted.unlink()

    while site.queue.batches:
        site.miss(site.queue.batches.pop(0))
    site.wait_for({"S-1/there.jpg": "not-here", "S-1/deleted.jpg": "gone"})
    wait_until(lambda: site.queue.batches, what="the file that is there to be sent again")
    site.work()
    site.wait_for({"S-1/there.jpg": "done", "S-1/deleted.jpg": "gone"})

    site.write("S-1/deleted.jpg")
    site.wait_for({"S-1/there.jpg": "done", "S-1/deleted.jpg": "queued"})


def test_the_checksum_of_each_new_file_is_kept_where_workers_may_see_older_copies(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_HASHED_PER_ROUND", 3)
    for number in range(20):
        site.write(b"S-1/\xff%d.jpg" % number, b"%d" % number)
    site.write("S-1/empty.jpg", b"")
    site.start(hash_files=True, empty_seconds=0)

    wait_until(lambda: progress(site.database).queued == 20, what="all files")
    site.wait_until_sent(20)
    ids = [image_id for batch in site.queue.batches for image_id in batch.image_ids]
    items = results.begin(site.database, ids)
    assert {from_text(item.path): item.sha256 for item in items} == {
        os.fsdecode(b"S-1/\xff%d.jpg" % number): hashlib.sha256(b"%d" % number).hexdigest() for number in range(20)
    }


def test_without_being_told_to_the_watcher_reads_no_file(site: Site) -> None:
    site.start()
    site.write("S-1/cell.jpg")
    site.wait_for({"S-1/cell.jpg": "queued"})
    site.wait_until_sent(1)

    (item,) = results.begin(site.database, site.queue.batches[0].image_ids)

    assert item.sha256 is None


def test_a_second_watcher_of_an_inbox_is_refused_and_changes_nothing(site: Site, tmp_path: Path) -> None:
    site.start(inbox_name="ward")
    (tmp_path / "elsewhere").mkdir()

    with pytest.raises(InboxBusy):
        Watcher(tmp_path / "elsewhere", site.database, MemoryQueue(), QUICK.model_copy(update={"inbox_name": "ward"}))

    assert [line.root for line in inbox_lines(site.database)] == [str(site.inbox)]
    site.stop()
    other = Watcher(
        tmp_path / "elsewhere", site.database, MemoryQueue(), QUICK.model_copy(update={"inbox_name": "ward"})
    )
    assert [line.root for line in inbox_lines(site.database)] == [str(tmp_path / "elsewhere")]
    other.close()


def test_an_inbox_that_cannot_be_watched_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, says in ((tmp_path / "missing", "does not exist"), (tmp_path / "file", "is no folder")):
        with pytest.raises(WatcherError, match=says):
            Watcher(path, site.database, MemoryQueue(), QUICK)


def test_an_inbox_renamed_away_and_back_is_watched_on(site: Site, tmp_path: Path) -> None:
    site.write("S-1/cell.jpg")
    site.start()
    site.wait_for({"S-1/cell.jpg": "queued"})
    site.inbox.rename(tmp_path / "away")
    site.work()
    wait_until(lambda: counts.slide_tally(site.database, "S-1").completed_at, what="counting to go on meanwhile")
    (tmp_path / "away" / "S-1" / "meanwhile.jpg").write_bytes(CELL)

    (tmp_path / "away").rename(site.inbox)
    site.wait_for({"S-1/cell.jpg": "done", "S-1/meanwhile.jpg": "queued"})
    site.write("S-1/after.jpg")
    site.wait_for({"S-1/cell.jpg": "done", "S-1/meanwhile.jpg": "queued", "S-1/after.jpg": "queued"})


@pytest.mark.parametrize("is_deleted", [False, True], ids=["moved away", "deleted"])
def test_another_folder_in_the_inboxs_place_is_watched(site: Site, tmp_path: Path, is_deleted: bool) -> None:
    """As when a share is mounted again: the events asked for belonged to the folder that was there before."""
    site.write("S-1/cell.jpg")
    site.start()
    site.wait_for({"S-1/cell.jpg": "queued"})
    if is_deleted:
        (site.inbox / "S-1" / "cell.jpg").unlink()
        (site.inbox / "S-1").rmdir()
        site.inbox.rmdir()
    else:
        site.inbox.rename(tmp_path / "away")
    site.write("S-2/found.jpg")
    site.wait_for({"S-1/cell.jpg": "queued", "S-2/found.jpg": "queued"})

    site.write("S-2/heard.jpg")

    site.wait_for({"S-1/cell.jpg": "queued", "S-2/found.jpg": "queued", "S-2/heard.jpg": "queued"})


@pytest.fixture
def _gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a locked database be an error soon."""
    monkeypatch.setattr(database, "SQLITE_BUSY_SECONDS", 0.5)


@pytest.mark.usefixtures("_gives_up_soon")
def test_while_the_database_is_locked_nothing_is_lost(site: Site) -> None:
    watcher = site.start()
    site.write("S-1/before.jpg")
    site.wait_for({"S-1/before.jpg": "queued"})
    other = sqlite3.connect(str(site.database.file), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(20):
        site.write(f"S-1/{number}.jpg")
    wait_until(lambda: len(watcher._discovery.ready) == 20, what="files that the journal has not taken")
    assert set(site.journalled()) == {"S-1/before.jpg"}

    other.execute("ROLLBACK")
    other.close()

    wait_until(lambda: progress(site.database).queued == 21, what="all files")
    assert site.superseded() == 0


def test_a_database_that_fails_in_the_middle_of_scan_and_journal_loses_no_file(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slide in range(8):
        for number in range(3):
            site.write(f"S-{slide}/{number}.jpg")
    modules = {
        "known_in_folder": journal, "record": journal, "take_batches": queueing, "note_watch": inbox_registry,
    }  # fmt: skip
    asked = dict.fromkeys(modules, 0)

    def unreliable(name: str) -> None:
        real = getattr(modules[name], name)

        def every_third_time_it_fails(*args: object, **kwargs: object) -> object:
            asked[name] += 1
            if asked[name] % 3 == 2 and asked[name] < 20:
                raise DatabaseUnavailable("tests say no")
            return real(*args, **kwargs)

        monkeypatch.setattr(modules[name], name, every_third_time_it_fails)

    for name in asked:
        unreliable(name)
    monkeypatch.setattr(discovery, "_ENTRIES_PER_ROUND", 5)
    site.start()

    wait_until(lambda: progress(site.database).queued == 24, what="all files")
    assert site.superseded() == 0


def test_postgresql_may_be_restarted_while_watching(tmp_path: Path, own_postgresql: PostgresqlServer) -> None:
    (tmp_path / "inbox").mkdir()
    with Database(own_postgresql.url()) as opened:
        migrate(opened)
        site = Site(tmp_path / "inbox", opened)
        site.write("S-1/before.jpg")
        site.start()
        try:
            site.wait_for({"S-1/before.jpg": "queued"})
            own_postgresql.stop()
            site.write("S-1/meanwhile.jpg")
            own_postgresql.start()
            site.wait_for({"S-1/before.jpg": "queued", "S-1/meanwhile.jpg": "queued"})
            wait_until(lambda: _leases(opened) == 1, what="the lease to be held again")
        finally:
            site.stop()


def _leases(opened: Database) -> int:
    with opened.reading() as connection:
        held = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"
        return int(connection.execute(text(held)).scalar_one())


def test_when_the_thread_that_reads_events_dies_another_takes_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = site.start()
    wait_until(lambda: _scans_ended(site), what="the first scan")
    reader = watcher._discovery._events._observer._inotify_fd  # type: ignore[union-attr]
    monkeypatch.setattr(reader, "handle_event", lambda _: reader.stop())
    site.write("S-1/unheard.jpg")
    site.wait_for({"S-1/unheard.jpg": "queued"})
    assert not reader.is_alive()

    site.write("S-1/heard.jpg")

    site.wait_for({"S-1/unheard.jpg": "queued", "S-1/heard.jpg": "queued"})


def test_without_file_events_it_polls(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.inotify.InotifyWatchGroup._add_callback", none_left)
    threads = set(threading.enumerate())
    site.start()
    wait_until(lambda: _scans_ended(site), what="the first scan")
    site.write("S-1/cell.jpg")

    site.wait_for({"S-1/cell.jpg": "queued"})
    assert set(threading.enumerate()) - threads == {site._thread}, "the threads of the failed attempt are gone"


# Hints


@pytest.fixture
def by_hand(site: Site) -> Watcher:
    """A watcher without events of its own, whose rounds the test makes."""
    return site.by_hand()


@pytest.fixture
def scanning(site: Site, by_hand: Watcher, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """The same in the middle of a scan, which has passed the first of six slides."""
    monkeypatch.setattr(discovery, "_ENTRIES_PER_ROUND", 2)
    for number in range(6):
        site.write(f"S-{number}/cell.jpg")
    while "S-0/cell.jpg" not in site.journalled():
        by_hand._round()
    return by_hand


def test_a_hint_of_everywhere_during_a_scan_makes_another_scan(site: Site, scanning: Watcher) -> None:
    site.write("S-0/behind-the-scan.jpg")
    scanning._discovery._events.note_everywhere()

    for _ in range(30):
        scanning._round()

    assert len(site.journalled()) == 7
    assert not scanning._discovery._schedule.is_running


def test_a_folder_hinted_at_during_a_scan_is_looked_at_after_it(site: Site, scanning: Watcher) -> None:
    site.write("S-0/deep/cell.jpg")
    for folder in ("S-0/deep", "S-0/deep", ".stversions", "gone"):
        scanning._discovery._events.note(str(site.inbox / folder), is_folder=True)

    for _ in range(30):
        scanning._round()

    assert "S-0/deep/cell.jpg" in site.journalled()


def test_another_folder_in_the_inboxs_place_during_a_scan_is_scanned_from_the_start(
    site: Site, scanning: Watcher, tmp_path: Path
) -> None:
    assert scanning._discovery._schedule.is_running
    site.inbox.rename(tmp_path / "away")
    site.write("S-0/behind-the-scan.jpg")

    site.go_on(30)

    assert site.journalled()["S-0/behind-the-scan.jpg"] == "queued"


def test_hints_behind_folder_links_are_not_followed(site: Site, by_hand: Watcher, tmp_path: Path) -> None:
    """The events of a folder that appears with links in it tell of those as of folders."""
    outside = tmp_path / "outside" / "deep"
    outside.mkdir(parents=True)
    (outside / "secret.jpg").write_bytes(CELL)
    site.write("S-1/cell.jpg")
    (site.inbox / "S-1" / "out").symlink_to(outside.parent, target_is_directory=True)
    (site.inbox / "S-1" / "round").symlink_to(site.inbox, target_is_directory=True)
    by_hand._round()
    for folder in ("S-1/out", "S-1/out/deep", "S-1/round", "S-1/round/S-1"):
        by_hand._discovery._events.note(str(site.inbox / folder), is_folder=True)
    for path in ("S-1/out/deep/secret.jpg", "S-1/round/S-1/cell.jpg"):
        by_hand._discovery._events.note(str(site.inbox / path), is_folder=False)

    for _ in range(5):
        by_hand._round()

    assert site.journalled() == {"S-1/cell.jpg": "queued", "S-1/out": "leaves-inbox"}


def test_too_many_hints_become_one_for_everywhere(
    site: Site, by_hand: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smearcount.watcher.events._MOST_HINTS", 5)
    by_hand._round()
    for number in range(9):
        by_hand._discovery._events.note(str(site.write(f"S/{number}.jpg")), is_folder=False)
    assert not by_hand._discovery._events._hints.files

    by_hand._round()
    by_hand._round()

    assert len(site.journalled()) == 9


def test_no_more_files_wait_for_stability_at_a_time_than_allowed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_MOST_WAITING", 10)
    for number in range(35):
        site.write(f"S/{number}.jpg")
    site.by_hand(settle_seconds=1)
    waiting = []

    def go_on(*, seconds: float) -> None:
        site.go_on(seconds=seconds)
        waiting.append(len(site.arriving()))

    for _ in range(3):
        go_on(seconds=0)
    assert waiting == [9, 10, 10], "the first of ten entries is the folder"
    for _ in range(12):
        go_on(seconds=0.5)
    assert max(waiting) == 10
    assert len(site.journalled()) == 35


def test_when_the_system_drops_events_everything_is_looked_at(site: Site) -> None:
    watcher = site.start()
    wait_until(lambda: _scans_ended(site), what="the first scan")
    before = _scans_ended(site)

    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")

    wait_until(lambda: _scans_ended(site) != before, what="another scan")
    assert watcher._discovery._events.is_listening()


def test_a_file_is_noticed_by_its_event_before_the_next_scan(site: Site) -> None:
    watcher = site.start(settle_seconds=1000)
    wait_until(lambda: _scans_ended(site), what="the first scan")
    before = _scans_ended(site)

    site.write("S-1/cell.jpg")

    wait_until(lambda: len(watcher._discovery._stability) == 1, what="the file to be noticed")
    assert _scans_ended(site) == before


# Names


def test_logs_hold_no_file_or_folder_names(site: Site, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    site.write("PATIENT-1/PATIENT-2.jpg")
    site.write("PATIENT-3.jpg")
    (site.inbox / "PATIENT-1" / "PATIENT-4.jpg").symlink_to("/etc/hostname")
    site.start()
    wait_until(lambda: len(site.journalled()) == 3, what="all files")
    site.write("PATIENT-1/PATIENT-2.jpg", b"changed")
    wait_until(lambda: site.superseded() == 1, what="the new version")
    site.queue.is_down = True
    site.write("PATIENT-1/PATIENT-5.jpg")
    wait_until(lambda: len(site.journalled()) == 4, what="another file")
    site.inbox.rename(tmp_path / "PATIENT-6")
    wait_until(lambda: "inbox cannot be read" in caplog.text, what="the trouble to be said")
    (tmp_path / "PATIENT-6").rename(site.inbox)
    wait_until(lambda: "works again" in caplog.text, what="the end of it to be said")
    site.queue.is_down = False
    wait_until(lambda: "broker answers again" in caplog.text, what="the broker")
    site.stop()

    assert "PATIENT" not in caplog.text
    assert str(site.inbox) not in caplog.text
    assert caplog.text.count("inbox cannot be read") == 1, "trouble is said once"


# Times that change, and files that vanish


HOUR_NS = 3_600_000_000_000


@pytest.fixture
def any_site(tmp_path: Path, database: Database) -> Iterator[Site]:
    """Yield a site with a database: once SQLite, once PostgreSQL."""
    (tmp_path / "inbox").mkdir()
    made = Site(tmp_path / "inbox", database)
    try:
        yield made
    finally:
        made.stop()


def export(site: Site, folder: str, names: str = "abc") -> None:
    """Write files that hold their names, as the test's worker takes their bytes to be."""
    for name in names:
        site.write(f"{folder}/{name}.jpg", f"cell {name}".encode())


def count(site: Site) -> None:
    """Look through the whole inbox once more, count what comes of it, and complete the slides."""
    assert site.watcher is not None
    site.watcher._discovery.start_over()
    site.go_on(3, seconds=1)
    while site.queue.batches:
        batch = site.queue.batches.pop(0)
        items = results.begin(site.database, batch.image_ids)
        contents = {item.image_id: (site.inbox / from_text(item.path)).read_text() for item in items}
        results.store(site.database, MODEL, "bench", [classified(*one) for one in contents.items()])
    site.go_on(2, seconds=1)


def move_times(site: Site, nanoseconds: int = HOUR_NS) -> None:
    for path in site.inbox.rglob("*.jpg"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + nanoseconds))


def reviewed_and_signed(site: Site, name: str) -> int:
    """Let a person call one cell of a slide and sign it; return the slide."""
    slide_id = counts.find_slide_id(site.database, name)
    image = cells(site.database, slide_id).cells[0].id
    reclassify(site.database, [Change(image, ReviewClass.IG, None)], reviewer="Ada")
    sign(site.database, slide_id, reviewer="Ada")
    return slide_id


def test_times_moved_by_an_hour_change_no_image_no_review_and_no_signature(
    any_site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_HASHED_PER_ROUND", 2)
    caplog.set_level(logging.INFO)
    site = any_site
    export(site, "S-1", "abcde")
    watcher = site.by_hand()
    count(site)
    slide_id = reviewed_and_signed(site, "S-1")
    before = {one.id: one.path for one in image_lines(site.database)}

    move_times(site)
    count(site)

    assert site.superseded() == 0
    assert {one.id: one.path for one in image_lines(site.database)} == before
    found = slide_summary(site.database, slide_id)
    assert (found.status, found.signed_by, found.reviewed_cells) == (Status.SIGNED, "Ada", 1)
    assert found.reviewed.cells[CellClass.IG] == 1
    known = journal.known_in_folder(site.database, watcher.inbox_id, "S-1")
    assert {file.version.mtime_ns for file in known.values()} == {
        path.stat().st_mtime_ns for path in site.inbox.rglob("*.jpg")
    }
    assert "5 files with another time have the bytes that were counted: unchanged" in caplog.text


def test_other_bytes_of_the_same_size_are_another_image_whose_call_is_named_and_brought_back(any_site: Site) -> None:
    site = any_site
    export(site, "S-1")
    site.by_hand()
    count(site)
    slide_id = reviewed_and_signed(site, "S-1")
    called = cells(site.database, slide_id, reviewed_only=True).cells[0]
    file = site.inbox / called.path
    content = file.read_text()

    file.write_text("cell x")
    count(site)
    assert [lost.path for lost in lost_calls(site.database, slide_id)] == [called.path]
    assert slide_events(site.database, slide_id)[-1].kind == SlideEventKind.CONTENT_CHANGED
    file.write_text(content)
    move_times(site)
    count(site)

    assert site.superseded() == 2
    assert slide_summary(site.database, slide_id).reviewed_cells == 0
    bring_back(site.database, slide_id, reviewer="Eve")
    assert slide_summary(site.database, slide_id).reviewed.cells[CellClass.IG] == 1


def test_a_file_that_changes_while_it_is_compared_supersedes_nothing_before_it_is_settled(site: Site) -> None:
    export(site, "S-1")
    watcher = site.by_hand()
    count(site)
    move_times(site)
    watcher._discovery.start_over()
    watcher._discovery.advance()
    watcher._journal()
    assert len(site.arriving()) == 3, "they wait to be compared"

    site.write("S-1/a.jpg", b"cell x")
    (site.inbox / "S-1/b.jpg").unlink()
    watcher._compare()

    assert site.arriving() == []
    assert site.superseded() == 0
    count(site)
    assert site.superseded() == 1


def test_a_file_that_cannot_be_read_stays_the_image_that_it_was(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    export(site, "S-1", "a")
    watcher = site.by_hand()
    count(site)
    move_times(site)
    watcher._discovery.start_over()
    watcher._discovery.advance()
    watcher._journal()
    folder = site.inbox / "S-1"
    folder.rename(site.inbox / ".hidden")  # as a share that is away for a moment

    watcher._compare()

    assert site.superseded() == 0
    assert "1 files with another time cannot be read" in caplog.text
    (site.inbox / ".hidden").rename(folder)
    count(site)
    assert (site.superseded(), site.arriving()) == (0, [])


def test_no_more_files_are_compared_at_a_time_than_may_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_MOST_WAITING", 10)
    monkeypatch.setattr(watch, "_HASHED_PER_ROUND", 3)
    for number in range(40):
        site.write(f"S-1/{number}.jpg", f"{number}".encode())
    watcher = site.by_hand()
    for _ in range(20):
        site.go_on()
    count(site)
    move_times(site)
    watcher._discovery.start_over()
    waiting = []
    for _ in range(40):
        site.go_on()
        waiting.append(len(site.arriving()))

    assert 0 < max(waiting) <= 10
    assert waiting[-1] == 0
    assert site.superseded() == 0
    times = {path.name: path.stat().st_mtime_ns for path in site.inbox.rglob("*.jpg")}
    known = journal.known_in_folder(site.database, watcher.inbox_id, "S-1")
    assert {name: file.version.mtime_ns for name, file in known.items()} == times


def test_a_slide_exported_again_under_other_names_is_flagged(any_site: Site) -> None:
    site = any_site
    export(site, "S-1")
    export(site, "S-2", "xyz")
    site.by_hand()
    count(site)

    for path in (site.inbox / "S-1").iterdir():
        path.unlink()
    export(site, "S-1", "def")
    count(site)

    tally = counts.slide_tally(site.database, "S-1")
    assert (tally.counted, tally.missing) == (6, 3)
    assert "mixed-exports" in {flag.code for flag in slide_flags(tally, CountSettings())}
    assert counts.slide_tally(site.database, "S-2").missing == 0
    export(site, "S-1")
    count(site)
    assert counts.slide_tally(site.database, "S-1").missing == 0, "they are back"
    assert site.superseded() == 0


@pytest.mark.parametrize("keep_folder", [True, False])
def test_a_slide_that_is_removed_is_noted_by_a_watcher_that_did_not_see_it_go(
    any_site: Site, keep_folder: bool
) -> None:
    site = any_site
    export(site, "S-1")
    export(site, "S-2", "xyz")
    site.by_hand()
    count(site)
    site.stop()

    for path in (site.inbox / "S-1").iterdir():
        path.unlink()
    if not keep_folder:
        (site.inbox / "S-1").rmdir()
    site.by_hand()
    count(site)

    assert [counts.slide_tally(site.database, name).missing for name in ("S-1", "S-2")] == [3, 0]


def test_a_slide_that_came_and_went_between_two_scans_is_noted(site: Site) -> None:
    export(site, "S-2", "xyz")
    watcher = site.by_hand()
    count(site)
    export(site, "S-1")
    for name in "abc":
        site.happened(f"S-1/{name}.jpg")
    site.go_on(2)
    assert len(site.journalled()) == 6
    for path in (site.inbox / "S-1").iterdir():
        path.unlink()
    (site.inbox / "S-1").rmdir()

    count_without_reading(site)

    known = journal.known_in_folder(site.database, watcher.inbox_id, "S-1")
    assert [file.is_missing for file in known.values()] == [True] * 3


def count_without_reading(site: Site) -> None:
    assert site.watcher is not None
    site.watcher._discovery.start_over()
    site.go_on(3, seconds=1)


def test_nothing_is_missing_while_the_share_is_away(any_site: Site, tmp_path: Path) -> None:
    site = any_site
    export(site, "S-1")
    export(site, "S-2", "xyz")
    site.by_hand()
    count(site)

    site.inbox.rename(tmp_path / "share")
    site.inbox.mkdir()  # a mount point without its share
    for _ in range(3):
        count(site)
    (site.inbox / "of another share").mkdir()
    (site.inbox / "of another share" / "notes.txt").write_text("")
    count(site)

    assert sum(counts.slide_tally(site.database, name).missing for name in ("S-1", "S-2")) == 0


def test_a_renamed_folder_is_the_same_slide_with_its_signature(any_site: Site) -> None:
    site = any_site
    export(site, "S-wrong")
    export(site, "S-2", "xyz")
    site.by_hand()
    count(site)
    slide_id = reviewed_and_signed(site, "S-wrong")

    (site.inbox / "S-wrong").rename(site.inbox / "S-right")
    count(site)

    found = slide_summary(site.database, slide_id)
    assert (found.name, found.status, found.signed_by) == ("S-right", Status.SIGNED, "Ada")
    assert (found.automatic.counted, found.automatic.missing, found.reviewed_cells) == (3, 0, 1)
    assert sorted(one.tally.slide for one in counts.slide_tallies(site.database)) == ["S-2", "S-right"]


def test_slides_moved_into_an_archive_stay_what_they_are(any_site: Site) -> None:
    site = any_site
    export(site, "S-1")
    export(site, "S-2", "xyz")
    site.by_hand()
    count(site)
    first = reviewed_and_signed(site, "S-1")

    (site.inbox / "archive" / "2026-11").mkdir(parents=True)
    for name in ("S-1", "S-2"):
        (site.inbox / name).rename(site.inbox / "archive" / "2026-11" / name)
    count(site)
    count(site)

    assert (slide_summary(site.database, first).name, slide_summary(site.database, first).status) == (
        "S-1",
        Status.SIGNED,
    )
    archive = counts.slide_tally(site.database, "archive")
    assert (archive.counted, archive.shared) == (6, 6)
    assert "same-cells-elsewhere" in {flag.code for flag in slide_flags(archive, CountSettings())}
    assert deep_slides(site.database) == ["archive"]
