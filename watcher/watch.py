"""The watcher's round: notice, let settle, journal, queue, complete. One thread, one round after the other."""

import hashlib
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
from db.records import Journalled, KnownFile, Refusal, SeenFile
from watcher.dispatch import Dispatch, Queue
from watcher.errors import InboxBusy, WatcherError
from watcher.events import FileEvents
from watcher.layout import Layout
from watcher.scan import unknown_files
from watcher.settings import WatcherSettings
from watcher.settling import Settling
from watcher.sighting import Sighting, look_at

_log = logging.getLogger("smearcount.watcher")

#: Longest and, while events pour in, shortest pause between two rounds, in seconds.
_ROUND_SECONDS = 0.25
_BREATH_SECONDS = 0.02
#: Entries a scan goes through in one round, so that other work is not kept waiting.
_ENTRIES_PER_ROUND = 2000
#: Files that may be settling at a time; a scan pauses while there are more.
_MOST_SETTLING = 10_000
#: How often slides are completed and the watcher's own state is written down, in seconds.
_BOOKKEEPING_SECONDS = 0.5
#: Longest path, in bytes of its text, that can be journalled as it is; an index of PostgreSQL holds no more than 2,700.
_LONGEST_PATH = 2500
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
        journal.place_inbox(database, self.inbox_id, self._root)
        self._settling = Settling(settle_seconds=settings.settle_seconds, empty_seconds=settings.empty_seconds)
        self._dispatch = Dispatch(database, queue, self.inbox_id, settings)
        self._wake = threading.Event()
        self._stopping = False
        self._events = FileEvents(self._root, self._wake)
        #: Settled files that the journal has not taken yet.
        self._settled: dict[str, SeenFile] = {}
        self._scan: Iterator[Sighting | None] | None = None
        self._is_full_scan = False
        #: Folders that the last full scan could not read, and how many of them have been told of.
        self._unreadable: set[str] = set()
        self._unreadable_told = 0
        #: Folders to scan after that, in order; "" is all of them.
        self._scans_wanted: dict[str, None] = {}
        #: Whether every folder has been gone through at least once: before that, no slide is known to be complete.
        self._has_scanned = False
        #: A full scan has gone through every folder, but what it found may still be settling.
        self._full_scan_done = False
        #: Which folder lies at the inbox's path; another one, such as a share mounted again, sends no events yet.
        self._identity: tuple[int, int] | None = None
        #: Whether file events were to be had; where they were, they are asked for again should they end.
        self._is_listening = False
        self._next_scan_at = 0.0
        self._next_bookkeeping_at = 0.0

    def stop(self) -> None:
        """Let `run` return after the round under way; safe to call from a signal handler."""
        # Only this: to set the event, a handler might have to wait for a lock that the thread it interrupted holds.
        self._stopping = True

    def close(self) -> None:
        """Let another watcher have the inbox."""
        self._lease.release()

    def run(self) -> None:
        """Watch until stopped. Trouble with database, broker or inbox is waited out and said once.

        Raises:
            InboxBusy: the lease was lost with the database's connection, and another watcher has taken it.
        """
        in_trouble = False
        try:
            while not self._stopping:
                try:
                    self._round()
                except (DatabaseUnavailable, OSError) as error:
                    self._scan = None
                    self._full_scan_done = False
                    self._next_scan_at = 0.0
                    if not in_trouble:
                        _log.warning("%s; trying again until it works", _without_names(error))
                    in_trouble = True
                    self._wait_out(_PAUSE_SECONDS)
                else:
                    if in_trouble:
                        _log.info("works again")
                    in_trouble = False
                    self._wait(self._pause())
        finally:
            self._events.stop()

    def _round(self) -> None:
        trouble: OSError | None = None
        try:
            self._look_around()
        except OSError as error:
            trouble = error  # the inbox's; what was seen before can be counted all the same
        self._journal()
        self._dispatch.run()
        if time.monotonic() >= self._next_bookkeeping_at:
            self._next_bookkeeping_at = time.monotonic() + _BOOKKEEPING_SECONDS
            self._keep_books()
        if trouble is not None:
            raise trouble

    def _look_around(self) -> None:
        self._look_after_inbox()
        self._follow_hints()
        self._go_on_scanning()
        for path in self._settling.due(time.monotonic()):
            self._notice(path)

    def _take_lease(self) -> None:
        if not self._lease.take():
            raise InboxBusy(f"another watcher already watches {self._root}; stop it first, or leave it to it")

    def _look_after_inbox(self) -> None:
        """Listen for events, anew if another folder has taken the inbox's place, and then look everywhere."""
        status = os.stat(self._root)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity == self._identity and self._events.is_listening() == self._is_listening:
            return
        self._identity = identity
        self._events.stop()
        self._next_scan_at = 0.0
        if self._settings.poll:
            return
        try:
            self._events.start()
        except OSError as error:
            _log.warning("no file events here (%s); polling instead", error.strerror or type(error).__name__)
        self._is_listening = self._events.is_listening()

    def _scan_interval(self) -> float:
        return self._settings.rescan_seconds if self._is_listening else self._settings.poll_seconds

    def _follow_hints(self) -> None:
        hints = self._events.fetch()
        if hints.everywhere or len(hints.files) + len(self._settling) + len(self._settled) > _MOST_SETTLING:
            # Begun after the scan under way, which may have passed by already where something happened.
            self._scans_wanted = {"": None}
            return
        for path in hints.files:
            self._notice(path)
        self._scans_wanted.update(dict.fromkeys(sorted(hints.folders)))

    def _go_on_scanning(self) -> None:
        room = min(_ENTRIES_PER_ROUND, _MOST_SETTLING - len(self._settling) - len(self._settled))
        while room > 0 and (self._scan is not None or self._begin_scan()):
            room -= self._scan_some(room)

    def _begin_scan(self) -> bool:
        if time.monotonic() >= self._next_scan_at:
            self._scans_wanted = {"": None}
        if not self._scans_wanted:
            return False
        folder = next(iter(self._scans_wanted))
        del self._scans_wanted[folder]
        self._is_full_scan = folder == ""
        if self._is_full_scan:
            self._next_scan_at = float("inf")  # until this scan has ended
        if self._is_full_scan:
            self._unreadable = set()
        self._scan = unknown_files(self._root, folder, self._known, self._held_against, self._unreadable)
        return True

    def _scan_some(self, at_most: int) -> int:
        """Go on with the scan under way, and return how much of `at_most` entries that took."""
        entries = 0
        try:
            for sighting in self._scan or ():
                entries += 1
                if sighting is not None:
                    self._noticed(sighting, time.monotonic())
                if entries == at_most:
                    return entries
        except OSError:
            if self._is_full_scan:
                raise
            # A folder that was hinted at is gone again.
        self._scan = None
        if self._is_full_scan:
            self._full_scan_done = self._has_scanned = True
            self._tell_unreadable()
            self._next_scan_at = time.monotonic() + self._scan_interval()
        return entries + 1

    def _tell_unreadable(self) -> None:
        if len(self._unreadable) > self._unreadable_told:
            _log.warning(
                "folders in the inbox that cannot be read, so that their images are not counted: %d",
                len(self._unreadable),
            )
        self._unreadable_told = len(self._unreadable)

    def _known(self, folder: str) -> dict[str, KnownFile]:
        return journal.known_in_folder(self._database, self.inbox_id, folder)

    def _held_against(self, sighting: Sighting) -> str | None:
        refusal = self._seen_file(sighting).refusal
        return refusal.code if refusal else None

    def _notice(self, path: str) -> None:
        now = time.monotonic()
        try:
            sighting = look_at(self._root, path)
        except OSError:
            sighting = None  # looked at again by the next scan
        if sighting is None:
            self._settling.forget(path)
        else:
            self._noticed(sighting, now)

    def _noticed(self, sighting: Sighting, now: float) -> None:
        if sighting.refusal is not None or self._settling.saw(sighting.path, sighting.version, now):
            self._settling.forget(sighting.path)
            self._settled[sighting.path] = self._seen_file(sighting)

    def _seen_file(self, sighting: Sighting) -> SeenFile:
        path = to_text(sighting.path)
        place = self._layout.place(path)
        size, mtime_ns = sighting.version.size, sighting.version.mtime_ns
        folder, _, filename = path.rpartition("/")
        if len(path.encode()) > _LONGEST_PATH:
            mark = hashlib.sha256(folder.encode()).hexdigest()[:16]
            too_long = Refusal("path-too-long", "the path is too long; put the file into a folder nearer to the inbox")
            return SeenFile(f"{folder[:200]}… ({mark})", filename, size, mtime_ns, None, None, too_long)
        refusal = sighting.refusal
        if refusal is None and sighting.version.size == 0:
            refusal = Refusal("empty", "the file is empty (0 bytes); it counts when it is written")
        if isinstance(place, Refusal):
            return SeenFile(folder, filename, size, mtime_ns, None, None, refusal or place)
        return SeenFile(folder, filename, size, mtime_ns, place.slide, place.analyzer_label, refusal)

    def _journal(self) -> None:
        if not self._settled:
            return
        came = journal.record(self._database, self.inbox_id, list(self._settled.values()))
        self._settled.clear()
        if came != Journalled():
            _log.info("%d new images, %d overwritten, %d refused", came.new, came.superseded, came.refused)

    def _keep_books(self) -> None:
        self._take_lease()  # a connection that was lost took the lease with it
        places = (self._layout.place(to_text(path)) for path in self._settling.paths)
        arriving = {place.slide for place in places if not isinstance(place, Refusal)}
        quiet = timedelta(seconds=self._settings.quiet_seconds)
        if self._has_scanned:
            completed = journal.complete_slides(self._database, self.inbox_id, quiet=quiet, arriving=arriving)
            if completed:
                _log.info("%d slides complete", len(completed))
        if self._full_scan_done and self._scan is None and not self._settling:
            journal.note_watch(self._database, self.inbox_id, arriving=0, is_whole_scan=True)
            self._full_scan_done = False
        else:
            journal.note_watch(self._database, self.inbox_id, arriving=len(self._settling), is_whole_scan=False)

    def _pause(self) -> float:
        if (self._scan is not None or self._scans_wanted) and len(self._settling) < _MOST_SETTLING:
            return 0.0
        next_look = self._settling.seconds_to_next(time.monotonic())
        return _ROUND_SECONDS if next_look is None else min(_ROUND_SECONDS, next_look)

    def _wait(self, seconds: float) -> None:
        if seconds > _BREATH_SECONDS and self._wake.wait(seconds - _BREATH_SECONDS):
            seconds = _BREATH_SECONDS
        time.sleep(min(seconds, _BREATH_SECONDS))
        self._wake.clear()

    def _wait_out(self, seconds: float) -> None:
        """Wait whatever happens, but not when told to stop."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(_BREATH_SECONDS)


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
