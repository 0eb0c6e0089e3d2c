"""inotify has fewer watches than the inbox has folders: the others are polled, and the log says so."""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from smearcount.watcher import discovery
from smearcount.watcher.discovery import Discovery
from smearcount.watcher.events import FileEvents
from smearcount.watcher.layout import Layout
from smearcount.watcher.settings import DEFAULT_PATTERN, WatcherSettings

from support.waiting import PATIENCE

#: Listens to an inbox in a user namespace with few watches, makes folders beyond that, and says which are unwatched.
_LISTENER = """
import json, pathlib, sys, threading
from smearcount.watcher.events import FileEvents
root = pathlib.Path(sys.argv[1]).resolve()
events = FileEvents(str(root), threading.Event())
events.renew(listen=True)
before = events.unwatched()
(root / "late").mkdir()
wake = threading.Event()
while not (after := events.unwatched()) or after == before:
    wake.wait(0.02)
print(json.dumps([before, after, events.is_listening()]))
events.stop()
"""


def _can_limit() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    script = "echo 3 > /proc/sys/user/max_inotify_watches"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script], check=False, capture_output=True
    )
    return done.returncode == 0


def test_folders_for_which_no_watch_is_left_are_known_at_the_start_and_later(tmp_path: Path) -> None:
    if not _can_limit():
        pytest.skip("this system makes no user namespace in which watches can be limited")
    for name in ("a", "b", "c"):
        (tmp_path / name / "deep").mkdir(parents=True)
    script = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"'
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            script,
            "sh",
            sys.executable,
            "-c",
            _LISTENER,
            str(tmp_path),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=Path(__file__).parents[3],
    )

    assert done.returncode == 0, done.stderr
    before, after, is_listening = json.loads(done.stdout)
    assert is_listening
    assert before
    assert {name.partition("/")[0] for name in before} <= {"a", "b", "c"}
    assert set(after) == {*before, "late"}
    assert "inotify watches are used up (fs.inotify.max_user_watches)" in done.stderr
    assert str(tmp_path) not in done.stderr


def test_what_is_unwatched_is_polled_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    settings = WatcherSettings(poll_seconds=3, settle_seconds=0)
    looked_into: list[str] = []

    def scanned(_root: str, folder: str, *_: object) -> object:
        looked_into.append(folder)
        return iter(())

    monkeypatch.setattr(discovery, "unknown_files", scanned)
    found = Discovery(str(tmp_path), Layout(DEFAULT_PATTERN), settings, lambda _: {}, list, lambda: now)
    try:
        found.advance()
        for name in ("S-1/deep", "S-2", "gone"):
            (tmp_path / name).mkdir(parents=True)
            found._events.note_unwatched(str(tmp_path / name))
        found._events.note_unwatched(str(tmp_path / "S-1"))
        (tmp_path / "gone").rmdir()
        looked_into.clear()
        for _ in range(3):
            now += 3
            found.advance()
            found.advance()
    finally:
        found.stop()

    assert looked_into == ["S-1", "S-2"] * 3


def test_the_log_says_it_once_and_again_when_it_gets_worse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events = FileEvents(str(tmp_path), threading.Event())
    with caplog.at_level(logging.WARNING, "smearcount.watcher"):
        for number in range(10):
            events.note_unwatched(str(tmp_path / f"slide of Jane Doe {number}"))

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4, said  # at 1, 2, 4 and 8
    assert "from 8 folders" in said[-1]
    assert not any("Doe" in line for line in said)


def test_another_reason_is_left_to_watchdog(tmp_path: Path) -> None:
    events = FileEvents(str(tmp_path), threading.Event())

    class Reader:
        def add_callback(self, path: bytes, *_: object) -> None:
            raise OSError(errno.ENOENT if path.endswith(b"gone") else errno.ENOSPC, os.strerror(errno.ENOENT))

    class Observer:
        _inotify_fd = Reader()

    events._notice_failures(Observer())  # type: ignore[arg-type]
    for name in ("gone", "there"):
        (tmp_path / name).mkdir()
        with pytest.raises(OSError, match="No such file"):
            Observer._inotify_fd.add_callback(os.fsencode(tmp_path / name))

    assert events.unwatched() == ["there"]
