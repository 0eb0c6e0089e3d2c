"""File events from the operating system: hints where to look, which may be missing or wrong."""

import errno
import logging
import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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

_log = logging.getLogger("smearcount.watcher")

#: Above this number of hints at a time, keep none and scan everything.
_MOST_HINTS = 20_000

#: Reading a file makes events too; ask only for those that may mean new content.
_KINDS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent,
]  # fmt: skip

# Watchdog's log names files, which may identify a patient: none of its lines leaves this module.
_watchdog_log = logging.getLogger("watchdog")
_watchdog_log.propagate = False
_watchdog_log.setLevel(logging.WARNING)
_watchdog_log.addHandler(logging.NullHandler())


#: The operating system has no watches left, or no memory for them.
_USED_UP = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE})


@dataclass
class Hints:
    """Paths within the inbox where something happened."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    #: Set if too much happened to keep each path.
    everywhere: bool = False


class FileEvents:
    """Collects the hints of the operating system for an inbox until they are fetched."""

    def __init__(self, root: str, wake: threading.Event) -> None:
        """Prepare to listen; `wake` is set whenever there is something to fetch."""
        self._root = root
        self._wake = wake
        self._hints = Hints()
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        #: Device and inode of the inbox when `renew` was last called. Another folder at the same path, such as a share that was
        #: mounted again, sends no events until an observer is started for it.
        self._identity: tuple[int, int] | None = None
        self._has_started = False
        self._unwatched: set[str] = set()
        self._warn_from = 1
        self._overflow_handler = _OverflowHandler(self)

    @property
    def has_started(self) -> bool:
        """Whether listening began when `renew` last tried; if it has ended since, `renew` will try again."""
        return self._has_started

    def unwatched(self) -> list[str]:
        """Return the folders, by path within the inbox, of which no events come although they were asked for.

        Those within them are left out. Folders that are gone are forgotten.
        """
        with self._lock:
            folders = sorted(self._unwatched)
        if not folders:
            return []
        gone = {folder for folder in folders if not os.path.isdir(os.path.join(self._root, folder))}  # noqa: PTH112, PTH118
        with self._lock:
            self._unwatched -= gone
        highest: list[str] = []
        for folder in folders:
            if folder not in gone and not (highest and folder.startswith(f"{highest[-1]}/")):
                highest.append(folder)
        return highest

    def renew(self, *, listen: bool) -> bool:
        """Start to listen, anew if the observer died or if another folder lies at the inbox's path now.

        Args:
            listen: False notices another folder and does without file events.

        Returns:
            Whether something may have been missed since the last call.

        Raises:
            OSError: the inbox cannot be reached.
        """
        status = os.stat(self._root)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity == self._identity and self.is_listening() == self._has_started:
            return False
        self._identity = identity
        self.stop()
        if listen:
            self._try_to_start()
        self._has_started = self.is_listening()
        return True

    def _try_to_start(self) -> None:
        try:
            self.start()
        except OSError as error:
            _log.warning("no file events here (%s); polling instead", error.strerror or type(error).__name__)

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the operating system gives no events for the inbox, or not for so many folders.
        """
        _watchdog_log.addHandler(self._overflow_handler)
        # Watchdog warns of a folder that it noticed twice, which happens when one is made while its parent is being listed.
        warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
        self._unwatched.clear()
        self._warn_from = 1
        observer = Observer()
        self._notice_failures(observer)
        try:
            observer.schedule(_Handler(self), self._root, recursive=True, event_filter=_KINDS)
            observer.start()
        except BaseException:
            observer.stop()  # some of its threads already run
            raise
        self._observer = observer

    def stop(self) -> None:
        """Stop listening."""
        _watchdog_log.removeHandler(self._overflow_handler)
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
            self._observer = None

    def is_listening(self) -> bool:
        """Say whether hints can still be expected."""
        if self._observer is None:
            return False
        # On Linux watchdog has one more thread, a private one; when that dies, no event ever arrives again.
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

    def note_unwatched(self, path: str) -> None:
        """Note that the operating system cannot tell of what happens in a folder, given by its absolute path."""
        within = os.path.relpath(path, self._root)
        with self._lock:
            self._unwatched.add("" if within == "." else within)
            number = len(self._unwatched)
        if number >= self._warn_from:
            self._warn_from = 2 * number
            _log.warning(
                "the system's inotify watches are used up (fs.inotify.max_user_watches), so no file events come from %s; "
                "polling there instead",
                "1 folder" if number == 1 else f"{number} folders",
            )
        self._wake.set()

    def _notice_failures(self, observer: BaseObserver) -> None:
        """Learn of the folders that cannot be watched: watchdog keeps silent about all but the inbox itself."""
        reader = getattr(observer, "_inotify_fd", None)
        if reader is None:
            return  # not Linux
        watch: Callable[..., Any] = reader.add_callback

        def watch_and_notice(path: bytes, *others: Any) -> Any:
            try:
                return watch(path, *others)
            except OSError as error:
                if error.errno in _USED_UP:
                    self.note_unwatched(os.fsdecode(path))
                raise

        reader.add_callback = watch_and_notice

    def note_everywhere(self) -> None:
        """Add the hint that something may have happened anywhere."""
        with self._lock:
            self._hints = Hints(everywhere=True)
        self._wake.set()


class _OverflowHandler(logging.Handler):
    """Notices that the operating system has dropped events: watchdog writes that to its log and tells nobody else."""

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
