"""Images that are still to be classified, as a worker or the watcher gets them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from smearcount.db.engine.parameters import in_list
from smearcount.db.records import WorkItem
from smearcount.db.schema import IS_OPEN, Image, Inbox
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import joined
from smearcount.inbox.versions import FileVersion

#: Condition that an image is one of those passed as `ids` and still open.
IS_LISTED_AND_OPEN = in_list(Image.id, "ids") & IS_OPEN

# Built once: building it for every batch took longer than running it.
_OPEN_ITEMS = (
    select(
        Image.id, Inbox.name, Inbox.root, Image.folder, Image.filename, Image.size, Image.mtime_ns, Image.attempts,
        Image.slide_id, Image.sha256,
    )
    .join(Inbox, Inbox.id == Image.inbox_id)
    .where(IS_LISTED_AND_OPEN)
    .order_by(Image.id)
)  # fmt: skip


# Locks images by ascending ids, as `db.engine.locking` asks for.
_LOCKED_OPEN_ITEMS = _OPEN_ITEMS.with_for_update(of=Image)


def open_items(connection: Connection, ids: Sequence[int], mounts: Mounts) -> list[WorkItem]:
    """Return those of the images that are still open, oldest first; `mounts` says where this machine sees the inboxes."""
    return _items(connection, _OPEN_ITEMS, ids, mounts)


def lock_open_items(connection: Connection, ids: Sequence[int], mounts: Mounts) -> list[WorkItem]:
    """Do what `open_items` does, and lock these images until the transaction ends."""
    return _items(connection, _LOCKED_OPEN_ITEMS, ids, mounts)


def _items(
    connection: Connection, query: Select[*tuple[Any, ...]], ids: Sequence[int], mounts: Mounts
) -> list[WorkItem]:
    return [
        WorkItem(
            image_id, mounts.folder(inbox, root), joined(folder, filename), FileVersion(size, mtime_ns), attempts,
            slide_id, sha256,
        )
        for image_id, inbox, root, folder, filename, size, mtime_ns, attempts, slide_id, sha256 in connection.execute(
            query, {"ids": ids}
        )
    ]  # fmt: skip
