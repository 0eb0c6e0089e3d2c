"""Complaints: images that a worker's machine does not show as they were journalled, and what the watcher says to them.

A worker sees the inbox at a mount point of its own, which may be empty, another folder, or behind the share. What is
missing there may well be in the inbox. Only the watcher, which scans it, can say that it is not.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, literal, or_, select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images
from smearcount.db.ingest.work_items import ARE_OPEN, open_items
from smearcount.db.records import Refused, WorkItem
from smearcount.db.schema import OPEN_STATES, Image, ImageState
from smearcount.inbox.mounts import Mounts

#: The worker's machine does not show the file, or does not let it be read.
NOT_HERE = "not-here"
#: The worker's machine shows another version of the file, or other bytes, than the watcher saw.
OTHER_COPY = "other-copy"
#: The watcher, too, sees another version of the file by now; it is journalled as soon as it has settled.
CHANGED = "changed"

#: How long an image waits of which the watcher says that it has changed.
CHANGED_SECONDS = 10

# Of one row each, for which conditions made for an index serve nothing and cannot be used.
_THIS = and_(Image.id == bindparam("image"), or_(*(Image.state == state.value for state in OPEN_STATES)))
_REFUSE = (
    update(Image)
    .where(_THIS)
    .values(
        state=literal(ImageState.QUARANTINED.value),
        finished_at=bindparam("at"),
        reason_code=bindparam("code"),
        reason=bindparam("why"),
    )
)
_READ_ANEW = update(Image).where(_THIS).values(sha256=bindparam("bytes"))


def complained_of(database: Database, image_ids: Sequence[int]) -> list[WorkItem]:
    """Return those of the images that are still open, as the watcher's machine sees their inbox."""
    with database.reading() as connection:
        return open_items(connection, image_ids, Mounts())


def answer(
    database: Database, *, refused: Sequence[Refused], changed: Sequence[int], read_anew: Mapping[int, str]
) -> None:
    """Write down what the watcher says to complaints; of images that it says nothing of, the machine is to blame.

    It says one thing of an image: PostgreSQL locks the slide of a row that a transaction changes twice, and slides are
    locked before images.

    Args:
        database: where they are kept.
        refused: images that cannot be counted.
        changed: ids of images of which another version lies in the inbox by now; they wait for it to be journalled.
        read_anew: the SHA-256 of images whose bytes are others than those that were read first, by id.
    """
    now = datetime.now(UTC)
    with database.writing() as connection:
        lock_images(connection, ARE_OPEN, {"ids": [*(one.image_id for one in refused), *changed, *read_anew]})
        if refused:
            rows = [
                {"image": one.image_id, "at": now, "code": one.refusal.code, "why": one.refusal.reason}
                for one in refused
            ]
            connection.execute(_REFUSE, rows)
        if changed:
            _postpone(connection, changed, now)
        if read_anew:
            connection.execute(_READ_ANEW, [{"image": one, "bytes": sha256} for one, sha256 in read_anew.items()])


def is_upheld(database: Database, image_id: int) -> bool:
    """Say whether the watcher does not see the image as it was journalled either, so that no machine is to blame."""
    with database.reading() as connection:
        row = connection.execute(select(Image.state, Image.reason_code).where(Image.id == image_id)).one()
    if row.state in OPEN_STATES:
        return bool(row.reason_code == CHANGED)
    return row.state in {ImageState.QUARANTINED, ImageState.SUPERSEDED}


def _postpone(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    connection.execute(
        update(Image)
        .where(ARE_OPEN)
        .values(
            state=ImageState.PENDING,
            queued_at=None,
            not_before=now + timedelta(seconds=CHANGED_SECONDS),
            reason_code=CHANGED,
            reason="the file changed after it was seen; it counts when it has settled",
        ),
        {"ids": ids},
    )
