"""Images that a worker's machine does not show as they were journalled, and what the watcher finds in their place.

A worker sees the inbox at a mount point of its own, which may be empty, another folder, or late behind the share. A file that is
missing there may well be in the inbox. Only the watcher, which scans the inbox, can tell that it is missing indeed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, literal, or_, select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images
from smearcount.db.ingest.work_items import IS_LISTED_AND_OPEN, open_items
from smearcount.db.records import Refused, WorkItem
from smearcount.db.schema import OPEN_STATES, Image, ImageState
from smearcount.inbox.mounts import Mounts

#: The worker's machine does not show the file, or does not let it be read.
NOT_HERE = "not-here"
#: The worker's machine shows another version of the file, or other bytes, than the watcher saw.
OTHER_COPY = "other-copy"
#: The watcher sees another version of the file, too; it journals that one as soon as it has settled.
CHANGED = "changed"

#: Time that an image stays out of the queue after the watcher found it changed, in seconds.
CHANGED_SECONDS = 10

# Statements that are executed for many rows, one by one. `IS_OPEN` cannot be used here: SQLAlchemy cannot write its literals
# into such a statement. Nor is it needed, since the row is found by its id.
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


def items_to_check(database: Database, image_ids: Sequence[int]) -> list[WorkItem]:
    """Return those of the images that are still open, for the watcher to look for; roots are those that the watcher sees."""
    with database.reading() as connection:
        return open_items(connection, image_ids, Mounts())


def record_findings(
    database: Database, *, refused: Sequence[Refused], changed: Sequence[int], read_anew: Mapping[int, str]
) -> None:
    """Store what the watcher found, in one transaction; an image without a finding is only missing on the worker's machine.

    No image may have two findings: if a transaction changes a row twice, PostgreSQL also locks its slide, and slides must be
    locked before images.

    Args:
        database: where images are kept.
        refused: images that cannot be counted.
        changed: ids of images of which the inbox holds another version by now; they wait until it is journalled.
        read_anew: SHA-256 (hex) by id of images whose bytes differ from those that were read first.
    """
    now = datetime.now(UTC)
    with database.writing() as connection:
        lock_images(connection, IS_LISTED_AND_OPEN, {"ids": [*(one.image_id for one in refused), *changed, *read_anew]})
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


def is_confirmed_by_watcher(database: Database, image_id: int) -> bool:
    """Return whether the watcher, too, did not see the image as it was journalled, so the worker's machine is fine."""
    with database.reading() as connection:
        row = connection.execute(select(Image.state, Image.reason_code).where(Image.id == image_id)).one()
    if row.state in OPEN_STATES:
        return bool(row.reason_code == CHANGED)
    return row.state in {ImageState.QUARANTINED, ImageState.SUPERSEDED}


def _postpone(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    connection.execute(
        update(Image)
        .where(IS_LISTED_AND_OPEN)
        .values(
            state=ImageState.PENDING,
            queued_at=None,
            not_before=now + timedelta(seconds=CHANGED_SECONDS),
            reason_code=CHANGED,
            reason="the file changed after it was seen; it counts when it has settled",
        ),
        {"ids": ids},
    )
