"""Which images are handed to the queue, which come back, and how many are there; the database alone knows.

An image is `pending` until it is handed to the queue and `queued` until a worker finishes it. The queue may lose messages
at any time: images that stay queued for too long become pending again.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select, update

from smearcount.db.engine.clock import is_past
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images
from smearcount.db.ingest.work_items import IS_LISTED_AND_OPEN
from smearcount.db.records import Batch
from smearcount.db.schema import IS_COUNTED, IS_OPEN, Image, ImageState


def take_batches(database: Database, inbox_id: int, *, at_most: int, batch_size: int) -> list[Batch]:
    """Mark pending images of an inbox as queued and return them as batches.

    The marks are committed when this returns. Batches that do not reach the queue must go back through `put_back`.

    Args:
        database: where images are kept.
        inbox_id: the inbox.
        at_most: largest number of images to take.
        batch_size: largest number of images in a batch.

    Returns:
        Batches of one slide each, oldest images first.
    """
    now = datetime.now(UTC)
    pending = (
        select(Image.id, Image.slide_id, Image.reason_code)
        .where(
            IS_OPEN,
            Image.state == ImageState.PENDING,
            Image.inbox_id == inbox_id,
            Image.slide_id.is_not(None),
            or_(Image.not_before.is_(None), is_past(Image.not_before, now)),
        )
        .order_by(Image.id)
    )
    with database.reading() as connection:
        # The watcher asks several times a second. An empty answer must not cost the workers SQLite's one write lock.
        if connection.execute(pending.limit(1)).first() is None:
            return []
    with database.writing() as connection:
        rows = connection.execute(pending.limit(at_most)).all()
        of_slide: dict[int, list[int]] = defaultdict(list)
        not_visible: set[int] = set()
        for image_id, slide_id, code in rows:
            if slide_id is not None:
                of_slide[slide_id].append(image_id)
            if code is not None:
                not_visible.add(image_id)
        _set_open_state(connection, [row.id for row in rows], ImageState.QUEUED, queued_at=now)
    return [
        Batch(slide_id, part, tuple(sorted(not_visible.intersection(part))) if not_visible else ())
        for slide_id, ids in of_slide.items()
        for part in (tuple(ids[start : start + batch_size]) for start in range(0, len(ids), batch_size))
    ]


def put_back(database: Database, batches: Iterable[Batch]) -> None:
    """Make the images of batches that did not reach the queue pending again; those that were finished stay as they are."""
    ids = [image_id for batch in batches for image_id in batch.image_ids]
    with database.writing() as connection:
        _set_open_state(connection, ids, ImageState.PENDING, queued_at=None)


def put_back_lost(database: Database, inbox_id: int, *, queued_before: datetime) -> int:
    """Make the images of an inbox pending again that were queued before a moment (UTC) and never finished.

    Returns:
        The number of these images.
    """
    is_lost = and_(
        IS_OPEN,
        Image.state == ImageState.QUEUED,
        Image.inbox_id == inbox_id,
        or_(Image.queued_at.is_(None), is_past(Image.queued_at, queued_before)),
    )
    with database.reading() as connection:
        # The watcher asks every few seconds. An empty answer must not cost the workers SQLite's one write lock.
        if connection.execute(select(Image.id).where(is_lost).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        lock_images(connection, is_lost)
        return connection.execute(
            update(Image).where(is_lost).values(state=ImageState.PENDING, queued_at=None)
        ).rowcount


def last_finished_was_queued_at(database: Database, *, within: timedelta) -> datetime | None:
    """Return when (UTC) the image that a worker counted last was queued; None if none was counted within that time."""
    newest = (
        select(Image.queued_at)
        .where(IS_COUNTED, Image.finished_at >= datetime.now(UTC) - within)
        .order_by(Image.finished_at.desc())
        .limit(1)
    )
    with database.reading() as connection:
        return connection.execute(newest).scalar_one_or_none()


def count_queued(database: Database) -> int:
    """Return how many images of all inboxes are in the queue or with workers."""
    with database.reading() as connection:
        return connection.execute(
            select(func.count()).select_from(Image).where(IS_OPEN, Image.state == ImageState.QUEUED)
        ).scalar_one()


def _set_open_state(
    connection: Connection, ids: Sequence[int], state: ImageState, *, queued_at: datetime | None
) -> None:
    if ids:
        lock_images(connection, IS_LISTED_AND_OPEN, {"ids": ids})
        change = update(Image).where(IS_LISTED_AND_OPEN).values(state=state, queued_at=queued_at)
        connection.execute(change, {"ids": ids})
