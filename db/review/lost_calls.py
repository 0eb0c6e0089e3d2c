"""People's calls of images whose files have changed since: what was lost, and how it comes back.

A call is of one version of a file. If other bytes take its place, the call stays with the old version, which counts no more.
Where the very same bytes are counted in the slide again, because the file was changed back or the picture came under another
name, the call still is right, and a person can bring it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, and_, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.review.checks import require_slide
from smearcount.db.review.effective_calls import IS_NEWEST_REVIEW, REVIEW
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.review.records import Change, Review
from smearcount.db.review.reviews import MOST_CHANGES, reclassify
from smearcount.db.schema import Image, ImageState, ReviewRow, SlideEventKind, SlideEventRow
from smearcount.differential.classes import ReviewClass
from smearcount.inbox.paths import joined

#: In whose name the history keeps what no person did.
WATCHER = "smearcount"
#: How many images and people a text names; the rest is in the list of lost calls.
_MOST_NAMED = 20

_SAME = aliased(Image, name="same_picture")
_NOW = aliased(Image, name="file_now")
# Written into the statement, because a database uses no partial index for a parameter.
_SAME_PICTURE = and_(
    _SAME.sha256 == Image.sha256,
    _SAME.slide_id == Image.slide_id,
    _SAME.state == literal(ImageState.DONE.value, literal_execute=True),
)
_FILE_NOW = and_(
    _NOW.inbox_id == Image.inbox_id,
    _NOW.folder == Image.folder,
    _NOW.filename == Image.filename,
    _NOW.state != literal(ImageState.SUPERSEDED.value, literal_execute=True),
)


@dataclass(frozen=True, slots=True)
class LostCall:
    """A person's call of an image whose file has changed since, and which nobody has called anew."""

    review_id: int
    #: The version of the file that was called.
    image_id: int
    #: Path within the inbox; may identify a patient.
    path: str
    cell_class: ReviewClass
    reviewer: str
    reason: str | None
    #: UTC.
    reviewed_at: datetime
    #: The counted image of the slide with the very same bytes, which can have the call; None if there is none.
    same_picture: int | None
    #: Newest review of that image, for `Change.seen_review_id`; None if there is none.
    seen_review_id: int | None


def lost_calls(database: Database, slide_id: int) -> list[LostCall]:
    """Return the calls that a slide has lost, oldest first; those whose picture or file a person called later are left out.

    Raises:
        UnknownSlide: there is no such slide.
    """
    query = (
        select(
            REVIEW.id, REVIEW.image_id, REVIEW.cell_class, REVIEW.reviewer, REVIEW.reason, REVIEW.reviewed_at,
            Image.folder, Image.filename, _SAME.id.label("same_picture"),
            _newest_review(_SAME.id).label("of_same_picture"), _newest_review(_NOW.id).label("of_file_now"),
        )
        .select_from(REVIEW)
        .join(Image, Image.id == REVIEW.image_id)
        .outerjoin(_SAME, _SAME_PICTURE)
        .outerjoin(_NOW, _FILE_NOW)
        .where(
            REVIEW.slide_id == slide_id,
            REVIEW.cell_class.is_not(None),
            IS_NEWEST_REVIEW,
            Image.state == ImageState.SUPERSEDED,
        )
        .order_by(REVIEW.id)
    )  # fmt: skip
    found: dict[tuple[str, int], LostCall] = {}
    with database.reading() as connection:
        require_slide(connection, slide_id)
        for row in connection.execute(query):
            later = row.of_file_now if row.same_picture is None else row.of_same_picture
            if (later or 0) > row.id:
                continue
            # Of several calls of one picture the newest one counts, as it would have without the changes.
            key = ("review", row.id) if row.same_picture is None else ("picture", row.same_picture)
            found[key] = LostCall(
                row.id, row.image_id, joined(row.folder, row.filename), ReviewClass(row.cell_class), row.reviewer,
                row.reason, row.reviewed_at, row.same_picture, row.of_same_picture,
            )  # fmt: skip
    return sorted(found.values(), key=lambda lost: lost.review_id)


def bring_back(database: Database, slide_id: int, *, reviewer: str) -> list[Review]:
    """Give the lost calls of a slide to the counted images with the very same bytes, in one action, and in a person's name.

    Returns:
        The new reviews.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewConflict: another person has called one of these images meanwhile; nothing was written.
        SlideSigned: the slide is signed.
        ReviewRefused: no call can be brought back.
    """
    lost = [one for one in lost_calls(database, slide_id) if one.same_picture is not None][:MOST_CHANGES]
    if not lost:
        raise ReviewRefused(
            f"no call of slide {slide_id} can be brought back: none of its counted images has the bytes of one that "
            "was called and has changed"
        )
    names = sorted({one.reviewer for one in lost})
    changes = [
        Change(one.same_picture, one.cell_class, one.seen_review_id) for one in lost if one.same_picture is not None
    ]
    reason = f"brought back: the same picture was called so before, by {_listed(names, ', ')}"
    return reclassify(database, changes, reviewer=reviewer, reason=reason)


def note_lost_calls(connection: Connection, image_ids: Sequence[int], now: datetime) -> int:
    """Note in the history of their slides which of some images, superseded just now, a person had called.

    The caller has locked the slides of the images (see `db.engine.locking`), and locks nothing afterwards.

    Returns:
        How many of the images a person had called.
    """
    rows = connection.execute(
        select(REVIEW.slide_id, REVIEW.cell_class, REVIEW.reviewer, Image.filename)
        .join(Image, Image.id == REVIEW.image_id)
        .where(REVIEW.image_id.in_(image_ids), REVIEW.cell_class.is_not(None), IS_NEWEST_REVIEW)
        .order_by(REVIEW.slide_id, Image.id)
    ).all()
    events = []
    for slide_id, of_slide in groupby(rows, key=lambda row: row.slide_id):
        lost = [f"{row.filename} (called {row.cell_class} by {row.reviewer})" for row in of_slide]
        text = (
            f"{len(lost)} image{'s' if len(lost) > 1 else ''} changed that a person had called: {_listed(lost, '; ')}"
        )
        events.append(
            {"slide_id": slide_id, "kind": SlideEventKind.CONTENT_CHANGED, "reviewer": WATCHER, "text": text, "at": now}
        )
    append(connection, SlideEventRow, events, by_person=False)
    return len(rows)


def _newest_review(image_id: InstrumentedAttribute[int]) -> ColumnElement[int | None]:
    newest = select(func.max(ReviewRow.id)).where(ReviewRow.image_id == image_id)
    return newest.correlate(_SAME, _NOW).scalar_subquery()


def _listed(texts: Sequence[str], between: str) -> str:
    more = f"{between}and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return between.join(texts[:_MOST_NAMED]) + more
