"""Giving quarantined images another try.

It changes what a slide counts, so a signature cannot survive it. Signed slides are therefore left alone, unless a person says
who they are and why the slides are reopened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.parameters import in_list
from smearcount.db.review.checks import checked_name, require_slide
from smearcount.db.review.sign_off import add_event, checked_reason
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import Image, ImageState, Slide, SlideEventKind


@dataclass(frozen=True, slots=True)
class Reopening:
    """Who reopens signed slides for another try, and why."""

    reviewer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retried:
    """What another try came to."""

    #: Images that are pending again.
    images: int
    #: Signed slides that were left alone, and their quarantined images.
    skipped_slides: int = 0
    skipped_images: int = 0
    #: Signed slides that were reopened.
    reopened_slides: int = 0


def retry(database: Database, *, slide_id: int | None = None, reopening: Reopening | None = None) -> Retried:
    """Make the quarantined images of a slide, or of all slides, pending again, in one transaction.

    Files of which no slide could be told from the path stay in quarantine: the watcher looks at them again whenever it
    starts.

    Args:
        database: where images are kept.
        slide_id: the slide; None for all slides.
        reopening: by whom and why signed slides are reopened for it; None leaves signed slides as they are.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the name or the reason is empty or impossible.
    """
    who = None if reopening is None else (checked_name(reopening.reviewer), checked_reason(reopening.reason))
    quarantined = (Image.state == ImageState.QUARANTINED) & Image.slide_id.is_not(None)
    if slide_id is not None:
        quarantined &= Image.slide_id == slide_id
    with database.writing(durable=True) as connection:
        if slide_id is not None:
            require_slide(connection, slide_id)
        found = connection.execute(select(Image.slide_id).where(quarantined).distinct()).scalars()
        slides = sorted(one for one in found if one is not None)
        # What is quarantined from now on in a slide that is not locked waits for the next try.
        lock_slides(connection, in_list(Slide.id, "slides"), {"slides": slides})
        signed = _signed(connection, slides)
        skipped = signed if who is None else []
        tried = sorted(set(slides) - set(skipped))
        images = quarantined & in_list(Image.slide_id, "slides")
        lock_images(connection, images, {"slides": tried})
        count = connection.execute(
            update(Image)
            .where(images)
            .values(
                state=ImageState.PENDING, attempts=0, reason=None, reason_code=None, finished_at=None, not_before=None
            ),
            {"slides": tried},
        ).rowcount
        connection.execute(
            update(Slide).where(in_list(Slide.id, "slides")).values(completed_at=None), {"slides": tried}
        )
        left = connection.execute(
            select(func.count()).select_from(Image).where(images), {"slides": skipped}
        ).scalar_one()
        if who is not None:
            for one in signed:
                add_event(connection, one, SlideEventKind.REOPEN, *who)
        return Retried(count, len(skipped), left, len(signed) - len(skipped))


def _signed(connection: Connection, slide_ids: Sequence[int]) -> list[int]:
    """Return those of the slides that are signed, by their ids."""
    rows = connection.execute(
        select(Slide.id).join(SIGN_OFF, IS_SIGN_OFF).where(in_list(Slide.id, "slides"), SIGN_OFF_HOLDS),
        {"slides": slide_ids},
    )
    return sorted(rows.scalars())
