"""Which folder is scanned next, and what the scans have shown so far: pure bookkeeping, apart from clock and disk.

Every folder is scanned at the start and then at intervals. A file event for a folder asks for a scan of that folder alone. One
scan runs at a time.
"""

from collections.abc import Iterable

#: The path of the inbox itself: a full scan.
EVERYWHERE = ""


class ScanSchedule:
    """Decides what is scanned next. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        """Have a full scan due at once."""
        self._running: str | None = None
        #: In the order in which they were asked for.
        self._requested: dict[str, None] = {}
        self._full_scan_due_at = float("-inf")
        self._has_unconfirmed_full_scan = False
        self._has_ended_full_scan = False

    @property
    def is_running(self) -> bool:
        """Whether a scan is under way."""
        return self._running is not None

    @property
    def is_full_scan_running(self) -> bool:
        """Whether a scan of all folders is under way."""
        return self._running == EVERYWHERE

    @property
    def is_busy(self) -> bool:
        """Whether a scan is under way or asked for."""
        return self.is_running or bool(self._requested)

    @property
    def has_ended_full_scan(self) -> bool:
        """Whether every folder has been scanned at least once: before that, no slide is known to be complete."""
        return self._has_ended_full_scan

    def start_over(self) -> None:
        """Abandon the scan under way and have a full scan due at once."""
        self._running = None
        self._has_unconfirmed_full_scan = False
        self._full_scan_due_at = float("-inf")

    def request_everywhere(self) -> None:
        """Ask for a full scan after the one under way, which may already have passed the place where something happened."""
        self._requested = {EVERYWHERE: None}

    def request(self, folders: Iterable[str]) -> None:
        """Ask for scans of folders, after those that were asked for before."""
        self._requested.update(dict.fromkeys(folders))

    def begin_next(self, now: float) -> str | None:
        """Return the folder whose scan begins at `now`; None if there is nothing to scan."""
        if now >= self._full_scan_due_at:
            self.request_everywhere()
        folder = next(iter(self._requested), None)
        if folder is None:
            return None
        del self._requested[folder]
        self._running = folder
        if folder == EVERYWHERE:
            self._full_scan_due_at = float("inf")  # until this one has ended
        return folder

    def end(self, now: float, *, interval: float) -> None:
        """Note that the scan under way has ended at `now`; after a full scan the next one is due `interval` later."""
        if self.is_full_scan_running:
            self._has_ended_full_scan = self._has_unconfirmed_full_scan = True
            self._full_scan_due_at = now + interval
        self._running = None

    def confirm_full_scan(self, *, are_all_stable: bool) -> bool:
        """Say, once for each full scan, that it has ended and that no file it found is still waiting for stability."""
        if not self._has_unconfirmed_full_scan or self.is_running or not are_all_stable:
            return False
        self._has_unconfirmed_full_scan = False
        return True


class UnreadableFolders:
    """The folders that the newest full scan, and the scans of single folders since, could not read."""

    def __init__(self) -> None:
        """Start with none."""
        self.folders: set[str] = set()
        self._known_number = 0

    def begin(self) -> None:
        """Note that a full scan begins."""
        self.folders = set()

    def end(self) -> int:
        """Note that the full scan has ended; return the number of folders if it has grown since the last one, or else 0."""
        before, self._known_number = self._known_number, len(self.folders)
        return self._known_number if self._known_number > before else 0
