"""Giving quarantined images another try."""

from sqlalchemy import select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.review.checks import require_slide
from smearcount.db.schema import Image, ImageState, Slide


def retry(database: Database, *, slide_id: int | None = None) -> int:
    """Make the quarantined images of a slide, or of all slides, pending again, in one transaction.

    Files of which no slide could be told from the path stay in quarantine: the watcher looks at them again whenever it
    starts.

    Args:
        database: where images are kept.
        slide_id: the slide; None for all slides.

    Returns:
        The number of images that are pending again.

    Raises:
        UnknownSlide: there is no such slide.
    """
    quarantined = (Image.state == ImageState.QUARANTINED) & Image.slide_id.is_not(None)
    if slide_id is not None:
        quarantined &= Image.slide_id == slide_id
    with database.writing(durable=True) as connection:
        if slide_id is not None:
            require_slide(connection, slide_id)
        lock_slides(connection, Slide.id.in_(select(Image.slide_id).where(quarantined)))
        lock_images(connection, quarantined)
        slides = set(connection.execute(select(Image.slide_id).where(quarantined)).scalars())
        count = connection.execute(
            update(Image)
            .where(quarantined)
            .values(
                state=ImageState.PENDING, attempts=0, reason=None, reason_code=None, finished_at=None, not_before=None
            )
        ).rowcount
        connection.execute(update(Slide).where(Slide.id.in_(slides)).values(completed_at=None))
        return count
