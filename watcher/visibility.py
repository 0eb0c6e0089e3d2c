"""Looking for the images that a worker's machine did not show, before they are sent again: the watcher's word counts."""

import errno
import logging
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smearcount.db.engine.database import Database
from smearcount.db.ingest import visibility
from smearcount.db.records import Batch, Refusal, Refused, WorkItem
from smearcount.inbox.paths import from_text
from smearcount.watcher.hashing import LARGEST_FILE, sha256_of

_log = logging.getLogger("smearcount.watcher")

#: A share that is not mounted leaves an empty folder. An inbox that stays empty for so long, in seconds, was emptied.
_EMPTIED_SECONDS = 30.0


_NO_FILE = Refusal("not-a-file", "not an ordinary file")


@dataclass(frozen=True)
class _Found:
    """What lies where an image was journalled; nothing of this: the very file."""

    refusal: Refusal | None = None
    is_changed: bool = False
    #: Set where the bytes are others than those that were read first, in the same version of the file.
    sha256: str | None = None


class Complaints:
    """Answers the complaints about images that are about to be sent."""

    def __init__(self, database: Database) -> None:
        """Prepare; nothing is asked yet."""
        self._database = database
        self._empty_since: float | None = None

    def answered(self, batches: list[Batch]) -> list[Batch]:
        """Return the batches without the images that workers cannot be given; why not is written down.

        Raises:
            DatabaseUnavailable: the journal does not answer.
        """
        ids = [image_id for batch in batches for image_id in batch.complained_of]
        if not ids:
            return batches
        found = {item.image_id: self._look_for(item) for item in visibility.complained_of(self._database, ids)}
        refused = [Refused(one, what.refusal) for one, what in found.items() if what.refusal is not None]
        changed = [one for one, what in found.items() if what.is_changed]
        read_anew = {one: what.sha256 for one, what in found.items() if what.sha256 is not None}
        if refused or changed or read_anew:
            visibility.answer(self._database, refused=refused, changed=changed, read_anew=read_anew)
        if refused:
            images = [one.image_id for one in refused]
            _log.info("%d images that workers missed cannot be read here either", len(images), extra={"images": images})
        return _without({*changed, *(one.image_id for one in refused)}, batches)

    def _look_for(self, item: WorkItem) -> _Found:
        root = from_text(item.root)
        try:
            return self._look_at(root, item)
        except OSError as error:
            return _Found(_refusal(error)) if self._is_shown(root) else _Found()

    def _look_at(self, root: str, item: WorkItem) -> _Found:
        path = os.path.join(root, from_text(item.path))  # noqa: PTH118
        status = os.stat(path)  # noqa: PTH116
        self._empty_since = None
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            return _Found(Refusal("leaves-inbox", "a symbolic link leads out of the inbox; put the file itself there"))
        if not stat.S_ISREG(status.st_mode):
            return _Found(_NO_FILE)
        if item.version.size > LARGEST_FILE:
            return _Found()  # a worker that sees it refuses it
        sha256 = sha256_of(path, item.version)
        if sha256 is None:
            return _Found(is_changed=True)
        return _Found() if item.sha256 in {None, sha256} else _Found(sha256=sha256)

    def _is_shown(self, root: str) -> bool:
        """Say whether what is missing in the inbox is missing indeed, and not only out of reach."""
        try:
            with os.scandir(root) as entries:
                is_empty = next(entries, None) is None
        except OSError:
            self._empty_since = None
            return False
        if not is_empty:
            self._empty_since = None
            return True
        now = time.monotonic()
        if self._empty_since is None:
            self._empty_since = now
        return now - self._empty_since >= _EMPTIED_SECONDS


def _refusal(error: OSError) -> Refusal:
    if error.errno == errno.ELOOP:
        return _NO_FILE
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Refusal("gone", "the file was gone before it could be read; it counts again when it comes back")
    if isinstance(error, PermissionError):
        return Refusal("unreadable", "the file may not be read (permission denied); allow it, then: retry")
    return Refusal("unreadable", f"the file cannot be read: {error.strerror}; mend that, then: retry")


def _without(ids: set[int], batches: Sequence[Batch]) -> list[Batch]:
    if not ids:
        return list(batches)
    rest = (replace(one, image_ids=tuple(i for i in one.image_ids if i not in ids)) for one in batches)
    return [one for one in rest if one.image_ids]
