"""Discovery of files: file events, scans and the wait for stability lead to files that are ready to be journalled."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from smearcount.db.records import KnownFile
from smearcount.inbox.ignoring import IgnoredFiles, Ignoring
from smearcount.watcher.assignment import seen_file
from smearcount.watcher.events import FileEvents
from smearcount.watcher.layout import Layout
from smearcount.watcher.presence import Presence
from smearcount.watcher.probe import BehindLink, ProbedFile, probe
from smearcount.watcher.ready_files import ReadyFiles
from smearcount.watcher.scan import unknown_files
from smearcount.watcher.scan_schedule import ScanSchedule, UnreadableFolders
from smearcount.watcher.settings import WatcherSettings
from smearcount.watcher.stability import StabilityTracker

_log = logging.getLogger("smearcount.watcher")

#: Longest and, while events pour in, shortest pause between two rounds, in seconds.
_LONGEST_PAUSE_SECONDS = 0.25
_SHORTEST_PAUSE_SECONDS = 0.02
#: Entries that a scan goes through in one round, so that it does not delay other work.
_ENTRIES_PER_ROUND = 2000
#: Folders that are looked for in one round after a scan that did not come by them.
_FOLDERS_PER_ROUND = 200
#: Files that may wait for stability or for the journal at a time; a scan pauses while there are more.
_MOST_WAITING = 10_000


class Discovery:
    """Discovers the files of one inbox, round after round, and collects those that are ready to be journalled.

    File events are hints: a lost one costs time only, since the next full scan finds the file.
    """

    def __init__(
        self,
        root: str,
        layout: Layout,
        settings: WatcherSettings,
        known_in_folder: Callable[[str], Mapping[str, KnownFile]],
        journalled_folders: Callable[[], Iterable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to watch a folder.

        Args:
            root: the inbox, a real path.
            layout: how paths name slides.
            settings: how long to wait for stability, and how often to scan.
            known_in_folder: returns what the journal has of a folder.
            journalled_folders: returns all folders that the journal has files of.
            clock: seconds, for all but the pause between two rounds.
        """
        self._root = root
        self._layout = layout
        self._settings = settings
        self._known_in_folder = known_in_folder
        self._clock = clock
        self._wake = threading.Event()
        self._events = FileEvents(root, self._wake)
        self._next_poll_at = float("-inf")
        self._schedule = ScanSchedule()
        self._scan: Iterator[ProbedFile | None] = iter(())
        self._unreadable = UnreadableFolders()
        #: What the full scans have not found any more.
        self.presence = Presence(root, known_in_folder, journalled_folders)
        self._ignoring = Ignoring(settings.ignore)
        self._ignored = self._last_ignored = IgnoredFiles(self._ignoring)
        self._stability = StabilityTracker(settle_seconds=settings.settle_seconds, empty_seconds=settings.empty_seconds)
        #: What is stable or refused, until the journal has recorded it.
        self.ready = ReadyFiles()
        #: What is stable, and of which the SHA-256 must tell whether it is the version that is journalled.
        self.to_compare = ReadyFiles()

    @property
    def arriving(self) -> Sequence[str]:
        """The files, by path within the inbox, that are waiting for stability or to be compared."""
        return [*self._stability.paths, *self.to_compare.paths]

    @property
    def has_scanned(self) -> bool:
        """Whether every folder has been scanned at least once: before that, no slide is known to be complete."""
        return self._schedule.has_ended_full_scan

    @property
    def ignored(self) -> Mapping[str, int]:
        """How many files the last full scan ignored, by kind."""
        return self._last_ignored.kinds

    def confirm_full_scan(self) -> bool:
        """Say, once for each full scan, that it has ended, that all files it found are stable, and what vanished is noted."""
        return self._schedule.confirm_full_scan(are_all_stable=self._is_settled())

    def _is_settled(self) -> bool:
        is_compared = not self.to_compare and not self.presence.is_looking and not self.presence.vanished
        return not self._stability and is_compared

    def start_over(self) -> None:
        """Scan everything anew, after trouble with the inbox or the journal."""
        self._schedule.start_over()
        self.presence.abandon()

    def stop(self) -> None:
        """Stop listening for file events."""
        self._events.stop()

    def advance(self) -> None:
        """Go on for one round: follow file events, scan, and probe the files that are waiting for stability.

        Raises:
            OSError: the inbox cannot be read.
            DatabaseUnavailable: the journal does not answer.
        """
        if self._events.renew(listen=not self._settings.poll):
            self._schedule.start_over()
        self._follow_events()
        self._poll_unwatched()
        self._advance_scan()
        self.presence.advance(_FOLDERS_PER_ROUND)
        self._probe_all(self._stability.due(self._clock()))

    def wait(self) -> None:
        """Pause until there may be something to do, but never for long."""
        seconds = self._pause()
        if seconds > _SHORTEST_PAUSE_SECONDS and self._wake.wait(seconds - _SHORTEST_PAUSE_SECONDS):
            seconds = _SHORTEST_PAUSE_SECONDS
        time.sleep(min(seconds, _SHORTEST_PAUSE_SECONDS))
        self._wake.clear()

    def _follow_events(self) -> None:
        hints = self._events.fetch()
        if hints.everywhere or len(hints.files) > self._room():
            self._schedule.request_everywhere()
            return
        self._probe_all(hints.files)
        self._schedule.request(sorted(hints.folders))

    def _poll_unwatched(self) -> None:
        """Have the folders scanned of which no file events come."""
        if self._schedule.is_busy or self._clock() < self._next_poll_at:
            return
        self._schedule.request(self._events.unwatched())
        self._next_poll_at = self._clock() + self._settings.poll_seconds

    def _room(self) -> int:
        return _MOST_WAITING - len(self._stability) - len(self.ready) - len(self.to_compare)

    def _advance_scan(self) -> None:
        entries = min(_ENTRIES_PER_ROUND, self._room())
        while entries > 0 and (self._schedule.is_running or self._begin_scan()):
            entries -= self._scan_some(entries)

    def _begin_scan(self) -> bool:
        folder = self._schedule.begin_next(self._clock())
        if folder is None:
            return False
        self._ignored = IgnoredFiles(self._ignoring)
        look = None
        if self._schedule.is_full_scan_running:
            self._unreadable.begin()
            self.presence.begin()
            look = self.presence.look
        self._scan = unknown_files(
            self._root,
            folder,
            self._known_in_folder,
            self._refusal_code,
            self._unreadable.folders,
            self._ignored,
            look,
        )
        return True

    def _scan_some(self, at_most: int) -> int:
        """Go on with the scan under way; return how many of `at_most` entries that took."""
        entries = 0
        try:
            for probed in self._scan:
                entries += 1
                if probed is not None:
                    self._observe(probed)
                if entries == at_most:
                    return entries
        except OSError:
            if self._schedule.is_full_scan_running:
                raise
            # The folder of an event is gone again.
        if self._schedule.is_full_scan_running:
            self._warn_of_unreadable()
            self.presence.end()
            self._note_ignored()
        self._schedule.end(self._clock(), interval=self._scan_interval())
        return entries + 1

    def _warn_of_unreadable(self) -> None:
        unreadable = self._unreadable.end()
        if unreadable:
            _log.warning(
                "folders in the inbox that cannot be read, so that their images are not counted: %d", unreadable
            )

    def _note_ignored(self) -> None:
        before, now = sum(self._last_ignored.kinds.values()), sum(self._ignored.kinds.values())
        self._last_ignored = self._ignored
        if now > before:
            _log.info(
                "files in the inbox that are no images, or not to be counted: %d; status says of which kinds", now
            )

    def _scan_interval(self) -> float:
        return self._settings.rescan_seconds if self._events.has_started else self._settings.poll_seconds

    def _refusal_code(self, probed: ProbedFile) -> str | None:
        refusal = seen_file(probed, self._layout).refusal
        return refusal.code if refusal else None

    def _probe_all(self, paths: Iterable[str]) -> None:
        behind_link: BehindLink = {}
        for path in paths:
            try:
                probed = probe(self._root, path, self._ignoring, behind_link)
            except OSError:
                probed = None  # the next scan tries again
            if probed is None:
                self._stability.forget(path)
            else:
                self._observe(probed)

    def _observe(self, probed: ProbedFile) -> None:
        if probed.refusal is not None or self._stability.observe(probed.path, probed.version, self._clock()):
            self._stability.forget(probed.path)
            self.ready.put(probed.path, seen_file(probed, self._layout))

    def _pause(self) -> float:
        if self.ready or self.to_compare or self.presence.vanished or self.presence.is_looking:
            return 0.0  # more than fitted into one round
        if self._schedule.is_busy and len(self._stability) < _MOST_WAITING:
            return 0.0
        next_probe = self._stability.seconds_to_next(self._clock())
        return _LONGEST_PAUSE_SECONDS if next_probe is None else min(_LONGEST_PAUSE_SECONDS, next_probe)
