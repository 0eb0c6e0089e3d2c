"""Images that are still to be classified, as a worker or the watcher is given them."""

from collections.abc import Sequence

from sqlalchemy import BindParameter, Connection, bindparam, select

from db.mounts import Mounts
from db.names import joined
from db.records import FileVersion, WorkItem
from db.schema import IS_OPEN, Image, Inbox

# Made once: making it anew for every batch took longer than running it.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_OPEN_ITEMS = (
    select(
        Image.id, Inbox.name, Inbox.root, Image.folder, Image.filename, Image.size, Image.mtime_ns, Image.attempts,
        Image.slide_id, Image.sha256,
    )
    .join(Inbox, Inbox.id == Image.inbox_id)
    .where(Image.id.in_(_IDS) & IS_OPEN)
    .order_by(Image.id)
)  # fmt: skip


def open_items(connection: Connection, ids: Sequence[int], mounts: Mounts) -> list[WorkItem]:
    """Return those of the images that are still open, where `mounts` says that the inboxes are; oldest first."""
    return [
        WorkItem(
            image_id, mounts.folder(inbox, root), joined(folder, filename), FileVersion(size, mtime_ns), attempts,
            slide_id, sha256,
        )
        for image_id, inbox, root, folder, filename, size, mtime_ns, attempts, slide_id, sha256 in connection.execute(
            _OPEN_ITEMS, {"ids": ids}
        )
    ]  # fmt: skip
