"""The watcher's round: notice, let settle, journal, queue, complete. One thread, one round after the other."""

import logging
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import journal
from smearcount.db.records import Journalled, KnownFile, Refusal, SeenFile
from smearcount.inbox.paths import from_text, joined, to_text
from smearcount.inbox.versions import FileVersion
from smearcount.watcher.discovery import Lookout
from smearcount.watcher.dispatch import Dispatch, Queue
from smearcount.watcher.errors import InboxBusy, WatcherError
from smearcount.watcher.hashing import LARGEST_FILE, sha256_of
from smearcount.watcher.layout import Layout
from smearcount.watcher.settings import WatcherSettings

_log = logging.getLogger("smearcount.watcher")

#: How often slides are completed and the watcher's own state is written down, in seconds.
_BOOKKEEPING_SECONDS = 0.5
#: Most files read in one round where they are, so that other work is not kept waiting by a slow share.
_HASHED_PER_ROUND = 500
#: Pause after the database or the inbox did not answer, and between two looks whether to stop, in seconds.
_PAUSE_SECONDS, _BREATH_SECONDS = 2.0, 0.02


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
        self.inbox_id = journal.register_inbox(database, settings.name_of(root), self._root)
        self._lease = InboxLease(database, self.inbox_id)
        self._take_lease()
        journal.place_inbox(database, self.inbox_id, self._root)
        self._lookout = Lookout(self._root, self._layout, settings, self._known)
        self._dispatch = Dispatch(database, queue, self.inbox_id, settings)
        self._stopping = False
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
                    self._lookout.start_over()
                    if not in_trouble:
                        _log.warning("%s; trying again until it works", _without_names(error))
                    in_trouble = True
                    self._wait_out(_PAUSE_SECONDS)
                else:
                    if in_trouble:
                        _log.info("works again")
                    in_trouble = False
                    self._lookout.wait()
        finally:
            self._lookout.stop()

    def _round(self) -> None:
        trouble: OSError | None = None
        try:
            self._lookout.look_around()
        except OSError as error:
            trouble = error  # the inbox's; what was seen before can be counted all the same
        self._journal()
        self._dispatch.run()
        if time.monotonic() >= self._next_bookkeeping_at:
            self._next_bookkeeping_at = time.monotonic() + _BOOKKEEPING_SECONDS
            self._keep_books()
        if trouble is not None:
            raise trouble

    def _take_lease(self) -> None:
        if not self._lease.take():
            raise InboxBusy(f"another watcher already watches {self._root}; stop it first, or leave it to it")

    def _known(self, folder: str) -> dict[str, KnownFile]:
        return journal.known_in_folder(self._database, self.inbox_id, folder)

    def _journal(self) -> None:
        settled = self._lookout.settled
        if not settled:
            return
        if self._settings.hash_files:
            settled = [self._hashed(file) for file in settled[:_HASHED_PER_ROUND]]
        came = journal.record(self._database, self.inbox_id, settled)
        self._lookout.forget_settled(len(settled))
        if came != Journalled():
            _log.info("%d new images, %d overwritten, %d refused", came.new, came.superseded, came.refused)

    def _hashed(self, file: SeenFile) -> SeenFile:
        if file.refusal is not None or file.size > LARGEST_FILE:
            return file
        path = os.path.join(self._root, from_text(joined(file.folder, file.filename)))  # noqa: PTH118
        try:
            sha256 = sha256_of(path, FileVersion(file.size, file.mtime_ns))
        except OSError:
            return file  # a worker says why it cannot be read
        return replace(file, sha256=sha256)

    def _keep_books(self) -> None:
        self._take_lease()  # a connection that was lost took the lease with it
        quiet = timedelta(seconds=self._settings.quiet_seconds)
        if self._lookout.has_scanned:
            completed = journal.complete_slides(
                self._database, self.inbox_id, quiet=quiet, arriving=self._arriving_slides
            )
            if completed:
                _log.info("%d slides complete", len(completed))
        journal.note_watch(
            self._database,
            self.inbox_id,
            arriving=len(self._lookout.arriving),
            is_whole_scan=self._lookout.has_ended_full_scan(),
        )

    def _arriving_slides(self) -> set[str]:
        places = (self._layout.place(to_text(path)) for path in self._lookout.arriving)
        return {place.slide for place in places if not isinstance(place, Refusal)}

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
