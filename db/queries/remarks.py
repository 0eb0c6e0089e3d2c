"""What people wrote about slides and which cells they took out of the count, in two queries however many slides there are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from smearcount.db.engine.database import Database
from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL
from smearcount.db.schema import FOUND_BY_WATCHER, Image, ImageState, ReviewRow, SlideEventRow
from smearcount.differential.classes import ReviewClass
from smearcount.differential.counts_document import REVIEW_REMARK, ExcludedCell, Remark, RemarkedCell
from smearcount.differential.forms.remarks import Remarks

_ReviewRow = Row[*tuple[Any, ...]]


def slide_remarks(
    database: Database, last_reviews: Mapping[int, int | None], *, last_events: Mapping[int, int] | None = None
) -> dict[int, Remarks]:
    """Return the remarks on slides by their ids; a slide that nobody wrote about has empty ones.

    Args:
        database: where slides are kept.
        last_reviews: by slide, the newest review that the counts know to which the remarks belong, None without any. Later
            reviews are left out, so that the excluded cells are those of the counts.
        last_events: by slide, the newest slide event that is told; None tells all.
    """
    ids = list(last_reviews)
    said: dict[int, list[Remark]] = defaultdict(list)
    excluded: dict[int, list[ExcludedCell]] = defaultdict(list)
    with database.reading() as connection:
        for slide_id, reviews in _reviews(connection, ids).items():
            known = [review for review in reviews if review.id <= (last_reviews[slide_id] or 0)]
            standing = _standing(known)
            said[slide_id] += _reasons(known, standing)
            excluded[slide_id] += _excluded(standing.values())
        for event in connection.execute(
            select(
                SlideEventRow.id,
                SlideEventRow.slide_id,
                SlideEventRow.kind,
                SlideEventRow.reviewer,
                SlideEventRow.text,
                SlideEventRow.at,
            )
            .where(
                SlideEventRow.slide_id.in_(ids),
                SlideEventRow.text.is_not(None),
                SlideEventRow.kind.not_in(FOUND_BY_WATCHER),
            )
            .order_by(SlideEventRow.id)
        ):
            if last_events is not None and event.id > last_events[event.slide_id]:
                continue
            said[event.slide_id].append(
                Remark(kind=event.kind, reviewer=event.reviewer, at=event.at, text=event.text, cells=())
            )
    return {
        slide_id: Remarks(
            said=tuple(sorted(said[slide_id], key=lambda remark: remark.at)), excluded=tuple(excluded[slide_id])
        )
        for slide_id in ids
    }


def _reviews(connection: Connection, slide_ids: list[int]) -> dict[int, list[_ReviewRow]]:
    """Return all reviews of slides by slide, oldest first, each with the state and the automatic class of its image."""
    found: dict[int, list[_ReviewRow]] = defaultdict(list)
    rows = connection.execute(
        select(ReviewRow, Image.state, AUTOMATIC_CLASS.label("automatic"))
        .join(Image, Image.id == ReviewRow.image_id)
        .outerjoin(CALL, IS_CALL)
        .where(ReviewRow.slide_id.in_(slide_ids))
        .order_by(ReviewRow.id)
    )
    for row in rows:
        found[row.slide_id].append(row)
    return found


def _standing(reviews: Iterable[_ReviewRow]) -> dict[int, _ReviewRow]:
    """Return the review that counts of each image, the last one that was not undone; images without any are left out."""
    of_image: dict[int, list[_ReviewRow]] = defaultdict(list)
    for review in reviews:
        if review.undoes is None:
            of_image[review.image_id].append(review)
        else:
            of_image[review.image_id] = [one for one in of_image[review.image_id] if one.id != review.undoes]
    return {image_id: standing[-1] for image_id, standing in of_image.items() if standing}


def _reasons(reviews: Iterable[_ReviewRow], standing: Mapping[int, _ReviewRow]) -> list[Remark]:
    """Return the reasons of reviews, one for each action, whether its calls still count or not."""
    actions: dict[str, list[_ReviewRow]] = defaultdict(list)
    for review in reviews:
        if review.reason is not None:
            actions[review.action].append(review)
    return [
        Remark(
            kind=REVIEW_REMARK,
            reviewer=of_action[0].reviewer,
            at=of_action[0].reviewed_at,
            text=of_action[0].reason,
            cells=tuple(
                RemarkedCell(
                    cell=review.image_id,
                    reviewed=None if review.cell_class is None else ReviewClass(review.cell_class),
                    holds=_is_counted(review) and standing.get(review.image_id) is review,
                )
                for review in of_action
            ),
        )
        for of_action in actions.values()
    ]


def _excluded(standing: Iterable[_ReviewRow]) -> list[ExcludedCell]:
    """Return the cells that count in no class by what a person said, in the order of their ids."""
    cells = [
        ExcludedCell(
            cell=review.image_id,
            automatic=ReviewClass(review.automatic),
            reviewed=ReviewClass(review.cell_class),
            reviewer=review.reviewer,
            at=review.reviewed_at,
            reason=review.reason,
        )
        for review in standing
        if _is_counted(review) and review.cell_class is not None and ReviewClass(review.cell_class).cell_class is None
    ]
    return sorted(cells, key=lambda cell: cell.cell)


def _is_counted(review: _ReviewRow) -> bool:
    return bool(review.state == ImageState.DONE)
