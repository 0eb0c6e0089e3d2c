"""File events from the operating system: hints of where to look, never the truth."""

import logging
import os
import threading
import warnings
from dataclasses import dataclass, field

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
    FileSystemMovedEvent,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

#: More hints than this at a time are worth a full scan, and no more memory.
_MOST_HINTS = 20_000

#: Reading a file makes events too; only those that may mean new content are asked for.
_KINDS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent,
]  # fmt: skip

# What watchdog says of its work names files, which may identify a patient: nothing of it leaves this module.
_watchdog_log = logging.getLogger("watchdog")
_watchdog_log.propagate = False
_watchdog_log.setLevel(logging.WARNING)
_watchdog_log.addHandler(logging.NullHandler())


@dataclass
class Hints:
    """Paths within the inbox at which something happened."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    #: Too much happened to note it all.
    everywhere: bool = False


class FileEvents:
    """Collects the hints of the operating system for an inbox until they are fetched."""

    def __init__(self, root: str, wake: threading.Event) -> None:
        """Prepare; `wake` is set whenever there is something to fetch."""
        self._root = root
        self._wake = wake
        self._hints = Hints()
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._complaints = _Complaints(self)

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the operating system gives no events for the inbox, or not for so many folders.
        """
        _watchdog_log.addHandler(self._complaints)
        # Said of a folder that was noticed twice, as happens to each that is made while its parent is gone through.
        warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
        observer = Observer()
        try:
            observer.schedule(_Handler(self), self._root, recursive=True, event_filter=_KINDS)
            observer.start()
        except BaseException:
            observer.stop()  # threads of its own run already
            raise
        self._observer = observer

    def stop(self) -> None:
        """Stop listening."""
        _watchdog_log.removeHandler(self._complaints)
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
            self._observer = None

    def is_listening(self) -> bool:
        """Whether hints can still be expected."""
        if self._observer is None:
            return False
        # On Linux watchdog has one more thread, which it does not show; when it dies, nothing is ever heard again.
        reader = getattr(self._observer, "_inotify_fd", None)
        threads = [self._observer, *self._observer.emitters, *([reader] if reader is not None else [])]
        return len(threads) > 1 and all(thread.is_alive() for thread in threads)

    def fetch(self) -> Hints:
        """Return the hints since the last call."""
        with self._lock:
            hints, self._hints = self._hints, Hints()
        return hints

    def note(self, path: str, *, is_folder: bool) -> None:
        """Add a hint for an absolute path."""
        within = os.path.relpath(path, self._root)
        with self._lock:
            if len(self._hints.files) + len(self._hints.folders) >= _MOST_HINTS:
                self._hints = Hints(everywhere=True)
            elif not self._hints.everywhere:
                (self._hints.folders if is_folder else self._hints.files).add("" if within == "." else within)
        self._wake.set()

    def note_everywhere(self) -> None:
        """Add the hint that something may have happened anywhere."""
        with self._lock:
            self._hints = Hints(everywhere=True)
        self._wake.set()


class _Complaints(logging.Handler):
    """Watchdog says only in its log that the operating system has dropped events."""

    def __init__(self, events: FileEvents) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self._events.note_everywhere()


class _Handler(FileSystemEventHandler):
    def __init__(self, events: FileEvents) -> None:
        self._events = events

    def dispatch(self, event: FileSystemEvent) -> None:
        path = event.dest_path if isinstance(event, FileSystemMovedEvent) else event.src_path
        if path:  # a move out of the inbox has no destination in it
            self._events.note(os.fsdecode(path), is_folder=event.is_directory)
