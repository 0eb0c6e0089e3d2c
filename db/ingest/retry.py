"""Giving quarantined images another try."""

from sqlalchemy import select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.schema import Image, ImageState, Slide


def retry(database: Database, *, slide: str | None = None, inbox: str | None = None) -> int:
    """Make the quarantined images of a slide, or of all slides, pending again; return how many.

    Files of which no slide could be told stay: they are looked at again whenever the watcher starts.

    Raises:
        UnknownSlide: no slide has that name, or slides of several inboxes have it.
    """
    quarantined = (Image.state == ImageState.QUARANTINED) & Image.slide_id.is_not(None)
    if slide is not None:
        quarantined &= Image.slide_id == find_slide_id(database, slide, inbox=inbox)
    with database.writing() as connection:
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
