"""The lookout: file events, scans and settling, all of which end in files that are ready to be journalled."""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from smearcount.db.records import KnownFile, SeenFile
from smearcount.watcher.assignment import seen_file
from smearcount.watcher.events import FileEvents
from smearcount.watcher.layout import Layout
from smearcount.watcher.probe import BehindLink, Sighting, look_at
from smearcount.watcher.scan import unknown_files
from smearcount.watcher.settings import WatcherSettings
from smearcount.watcher.stability import Settling

_log = logging.getLogger("smearcount.watcher")

#: Longest and, while events pour in, shortest pause between two looks, in seconds.
_ROUND_SECONDS = 0.25
_BREATH_SECONDS = 0.02
#: Entries a scan goes through in one round, so that other work is not kept waiting.
_ENTRIES_PER_ROUND = 2000
#: Files that may be settling at a time; a scan pauses while there are more.
_MOST_SETTLING = 10_000


class Lookout:
    """Looks at one inbox, round after round, and collects the files that have settled."""

    def __init__(
        self,
        root: str,
        layout: Layout,
        settings: WatcherSettings,
        known_in_folder: Callable[[str], Mapping[str, KnownFile]],
    ) -> None:
        """Prepare to look at the folder `root`; `known_in_folder` says what the journal holds of a folder."""
        self._root = root
        self._layout = layout
        self._settings = settings
        self._known = known_in_folder
        self._settling = Settling(settle_seconds=settings.settle_seconds, empty_seconds=settings.empty_seconds)
        self._wake = threading.Event()
        self._events = FileEvents(root, self._wake)
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
        self.has_scanned = False
        #: A full scan has gone through every folder, but what it found may still be settling.
        self._full_scan_done = False
        #: Which folder lies at the inbox's path; another one, such as a share mounted again, sends no events yet.
        self._identity: tuple[int, int] | None = None
        #: Whether file events were to be had; where they were, they are asked for again should they end.
        self._is_listening = False
        self._next_scan_at = 0.0

    @property
    def arriving(self) -> Sequence[str]:
        """The files, by path within the inbox, that have not settled yet."""
        return list(self._settling.paths)

    @property
    def settled(self) -> list[SeenFile]:
        """The files that have settled and were not taken yet."""
        return list(self._settled.values())

    def forget_settled(self, number: int) -> None:
        """Note that so many of the settled files, the first ones, have been taken."""
        for path in list(itertools.islice(self._settled, number)):
            del self._settled[path]

    def has_ended_full_scan(self) -> bool:
        """Say, once for each full scan, that it has ended and that all it found has settled."""
        if not self._full_scan_done or self._scan is not None or self._settling:
            return False
        self._full_scan_done = False
        return True

    def start_over(self) -> None:
        """Look at everything anew, after trouble with the inbox or the journal."""
        self._scan = None
        self._full_scan_done = False
        self._next_scan_at = 0.0

    def stop(self) -> None:
        """Stop listening for file events."""
        self._events.stop()

    def look_around(self) -> None:
        """Go on noticing, scanning and settling, for one round.

        Raises:
            OSError: the inbox cannot be read.
            DatabaseUnavailable: the journal does not say what it knows.
        """
        self._look_after_inbox()
        self._follow_hints()
        self._go_on_scanning()
        self._notice_all(self._settling.due(time.monotonic()))

    def wait(self) -> None:
        """Wait until there may be something to look at, but never long."""
        seconds = self._pause()
        if seconds > _BREATH_SECONDS and self._wake.wait(seconds - _BREATH_SECONDS):
            seconds = _BREATH_SECONDS
        time.sleep(min(seconds, _BREATH_SECONDS))
        self._wake.clear()

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
        self._notice_all(hints.files)
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
            self._full_scan_done = self.has_scanned = True
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

    def _held_against(self, sighting: Sighting) -> str | None:
        refusal = seen_file(sighting, self._layout).refusal
        return refusal.code if refusal else None

    def _notice_all(self, paths: Iterable[str]) -> None:
        folders: BehindLink = {}
        for path in paths:
            try:
                sighting = look_at(self._root, path, folders)
            except OSError:
                sighting = None  # looked at again by the next scan
            if sighting is None:
                self._settling.forget(path)
            else:
                self._noticed(sighting, time.monotonic())

    def _noticed(self, sighting: Sighting, now: float) -> None:
        if sighting.refusal is not None or self._settling.saw(sighting.path, sighting.version, now):
            self._settling.forget(sighting.path)
            self._settled[sighting.path] = seen_file(sighting, self._layout)

    def _pause(self) -> float:
        if self._settled:
            return 0.0  # more than were taken in one round
        if (self._scan is not None or self._scans_wanted) and len(self._settling) < _MOST_SETTLING:
            return 0.0
        next_look = self._settling.seconds_to_next(time.monotonic())
        return _ROUND_SECONDS if next_look is None else min(_ROUND_SECONDS, next_look)
