"""The watcher's round: notice, let settle, journal, queue, complete. One thread, one round after the other."""

import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from db import journal
from db.database import Database
from db.errors import DatabaseUnavailable
from db.lease import InboxLease
from db.names import to_text
from db.records import FileVersion, Journalled, Refusal, SeenFile
from watcher.dispatch import Dispatch, Queue
from watcher.errors import InboxBusy, WatcherError
from watcher.events import FileEvents
from watcher.layout import Layout
from watcher.scan import unknown_files
from watcher.settings import WatcherSettings
from watcher.settling import Settling
from watcher.sighting import Sighting, look_at

_log = logging.getLogger("smearcount.watcher")

#: Longest pause between two rounds, in seconds.
_ROUND_SECONDS = 0.25
#: Entries a scan goes through in one round, so that other work is not kept waiting.
_ENTRIES_PER_ROUND = 2000
#: Files that may be settling at a time; a scan pauses while there are more.
_MOST_SETTLING = 10_000
#: How often slides are completed and the watcher's own state is written down, in seconds.
_BOOKKEEPING_SECONDS = 0.5
#: Pause after the database or the inbox did not answer, in seconds.
_PAUSE_SECONDS = 2.0


class Watcher:
    """Watches one inbox until told to stop. Never changes anything in it."""

    def __init__(self, root: Path, database: Database, queue: Queue, settings: WatcherSettings) -> None:
        """Prepare to watch the folder `root`.

        Raises:
            LayoutInvalid: the pattern that tells slides from paths cannot be used.
            WatcherError: the inbox is no folder, or cannot be read.
            InboxBusy: another watcher has it.
            DatabaseUnavailable: the database does not answer.
        """
        self._layout = Layout(settings.pattern)
        self._root = _checked_root(root)
        self._database = database
        self._settings = settings
        self.inbox_id = journal.register_inbox(database, settings.inbox_name or self._root, self._root)
        self._lease = InboxLease(database, self.inbox_id)
        self._take_lease()
        self._settling = Settling(settle_seconds=settings.settle_seconds, empty_seconds=settings.empty_seconds)
        self._dispatch = Dispatch(database, queue, self.inbox_id, settings)
        self._wake = threading.Event()
        self._stopping = False
        self._events = FileEvents(self._root, self._wake)
        #: Settled files that the journal has not taken yet.
        self._settled: list[SeenFile] = []
        self._scan: Iterator[Sighting | None] | None = None
        self._scans_wanted: list[str] = []
        #: A full scan has gone through every folder, but what it found may still be settling.
        self._full_scan_done = False
        self._next_scan_at = 0.0
        self._next_bookkeeping_at = 0.0

    def stop(self) -> None:
        """Let `run` return after the round under way; safe to call from a signal handler."""
        self._stopping = True
        self._wake.set()

    def close(self) -> None:
        """Let another watcher have the inbox."""
        self._lease.release()

    def run(self) -> None:
        """Watch until stopped. Trouble with database, broker or inbox is waited out and said once.

        Raises:
            InboxBusy: the lease was lost with the database's connection, and another watcher has taken it.
        """
        is_polling = self._settings.poll or not self._listen()
        interval = self._settings.poll_seconds if is_polling else self._settings.rescan_seconds
        in_trouble = False
        try:
            while not self._stopping:
                try:
                    self._round(interval)
                except (DatabaseUnavailable, OSError) as error:
                    self._scan = None
                    self._next_scan_at = 0.0
                    if not in_trouble:
                        _log.warning("%s; trying again until it works", _without_names(error))
                    in_trouble = True
                    self._wait(_PAUSE_SECONDS)
                else:
                    if in_trouble:
                        _log.info("works again")
                    in_trouble = False
                    self._wait(self._pause())
        finally:
            self._events.stop()

    def _round(self, scan_interval: float) -> None:
        now = time.monotonic()
        self._follow_hints(now)
        self._go_on_scanning(now, scan_interval)
        for path in self._settling.due(now):
            self._notice(path, now)
        self._journal()
        self._dispatch.run()
        if now >= self._next_bookkeeping_at:
            self._next_bookkeeping_at = now + _BOOKKEEPING_SECONDS
            self._keep_books()

    def _take_lease(self) -> None:
        if not self._lease.take():
            raise InboxBusy(f"another watcher already watches {self._root}; stop it first, or leave it to it")

    def _listen(self) -> bool:
        try:
            self._events.start()
        except OSError as error:
            _log.warning("no file events here (%s); polling instead", error.strerror or type(error).__name__)
            return False
        return True

    def _follow_hints(self, now: float) -> None:
        hints = self._events.fetch()
        for path in hints.files:
            self._notice(path, now)
        if hints.everywhere:
            self._next_scan_at = now
        else:
            self._scans_wanted += sorted(hints.folders)

    def _go_on_scanning(self, now: float, interval: float) -> None:
        if self._scan is None:
            if now >= self._next_scan_at:
                self._scans_wanted = [""]
                self._next_scan_at = float("inf")  # until this scan has ended
            if not self._scans_wanted:
                return
            folder = self._scans_wanted.pop(0)
            self._is_full_scan = folder == ""
            self._scan = unknown_files(self._root, folder, self._known)
        room = max(0, min(_ENTRIES_PER_ROUND, _MOST_SETTLING - len(self._settling)))
        entries = 0
        try:
            for sighting in itertools.islice(self._scan, room):
                entries += 1
                if sighting is not None:
                    self._noticed(sighting, now)
        except OSError:
            if self._is_full_scan:
                raise
            entries = -1  # a folder that was hinted at is gone again
        if entries < room:
            self._scan = None
            if self._is_full_scan:
                self._full_scan_done = True
                self._next_scan_at = time.monotonic() + interval

    def _known(self, folder: str) -> dict[str, FileVersion]:
        return journal.known_in_folder(self._database, self.inbox_id, folder)

    def _notice(self, path: str, now: float) -> None:
        try:
            sighting = look_at(self._root, path)
        except OSError:
            return  # looked at again by the next scan
        if sighting is None:
            self._settling.forget(path)
        else:
            self._noticed(sighting, now)

    def _noticed(self, sighting: Sighting, now: float) -> None:
        if sighting.refusal is not None or self._settling.saw(sighting.path, sighting.version, now):
            self._settling.forget(sighting.path)
            self._settled.append(self._seen_file(sighting))

    def _seen_file(self, sighting: Sighting) -> SeenFile:
        path = to_text(sighting.path)
        place = self._layout.place(path)
        refusal = sighting.refusal
        if refusal is None and sighting.version.size == 0:
            refusal = Refusal("empty", "the file is empty (0 bytes); it counts when it is written")
        folder, _, filename = path.rpartition("/")
        size, mtime_ns = sighting.version.size, sighting.version.mtime_ns
        if isinstance(place, Refusal):
            return SeenFile(folder, filename, size, mtime_ns, None, None, refusal or place)
        return SeenFile(folder, filename, size, mtime_ns, place.slide, place.analyzer_label, refusal)

    def _journal(self) -> None:
        if not self._settled:
            return
        came = journal.record(self._database, self.inbox_id, self._settled)
        self._settled.clear()
        if came != Journalled():
            _log.info("%d new images, %d overwritten, %d refused", came.new, came.superseded, came.refused)

    def _keep_books(self) -> None:
        self._take_lease()  # a connection that was lost took the lease with it
        places = (self._layout.place(to_text(path)) for path in self._settling.paths)
        arriving = {place.slide for place in places if not isinstance(place, Refusal)}
        quiet = timedelta(seconds=self._settings.quiet_seconds)
        completed = journal.complete_slides(self._database, self.inbox_id, quiet=quiet, arriving=arriving)
        if completed:
            _log.info("%d slides complete", len(completed))
        if self._full_scan_done and self._scan is None and not self._settling:
            journal.note_watch(self._database, self.inbox_id, arriving=0, is_whole_scan=True)
            self._full_scan_done = False
        else:
            journal.note_watch(self._database, self.inbox_id, arriving=len(self._settling), is_whole_scan=False)

    def _pause(self) -> float:
        if self._scan is not None and len(self._settling) < _MOST_SETTLING:
            return 0.0
        next_look = self._settling.seconds_to_next(time.monotonic())
        return _ROUND_SECONDS if next_look is None else min(_ROUND_SECONDS, next_look)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()


def _checked_root(root: Path) -> str:
    try:
        real = os.path.realpath(root, strict=True)
        with os.scandir(real):
            return real
    except FileNotFoundError:
        raise WatcherError(f"the inbox {root} does not exist; make the folder, or name another one") from None
    except NotADirectoryError:
        raise WatcherError(f"the inbox {root} is no folder; name the folder that the exports are written to") from None
    except OSError as error:
        raise WatcherError(f"the inbox {root} cannot be read: {error.strerror}") from None


def _without_names(error: Exception) -> str:
    """Say what is wrong without the file's name, which may identify a patient."""
    return f"the inbox cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
