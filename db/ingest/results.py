"""What workers write: they begin with a batch, and store its results in one transaction.

The queue may deliver a message twice, and two workers may have the same image at the same time. Storing locks the slides
first and their images after them (see `db.engine.locking`), so one of two workers stores and the other one changes nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, any_, bindparam, func, insert, literal, select, update

from smearcount.db.engine.bulk import insert_missing_rows, update_rows
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.parameters import in_list
from smearcount.db.ingest.work_items import IS_LISTED_AND_OPEN, lock_open_items
from smearcount.db.records import Classified, NotVisible, Outcome, Refused, TimeSpent, WorkItem
from smearcount.db.schema import IS_COUNTED, Classification, Image, ImageState, Model, Slide, Work
from smearcount.differential.model import ModelUsed
from smearcount.inbox.mounts import Mounts

#: This machine sees every inbox where its watcher sees it.
_NO_MOUNTS = Mounts()

_NO_COLOUR = (None, None, None)

# The statements of every batch, built once: building them each time took longer than running them.
# For PostgreSQL, which alone locks rows. With an array in the place of a subquery it looks up the one slide by its key and
# never reads all slides.
_OF_IMAGES = Slide.id == any_(func.array(select(Image.slide_id).where(in_list(Image.id, "ids")).scalar_subquery()))
_LOCKED_OPEN_SLIDES = select(Image.id, Image.slide_id).where(IS_LISTED_AND_OPEN).order_by(Image.id).with_for_update()
_COUNT_ATTEMPT = update(Image).where(IS_LISTED_AND_OPEN).values(attempts=Image.attempts + 1)
_TAKE_BACK_ATTEMPT = update(Image).where(IS_LISTED_AND_OPEN, Image.attempts > 0).values(attempts=Image.attempts - 1)
_COUNTED_BYTES = select(Image.slide_id, Image.sha256, Image.id).where(
    in_list(Image.slide_id, "slides"),
    IS_COUNTED,
    in_list(Image.sha256, "bytes"),
)
# The image is pending again at once. The worker that does not see it idles for a while, so another worker gets it.
_PUT_BACK = (
    update(Image)
    .where(Image.id == bindparam("image"))
    .values(
        state=literal(ImageState.PENDING.value),
        queued_at=None,
        attempts=Image.attempts - 1,
        reason_code=bindparam("code"),
        reason=bindparam("why"),
    )
)
_MODEL_ID = select(Model.id).where(
    Model.sha256 == bindparam("sha256"),
    Model.preprocessing == bindparam("preprocessing"),
    Model.threshold == bindparam("threshold"),
)
_SPEND = insert(Work)


def begin(database: Database, image_ids: Sequence[int], mounts: Mounts = _NO_MOUNTS) -> list[WorkItem]:
    """Count an attempt for each image that is still open, and return these images; the others are finished already.

    The attempts are committed before any file is read, so the count shows which image kills its workers.

    Args:
        database: where images are kept.
        image_ids: the images of a batch.
        mounts: where this machine sees the inboxes.
    """
    with database.writing() as connection:
        return _begun(connection, lock_open_items(connection, image_ids, mounts))


def begin_fresh(
    database: Database, image_ids: Sequence[int], mounts: Mounts = _NO_MOUNTS
) -> tuple[list[WorkItem], list[WorkItem]]:
    """Begin, as `begin` does, with the open images that no worker has begun with yet.

    Returns:
        The images begun with, and the open images with which a worker has begun before; their attempts are not counted.
    """
    with database.writing() as connection:
        items = lock_open_items(connection, image_ids, mounts)
        fresh = _begun(connection, [item for item in items if item.attempts == 0])
    return fresh, [item for item in items if item.attempts > 0]


def give_up_attempt(database: Database, image_ids: Sequence[int]) -> None:
    """Take back an attempt at images that ended for a reason that lies outside the images."""
    with database.writing() as connection:
        lock_images(connection, IS_LISTED_AND_OPEN, {"ids": image_ids})
        connection.execute(_TAKE_BACK_ATTEMPT, {"ids": image_ids})


def store(
    database: Database,
    model: ModelUsed,
    worker: str,
    outcomes: Sequence[Outcome],
    spent: TimeSpent | None = None,
    trace: str | None = None,
) -> None:
    """Store the outcomes of images in one transaction; storing the same ones again changes no result.

    An image that was superseded meanwhile, or finished by another worker, stays as it is. The time spent is added even if
    the work was done before. Its row has exactly the time at which the images are finished, which is how an image is
    followed back to its message.

    Args:
        database: where results are kept.
        model: the classifier that was used.
        worker: name of the worker.
        outcomes: at most one for each image.
        spent: what the time of the batch went into, in seconds; None stores no time.
        trace: id of the message that the batch came with.
    """
    now = datetime.now(UTC)
    with database.writing() as connection:
        still_open = _lock_open(connection, [outcome.image_id for outcome in outcomes])
        mine = [outcome for outcome in outcomes if outcome.image_id in still_open]
        classified = [outcome for outcome in mine if isinstance(outcome, Classified)]
        _store_classified(connection, model, worker, classified, still_open, now)
        for outcome in mine:
            if isinstance(outcome, Refused):
                _quarantine(connection, outcome, now)
        _put_back(connection, [outcome for outcome in mine if isinstance(outcome, NotVisible)])
        if spent is not None:
            row = {"worker": worker, "at": now, "images": spent.images, "reading_seconds": spent.reading}
            row |= {"decoding_seconds": spent.decoding, "network_seconds": spent.network, "trace": trace}
            connection.execute(_SPEND, row)


def _begun(connection: Connection, items: Sequence[WorkItem]) -> list[WorkItem]:
    if items:
        connection.execute(_COUNT_ATTEMPT, {"ids": [item.image_id for item in items]})
    return [replace(item, attempts=item.attempts + 1) for item in items]


def _lock_open(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return the slide of each image that is still open, and lock these slides until the transaction ends."""
    lock_slides(connection, _OF_IMAGES, {"ids": ids})
    rows = connection.execute(_LOCKED_OPEN_SLIDES, {"ids": ids})
    return {image_id: slide_id for image_id, slide_id in rows if slide_id is not None}


def _store_classified(
    connection: Connection,
    model: ModelUsed,
    worker: str,
    classified: Sequence[Classified],
    slide_of: dict[int, int],
    now: datetime,
) -> None:
    if not classified:
        return
    counted = _counted_bytes(connection, classified, slide_of)
    to_count: list[Classified] = []
    finished: list[dict[str, object]] = []
    for outcome in classified:
        key = (slide_of[outcome.image_id], outcome.sha256)
        first = counted.setdefault(key, outcome.image_id)
        is_first = first == outcome.image_id
        if is_first:
            to_count.append(outcome)
        finished.append(
            {
                "of_id": outcome.image_id,
                "state": ImageState.DONE if is_first else ImageState.DUPLICATE,
                "finished_at": now,
                "sha256": outcome.sha256,
                "duplicate_of": None if is_first else first,
                "reason": None,
                "reason_code": None,
            }
        )
    update_rows(connection, Image, finished)
    model_id = _model_id(connection, model)
    rows = [
        {
            "image_id": outcome.image_id,
            "model_id": model_id,
            "cell_class": outcome.cell_class,
            "confidence": outcome.confidence,
            "probabilities": list(outcome.probabilities),
            "identified": outcome.identified,
            "unlikeness": outcome.ood_score,
            **dict(zip(("red", "green", "blue"), outcome.colour or _NO_COLOUR, strict=True)),
            "colour_distance": outcome.colour_distance,
            "sharpness": outcome.sharpness,
            "worker": worker,
            "classified_at": now,
        }
        for outcome in to_count
    ]
    insert_missing_rows(connection, Classification, rows)


def _counted_bytes(
    connection: Connection, classified: Sequence[Classified], slide_of: dict[int, int]
) -> dict[tuple[int, str], int]:
    asked = {"slides": sorted(set(slide_of.values())), "bytes": [outcome.sha256 for outcome in classified]}
    rows = connection.execute(_COUNTED_BYTES, asked)
    return {(slide_id, sha256): image_id for slide_id, sha256, image_id in rows if slide_id and sha256}


def _model_id(connection: Connection, model: ModelUsed) -> int:
    row = asdict(model)
    known = connection.execute(_MODEL_ID, row).scalar_one_or_none()
    if known is None:
        insert_missing_rows(connection, Model, [row])
        known = connection.execute(_MODEL_ID, row).scalar_one()
    return int(known)


def _quarantine(connection: Connection, refused: Refused, now: datetime) -> None:
    connection.execute(
        update(Image)
        .where(Image.id == refused.image_id)
        .values(
            state=ImageState.QUARANTINED,
            finished_at=now,
            sha256=func.coalesce(refused.sha256, Image.sha256),
            reason_code=refused.refusal.code,
            reason=refused.refusal.reason,
        )
    )


def _put_back(connection: Connection, not_visible: Sequence[NotVisible]) -> None:
    if not_visible:
        rows = [{"image": one.image_id, "code": one.code, "why": one.reason} for one in not_visible]
        connection.execute(_PUT_BACK, rows)
