"""Checking images that a worker's machine did not show, before they are sent again: what the watcher sees decides."""

import errno
import hashlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smearcount.db.engine.database import Database
from smearcount.db.ingest import visibility
from smearcount.db.records import Batch, Refusal, Refused, WorkItem
from smearcount.inbox.paths import from_text
from smearcount.inbox.reading import EXACT_TIME, LeavesInbox, NotAFile, OtherVersion, TooLarge, read_version

_log = logging.getLogger("smearcount.watcher")

#: A share that is not mounted leaves an empty folder. An inbox that stays empty for this long, in seconds, was emptied.
_EMPTIED_SECONDS = 30.0

_NO_FILE = Refusal("not-a-file", "not an ordinary file")


@dataclass(frozen=True)
class _Found:
    """What lies where an image was journalled; the defaults mean that the file lies there unchanged."""

    refusal: Refusal | None = None
    is_changed: bool = False
    #: Set if the version of the file is the same, but its bytes differ from those that were read first.
    sha256: str | None = None


class VisibilityCheck:
    """Checks images that a worker did not see, when they are about to be sent again."""

    def __init__(self, database: Database) -> None:
        """Keep the database, where workers report what they do not see."""
        self._database = database
        self._empty_since: float | None = None

    def check(self, batches: list[Batch]) -> list[Batch]:
        """Return the batches without the images that cannot be sent, and record in the database why not.

        Raises:
            DatabaseUnavailable: the journal does not answer.
        """
        ids = [image_id for batch in batches for image_id in batch.not_visible]
        if not ids:
            return batches
        found = {item.image_id: self._check_item(item) for item in visibility.items_to_check(self._database, ids)}
        refused = [Refused(one, what.refusal) for one, what in found.items() if what.refusal is not None]
        changed = [one for one, what in found.items() if what.is_changed]
        read_anew = {one: what.sha256 for one, what in found.items() if what.sha256 is not None}
        if refused or changed or read_anew:
            visibility.record_findings(self._database, refused=refused, changed=changed, read_anew=read_anew)
        if refused:
            images = [one.image_id for one in refused]
            _log.info("%d images that workers missed cannot be read here either", len(images), extra={"images": images})
        return _without({*changed, *(one.image_id for one in refused)}, batches)

    def _check_item(self, item: WorkItem) -> _Found:
        root = from_text(item.root)
        try:
            return self._read(root, item)
        except OSError as error:
            return _Found(_refusal(error)) if self._is_shown(root) else _Found()

    def _read(self, root: str, item: WorkItem) -> _Found:
        path = from_text(item.path)
        os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 (a link that leads nowhere is gone, wherever it leads)
        self._empty_since = None
        try:
            data = read_version(root, path, item.version, time_precision_ns=EXACT_TIME)
        except LeavesInbox:
            return _Found(Refusal("leaves-inbox", "a symbolic link leads out of the inbox; put the file itself there"))
        except NotAFile:
            return _Found(_NO_FILE)
        except OtherVersion:
            return _Found(is_changed=True)
        except TooLarge:
            return _Found()  # a worker that sees the file refuses it
        sha256 = hashlib.sha256(data).hexdigest()
        return _Found() if item.sha256 in {None, sha256} else _Found(sha256=sha256)

    def _is_shown(self, root: str) -> bool:
        """Say whether the inbox is there, so that a file missing in it is really gone."""
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
    if error.errno in {errno.ELOOP, errno.ENXIO}:
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
