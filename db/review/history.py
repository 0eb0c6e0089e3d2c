"""Everything that people ever said of images, read back in order."""

from collections import defaultdict

from sqlalchemy import ColumnElement, Connection, select

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import is_key
from smearcount.db.errors import UnknownImage
from smearcount.db.review.checks import require_slide
from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL
from smearcount.db.review.records import Conflict, Review
from smearcount.db.schema import Image, ReviewRow
from smearcount.differential.classes import ReviewClass


def history(database: Database, image_id: int) -> list[Review]:
    """Return all reviews of an image, oldest first.

    Raises:
        UnknownImage: there is no such image.
    """
    with database.reading() as connection:
        is_known = is_key(image_id) and connection.execute(select(Image.id).where(Image.id == image_id)).first()
        if not is_known:
            raise UnknownImage(f"there is no image {image_id}")
        return reviews_by_image(connection, ReviewRow.image_id == image_id)[image_id]


def slide_history(database: Database, slide_id: int) -> list[Review]:
    """Return all reviews of a slide's images, oldest first.

    Raises:
        UnknownSlide: there is no such slide.
    """
    with database.reading() as connection:
        require_slide(connection, slide_id)
        by_image = reviews_by_image(connection, ReviewRow.slide_id == slide_id)
    return sorted((review for reviews in by_image.values() for review in reviews), key=lambda review: review.id)


def conflicts_since(connection: Connection, slide_id: int, review_id: int) -> list[Conflict]:
    """Return what people said of a slide's images after a review, for a reviewer who saw nothing later than that one."""
    by_image = reviews_by_image(connection, (ReviewRow.slide_id == slide_id) & (ReviewRow.id > review_id))
    return [Conflict(image_id, tuple(reviews)) for image_id, reviews in sorted(by_image.items())]


def reviews_by_image(connection: Connection, condition: ColumnElement[bool]) -> defaultdict[int, list[Review]]:
    """Return the reviews to which a condition applies by image, oldest first; other images have an empty list."""
    found: defaultdict[int, list[Review]] = defaultdict(list)
    rows = connection.execute(
        select(ReviewRow, AUTOMATIC_CLASS.label("automatic"))
        .join(Image, Image.id == ReviewRow.image_id)
        .outerjoin(CALL, IS_CALL)
        .where(condition)
        .order_by(ReviewRow.id)
    )
    for row in rows:
        found[row.image_id].append(
            Review(
                row.id, row.action, row.image_id, row.slide_id,
                ReviewClass(row.cell_class) if row.cell_class else None,
                ReviewClass(row.was), ReviewClass(row.cell_class or row.automatic),
                row.reviewer, row.reason, row.reviewed_at, row.undoes,
            )
        )  # fmt: skip
    return found
