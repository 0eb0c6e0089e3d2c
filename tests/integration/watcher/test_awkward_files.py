"""What lies in real inboxes beside well-behaved images: recycle bins, other formats, impossible dates, names that look alike."""

import logging
import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smearcount.db.engine.database import Database
from smearcount.db.ingest import journal
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import inbox_lines, progress
from smearcount.db.queries.lookalikes import lookalikes
from smearcount.db.records import Batch, Journalled
from smearcount.inbox.paths import from_text, to_text
from smearcount.inbox.versions import FileVersion
from smearcount.watcher import watch
from smearcount.watcher.assignment import seen_file
from smearcount.watcher.layout import Layout
from smearcount.watcher.probe import ProbedFile
from smearcount.watcher.settings import DEFAULT_PATTERN, WatcherSettings
from smearcount.watcher.watch import Watcher

from support.examples import examples
from support.journalling import new_inbox

YEAR_NS = 31_556_952 * 10**9


@dataclass(frozen=True)
class _Depth:
    waiting: int = 0
    held: int = 0


@dataclass
class _Queue:
    """A queue that keeps what it is given."""

    batches: list[Batch] = field(default_factory=list)

    def send(self, batch: Batch) -> str:
        self.batches.append(batch)
        return str(len(self.batches))

    def depth(self) -> _Depth:
        return _Depth(waiting=len(self.batches))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def write(inbox: Path, *paths: str | bytes, content: bytes = b"a cell") -> None:
    """Write files, with their folders."""
    for path in paths:
        full = inbox / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)


@contextmanager
def watching(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> Iterator[Callable[[], None]]:
    """Watch an inbox, and yield a function that looks through it once."""
    monkeypatch.setattr(watch, "_BOOKKEEPING_SECONDS", 0)
    by_hand = {"poll": True, "poll_seconds": 1e9, "settle_seconds": 0, "empty_seconds": 0, "quiet_seconds": 0}
    watcher = Watcher(inbox, database, _Queue(), WatcherSettings(**(by_hand | changes)))  # type: ignore[arg-type]

    def look() -> None:
        watcher._discovery.start_over()
        for _ in range(3):
            watcher._round()

    try:
        yield look
    finally:
        watcher._discovery.stop()
        watcher.close()


def journalled(database: Database) -> dict[str, str]:
    """Return the state, or the reason of refusal, of every file in the journal, by its real path."""
    return {from_text(line.path): line.reason_code or str(line.state) for line in image_lines(database)}


def test_recycle_bins_and_system_folders_are_no_slides(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        inbox, "S-1/cell.jpg", "#recycle/S-7/cell-0004.jpg", "@Recycle/S-8/cell-0005.jpg",
        "$RECYCLE.BIN/S-1-5-21-1004/$RAB12CD.jpg", "System Volume Information/x.jpg", ".Trash-1000/files/S-9/c.jpg",
        "lost+found/#12345.jpg", "S-1/#recycle/cell.jpg", "S-1/lost+found/cell.jpg",
    )  # fmt: skip

    with watching(inbox, database, monkeypatch) as look:
        look()

    assert journalled(database) == {"S-1/cell.jpg": "queued"}
    (line,) = inbox_lines(database)
    assert line.ignored_kinds == {}, "what they hold is not looked at"


def test_all_usual_endings_of_images_are_images(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"S-30/cell.{ending}" for ending in ("jpg", "JPG", "jpeg", "jfif", "JFIF", "jpe", "png", "bmp", "tif")]
    write(inbox, *paths)

    with watching(inbox, database, monkeypatch) as look:
        look()

    assert journalled(database) == dict.fromkeys(paths, "queued")


def test_a_slide_of_a_format_that_cannot_be_read_does_not_vanish(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(inbox, *(f"S-31/{number}.webp" for number in range(40)), "S-1/list.XML", "S-1/cell.jpg", "S-1/Thumbs.db")
    write(inbox, "S-1/arriving.jpg.part", "S-1/cell_thumb.jpg", "S-1/.hidden.jpg")
    (inbox / "S-1" / "folder.d").mkdir()
    os.mkfifo(inbox / "S-1" / "pipe")
    (inbox / "S-1" / "link").symlink_to("folder.d")
    (inbox / "S-1" / "circle").symlink_to("circle")

    with watching(inbox, database, monkeypatch, ignore=("*_thumb.jpg",)) as look:
        assert inbox_lines(database)[0].ignored_kinds is None, "nothing was scanned yet"
        look()
        expected = {".webp": 40, ".xml": 1, "unfinished": 1, "SMEARCOUNT_IGNORE": 1}
        assert inbox_lines(database)[0].ignored_kinds == expected
        look()
        write(inbox, "S-31/last.webp")
        look()

    assert inbox_lines(database)[0].ignored_kinds == expected | {".webp": 41}
    assert journalled(database) == {"S-1/cell.jpg": "queued"}
    assert [record.args for record in caplog.records if "no images" in record.msg] == [(43,), (44,)]
    assert "S-31" not in caplog.text


@pytest.mark.parametrize("year", [1, 1902, 1969, 2262, 2300, 2446, 30_000])
def test_a_file_of_any_date_is_counted_and_a_new_version_noticed(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    write(inbox, "S-1/good.jpg", "S-1/dated.jpg")
    dated = inbox / "S-1" / "dated.jpg"
    when = (year - 1970) * YEAR_NS + 7
    os.utime(dated, ns=(0, when))
    if dated.stat().st_mtime_ns != when:
        pytest.skip("the file system under the tests does not keep this date")

    with watching(inbox, database, monkeypatch) as look:
        look()
        assert journalled(database) == {"S-1/good.jpg": "queued", "S-1/dated.jpg": "queued"}
        look()
        assert progress(database).superseded == 0
        dated.write_bytes(b"others")
        os.utime(dated, ns=(0, when + 1))
        look()
        assert progress(database).superseded == 1


def test_names_that_look_alike_are_two_slides_and_said_once(
    inbox: Path, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    composed = "Müller"
    decomposed = unicodedata.normalize("NFD", composed)
    write(inbox, "S-60/a.jpg", "S-61/a.jpg")

    def warned() -> list[object]:
        return [record.args for record in caplog.records if "look alike" in record.msg]

    with watching(inbox, database, monkeypatch) as look:
        look()
        assert warned() == []
        assert lookalikes(database) == []
        write(inbox, "S-60 /a.jpg", f"{composed}/a.jpg")
        look()
        assert warned() == [(2,)]
        look()
        assert warned() == [(2,)], "once"
        write(inbox, f"{decomposed}/a.jpg", "S-62/a.jpg", "S-60  /a.jpg")
        look()
        assert warned() == [(2,), (5,)]
    with watching(inbox, database, monkeypatch) as look:
        look()

    assert sorted(map(sorted, lookalikes(database))) == [sorted([decomposed, composed]), ["S-60", "S-60 ", "S-60  "]]
    assert len(journalled(database)) == 7
    assert "S-60" not in caplog.text


def test_the_lookalikes_of_one_inbox_are_not_those_of_another(database: Database) -> None:
    layout = Layout(DEFAULT_PATTERN)
    for name, slide in (("one", "S-1"), ("other", "S-1 ")):
        file = seen_file(ProbedFile(f"{slide}/a.jpg", FileVersion(1, 1)), layout)
        journal.record(database, new_inbox(database, name), [file])

    assert lookalikes(database) == []
    assert lookalikes(database, inbox="one") == []


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.binary(min_size=1, max_size=255).filter(lambda raw: b"\0" not in raw and b"/" not in raw),
        min_size=1,
        max_size=12,
    ),
    size=st.integers(0, 2**63 - 1),
    seconds=st.integers(-(2**63), 2**63 - 1),
    nanoseconds=st.integers(0, 10**9 - 1),
)
def test_whatever_a_file_system_says_of_a_file_can_be_journalled(
    database: Database, parts: list[bytes], size: int, seconds: int, nanoseconds: int
) -> None:
    path = os.fsdecode(b"/".join(parts))
    status = _status(size, seconds * 10**9 + nanoseconds)
    inbox_id = new_inbox(database)
    file = seen_file(ProbedFile(path, FileVersion.of(status)), Layout(DEFAULT_PATTERN))

    came = journal.record(database, inbox_id, [file])

    assert came.new + came.superseded == 1 or came == Journalled(), "unless an earlier example had the same"
    known = journal.known_in_folder(database, inbox_id, file.folder)
    assert known[file.filename].version == FileVersion.of(status)
    assert file.filename == to_text(os.fsdecode(parts[-1]))


def _status(size: int, mtime_ns: int) -> os.stat_result:
    """Return a status as the system gives it; Python takes times in nanoseconds only by their names."""
    return os.stat_result(
        (0o100644, 1, 1, 1, 0, 0, size, 0, mtime_ns // 10**9, 0),
        {"st_mtime_ns": mtime_ns, "st_atime_ns": 0, "st_ctime_ns": 0},
    )
