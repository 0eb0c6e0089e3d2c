"""The watcher's round: discover files, journal them, queue them, complete slides. One thread, one round after the other."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import completion, inbox_registry, journal, presence
from smearcount.db.ingest.renames import follow_renames
from smearcount.db.queries.lookalikes import NewLookalikes
from smearcount.db.records import Journalled, KnownFile, Refusal, SeenFile
from smearcount.inbox.paths import from_text, joined, to_text
from smearcount.inbox.reading import EXACT_TIME, OpenFolders, UnexpectedFile, read_version
from smearcount.inbox.versions import FileVersion
from smearcount.watcher.discovery import Discovery
from smearcount.watcher.dispatch import Dispatch, Queue
from smearcount.watcher.errors import InboxBusy, WatcherError
from smearcount.watcher.layout import Layout
from smearcount.watcher.ready_files import Taken
from smearcount.watcher.settings import WatcherSettings

_log = logging.getLogger("smearcount.watcher")

#: How often the watcher completes slides and records its own state, in seconds.
_BOOKKEEPING_SECONDS = 0.5
#: Most files whose SHA-256 is taken in one round, and after how many seconds it takes no more, so that a slow share does not
#: delay other work.
_HASHED_PER_ROUND = 500
_HASHING_SECONDS = 1.0
#: After how many compared files the log says how far the comparison is.
_COMPARED_PER_MESSAGE = 10_000
#: Most images that are noted as missing in one round.
_MISSING_PER_ROUND = 2000
#: Most slides that a warning names by their ids.
_MOST_NAMED = 100
#: Pause after the database or the inbox did not answer, in seconds.
_PAUSE_SECONDS = 2.0
#: How often a pause checks whether to stop, in seconds.
_STOP_CHECK_SECONDS = 0.02


class Watcher:
    """Watches one inbox until told to stop. Never changes anything in it."""

    def __init__(
        self,
        root: Path,
        database: Database,
        queue: Queue,
        settings: WatcherSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to watch an inbox, and take the lease for it.

        Args:
            root: the folder of the inbox.
            database: where files are journalled.
            queue: where batches are sent.
            settings: how to watch.
            clock: seconds, for the wait for stability and the times of scans and bookkeeping.

        Raises:
            LayoutInvalid: the pattern that tells slides from paths cannot be used.
            WatcherError: the inbox is no folder, or cannot be read.
            InboxBusy: another watcher watches the inbox.
            DatabaseUnavailable: the database does not answer.
        """
        self._layout = Layout(settings.pattern)
        self._root = _checked_root(root)
        self._database = database
        self._settings = settings
        self._clock = clock
        self.inbox_id = inbox_registry.register_inbox(database, settings.name_of(root), self._root)
        self._lease = InboxLease(database, self.inbox_id)
        self._take_lease()
        inbox_registry.place_inbox(database, self.inbox_id, self._root)
        self._discovery = Discovery(self._root, self._layout, settings, self._known, self._folders, clock)
        self._lookalikes = NewLookalikes(database, self.inbox_id)
        self._dispatch = Dispatch(database, queue, self.inbox_id, settings)
        self._stopping = False
        self._next_bookkeeping_at = float("-inf")
        #: Files that were compared, that turned out unchanged, and that could not be read, since nothing was left to compare.
        self._compared = self._unchanged = self._unreadable = 0
        self._unreadable_before = 0
        #: Whether renamings may have been missed, because a process ended or a database was away in the midst of it.
        self._is_interrupted = True

    def stop(self) -> None:
        """Have `run` return after the round under way; safe to call from a signal handler."""
        # Set a flag only: Event.set() could deadlock inside a signal handler, since the interrupted thread may hold its lock.
        self._stopping = True

    def close(self) -> None:
        """Release the inbox for another watcher."""
        self._lease.release()

    def run(self) -> None:
        """Watch until stopped. Wait until database, broker or inbox work again, and log each trouble once.

        Raises:
            InboxBusy: the lease was lost with the database's connection, and another watcher has taken it.
        """
        in_trouble = False
        try:
            while not self._stopping:
                try:
                    self._round()
                except (DatabaseUnavailable, OSError) as error:
                    self._discovery.start_over()
                    self._is_interrupted = True
                    if not in_trouble:
                        _log.warning("%s; trying again until it works", _without_names(error))
                    in_trouble = True
                    self._pause(_PAUSE_SECONDS)
                else:
                    if in_trouble:
                        _log.info("works again")
                    in_trouble = False
                    self._discovery.wait()
        finally:
            self._discovery.stop()

    def _round(self) -> None:
        trouble: OSError | None = None
        try:
            self._discovery.advance()
        except OSError as error:
            trouble = error  # only the inbox's: files that were discovered before can still be counted
        self._journal()
        self._compare()
        self._note_missing()
        self._dispatch.run()
        if self._clock() >= self._next_bookkeeping_at:
            self._next_bookkeeping_at = self._clock() + _BOOKKEEPING_SECONDS
            self._do_bookkeeping()
        if trouble is not None:
            raise trouble

    def _take_lease(self) -> None:
        if not self._lease.take():
            raise InboxBusy(f"another watcher already watches {self._root}; stop it first, or leave it to it")

    def _known(self, folder: str) -> dict[str, KnownFile]:
        return journal.known_in_folder(self._database, self.inbox_id, folder)

    def _folders(self) -> Iterator[str]:
        return presence.journalled_folders(self._database, self.inbox_id)

    def _journal(self) -> None:
        taken = self._discovery.ready.take(_HASHED_PER_ROUND if self._settings.hash_files else None)
        if not taken.files:
            return
        files: Mapping[str, SeenFile] = taken.by_path
        if self._settings.hash_files:
            files = self._with_hashes(files)
        came = journal.record(self._database, self.inbox_id, list(files.values()))
        # A file that is lost here, with this process, has another time than journalled, so the next scan finds it again.
        for file in came.to_compare:
            self._discovery.to_compare.put(from_text(joined(file.folder, file.filename)), file)
        self._discovery.ready.commit(Taken({path: taken.by_path[path] for path in files}))
        self._discovery.presence.add({file.folder for file in files.values()})
        _log_journalled(came)

    def _compare(self) -> None:
        """Compare files of which only the time has changed with what was counted; the same bytes are the same image."""
        taken = self._discovery.to_compare.take(_HASHED_PER_ROUND)
        if not taken.files:
            return
        files = self._with_hashes(taken.by_path)
        # Nothing is superseded because of a file that cannot be read, or changes right now: a later scan finds it again.
        known = [file for file in files.values() if file.sha256 is not None]
        came = journal.record(self._database, self.inbox_id, known)
        self._discovery.to_compare.commit(Taken({path: taken.by_path[path] for path in files}))
        _log_journalled(came)
        before, self._compared = self._compared, self._compared + len(files)
        self._unchanged += came.unchanged
        self._unreadable += len(files) - len(known)
        if not self._discovery.to_compare:
            self._log_compared()
        elif before // _COMPARED_PER_MESSAGE < self._compared // _COMPARED_PER_MESSAGE:
            _log.info(
                "%d files with another time compared so far, %d of them unchanged", self._compared, self._unchanged
            )

    def _log_compared(self) -> None:
        if self._unchanged:
            _log.info("%d files with another time have the bytes that were counted: unchanged", self._unchanged)
        if self._unreadable > self._unreadable_before:
            _log.warning(
                "%d files with another time cannot be read; what was counted stays until they can", self._unreadable
            )
        self._unreadable_before = self._unreadable
        self._compared = self._unchanged = self._unreadable = 0

    def _note_missing(self) -> None:
        vanished = self._discovery.presence.vanished
        if not vanished:
            return
        ids = vanished[:_MISSING_PER_ROUND]
        slides = presence.note_missing(self._database, self.inbox_id, ids)
        del vanished[: len(ids)]
        _log.info("%d images are no longer in the inbox; what was counted of them stays", len(ids))
        self._follow_renames(emptied=slides)

    def _follow_renames(
        self, *, completed: Collection[str] = (), emptied: Collection[int] = (), everywhere: bool = False
    ) -> None:
        renamed = follow_renames(
            self._database, self.inbox_id, completed=completed, emptied=emptied, everywhere=everywhere
        )
        if renamed:
            _log.info("the folders of %d slides were renamed; their results go with them", renamed)

    def _with_hashes(self, files: Mapping[str, SeenFile]) -> dict[str, SeenFile]:
        """Return files, by their paths, with their SHA-256; without it where they cannot be read as they were seen.

        After a while the rest of the files is left out, for the next round.
        """
        until = time.monotonic() + _HASHING_SECONDS
        hashed: dict[str, SeenFile] = {}
        with OpenFolders() as folders:
            for path, file in files.items():
                hashed[path] = self._with_hash(file, folders)
                if time.monotonic() >= until or self._stopping:
                    break
        return hashed

    def _with_hash(self, file: SeenFile, folders: OpenFolders) -> SeenFile:
        if file.refusal is not None:
            return file
        path = from_text(joined(file.folder, file.filename))
        version = FileVersion(file.size, file.mtime_ns)
        try:
            data = read_version(self._root, path, version, time_precision_ns=EXACT_TIME, folders=folders)
        except (UnexpectedFile, OSError):
            return file  # a worker reports why it cannot be read
        return replace(file, sha256=hashlib.sha256(data).hexdigest())

    def _do_bookkeeping(self) -> None:
        self._take_lease()  # the lease is lost with the database's connection
        quiet = timedelta(seconds=self._settings.quiet_seconds)
        if self._discovery.has_scanned:
            completed = completion.complete_slides(
                self._database, self.inbox_id, quiet=quiet, arriving=self._arriving_slides
            )
            if completed:
                _log.info("%d slides complete", len(completed))
                self._follow_renames(completed=completed)
        is_whole_scan = self._discovery.confirm_full_scan()
        if is_whole_scan and self._is_interrupted:
            self._follow_renames(everywhere=True)
            self._is_interrupted = False
        inbox_registry.note_watch(
            self._database,
            self.inbox_id,
            arriving=len(self._discovery.arriving),
            is_whole_scan=is_whole_scan,
            ignored=self._discovery.ignored,
        )
        if is_whole_scan:
            self._warn_of_lookalikes()

    def _warn_of_lookalikes(self) -> None:
        alike = self._lookalikes.look()
        if alike:
            _log.warning(
                "%d slides have names that look alike, such as with and without a space at the end; doctor says which",
                len(alike),
                extra={"slides": alike[:_MOST_NAMED]},
            )

    def _arriving_slides(self) -> set[str]:
        places = (self._layout.place(to_text(path)) for path in self._discovery.arriving)
        return {place.slide for place in places if not isinstance(place, Refusal)}

    def _pause(self, seconds: float) -> None:
        """Wait, unless told to stop."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(_STOP_CHECK_SECONDS)


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


def _log_journalled(came: Journalled) -> None:
    if came.new or came.superseded or came.refused:
        _log.info("%d new images, %d overwritten, %d refused", came.new, came.superseded, came.refused)
    if came.calls_lost:
        _log.warning(
            "%d images that a person had called were overwritten; the pages of their slides say which", came.calls_lost
        )
    if came.into_withdrawn:
        _log.warning("images came for %d withdrawn slides; restore those that should count", came.into_withdrawn)


def _without_names(error: Exception) -> str:
    """Return the message of an error without the name of a file, which may identify a patient."""
    return f"the inbox cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
