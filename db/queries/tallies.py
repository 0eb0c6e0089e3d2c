"""Counting the images of slides, in a number of queries that does not depend on the number of slides."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, func, select

from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL, IS_NEWEST_REVIEW, REVIEW
from smearcount.db.schema import IS_COUNTED, OPEN_STATES, Image, ImageState, Inbox, Model, ReviewRow, Slide
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.model import ModelIdentity
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, SlideTally

#: Columns that `tallies` needs of each slide.
SLIDE = (Slide.id, Slide.name, Slide.first_image_at, Slide.completed_at, Inbox.name.label("inbox"))
SlideRow = Row[int, str, datetime, datetime | None, str]

_Cells = dict[ReviewClass, int]

# The statements are built once: building them for every slide took longer than running them.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_CALL_KEY = (Image.slide_id, CALL.cell_class, CALL.identified, CALL.model_id)
_CALLS = select(*_CALL_KEY, func.count()).where(Image.slide_id.in_(_IDS), IS_COUNTED).group_by(*_CALL_KEY)
_ALL_CALLS = _CALLS.join(CALL, CALL.image_id == Image.id)
_NEWEST_CALLS = _CALLS.join(CALL, IS_CALL)
_LAST_REVIEWS = (
    select(ReviewRow.slide_id, func.max(ReviewRow.id)).where(ReviewRow.slide_id.in_(_IDS)).group_by(ReviewRow.slide_id)
)
_MOVED = (
    select(REVIEW.slide_id, AUTOMATIC_CLASS, REVIEW.cell_class, func.count())
    .join(Image, Image.id == REVIEW.image_id)
    .join(CALL, IS_CALL)
    .where(REVIEW.slide_id.in_(_IDS), REVIEW.cell_class.is_not(None), IS_NEWEST_REVIEW, IS_COUNTED)
    .group_by(REVIEW.slide_id, AUTOMATIC_CLASS, REVIEW.cell_class)
)
_STATES = (
    select(Image.slide_id, Image.state, func.count())
    .where(Image.slide_id.in_(_IDS), Image.state != ImageState.DONE)
    .group_by(Image.slide_id, Image.state)
)
_MODELS = select(Model.id, Model.name, Model.version, Model.sha256).where(Model.id.in_(_IDS))


@dataclass(frozen=True)
class BothTallies:
    """A slide, counted by the models' calls alone and with people's calls in their place."""

    automatic: SlideTally
    reviewed: SlideTally
    #: Counted cells that a person has called.
    reviewed_cells: int
    #: Newest review of the slide; None if there is none.
    last_review_id: int | None

    def by(self, calls: Calls) -> SlideTally:
        """Return the tally by these calls."""
        return self.reviewed if calls is Calls.REVIEWED else self.automatic


def tallies(connection: Connection, slides: Sequence[SlideRow]) -> list[BothTallies]:
    """Return the tallies of slides, in the order of the slides.

    Args:
        connection: of a transaction in which all queries see one state, such as `Database.reading`.
        slides: the columns in `SLIDE` of each.
    """
    ids = [slide.id for slide in slides]
    cells, model_ids = _automatic_cells(connection, ids)
    last_reviews = _last_reviews(connection, ids)
    moved = _moved_cells(connection, last_reviews)
    states = _states(connection, ids)
    models = _models(connection, set().union(*model_ids.values()))
    return [
        _both(
            slide,
            cells[slide.id],
            moved[slide.id],
            states[slide.id],
            tuple(models[key] for key in sorted(model_ids[slide.id], reverse=True)),
            last_reviews.get(slide.id),
        )
        for slide in slides
    ]


def _automatic_cells(connection: Connection, ids: Sequence[int]) -> tuple[dict[int, _Cells], dict[int, set[int]]]:
    """Return, by slide, the number of cells in each class and the ids of the models that called them."""
    cells, model_ids = _calls(connection, _ALL_CALLS, ids)
    # An image has one call of each model. So only a slide of several models can have calls that no longer count. To look for
    # newer calls in all slides would double the time that a list of slides takes.
    mixed = [slide_id for slide_id in ids if len(model_ids[slide_id]) > 1]
    if mixed:
        newest = _calls(connection, _NEWEST_CALLS, mixed)
        cells.update(newest[0])
        model_ids.update(newest[1])
    return cells, model_ids


def _calls(
    connection: Connection, query: Select[int | None, str, bool, int, int], ids: Sequence[int]
) -> tuple[dict[int, _Cells], dict[int, set[int]]]:
    cells: dict[int, _Cells] = defaultdict(lambda: defaultdict(int))
    model_ids: dict[int, set[int]] = defaultdict(set)
    for slide_id, cell_class, identified, model_id, count in connection.execute(query, {"ids": ids}):
        called = ReviewClass(cell_class) if identified else ReviewClass.UNIDENTIFIED
        cells[slide_id or 0][called] += count
        model_ids[slide_id or 0].add(model_id)
    return cells, model_ids


def _last_reviews(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    return dict(connection.execute(_LAST_REVIEWS, {"ids": ids}).all())


def _moved_cells(connection: Connection, ids: Collection[int]) -> dict[int, dict[tuple[ReviewClass, ReviewClass], int]]:
    """Return, by slide, the numbers of counted cells that people called, by (automatic class, a person's class).

    Reviews are far fewer than images. So the reviewed count is made from the automatic one by moving the reviewed cells.
    """
    moved: dict[int, dict[tuple[ReviewClass, ReviewClass], int]] = defaultdict(dict)
    if not ids:
        return moved
    for slide_id, automatic, reviewed, count in connection.execute(_MOVED, {"ids": list(ids)}):
        moved[slide_id][ReviewClass(automatic), ReviewClass(str(reviewed))] = count
    return moved


def _states(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    states: dict[int, dict[str, int]] = defaultdict(dict)
    for slide_id, state, count in connection.execute(_STATES, {"ids": ids}):
        states[slide_id or 0][state] = count
    return states


def _models(connection: Connection, ids: set[int]) -> dict[int, ModelIdentity]:
    rows = connection.execute(_MODELS, {"ids": sorted(ids)})
    return {model_id: ModelIdentity(name, version, sha256) for model_id, name, version, sha256 in rows}


def _both(
    slide: SlideRow,
    automatic: _Cells,
    moved: dict[tuple[ReviewClass, ReviewClass], int],
    states: dict[str, int],
    models: tuple[ModelIdentity, ...],
    last_review_id: int | None,
) -> BothTallies:
    reviewed: _Cells = defaultdict(int, automatic)
    for (before, after), count in moved.items():
        reviewed[before] -= count
        reviewed[after] += count

    def tally(calls: Calls, cells: _Cells) -> SlideTally:
        return SlideTally(
            slide=slide.name,
            status=SlideStatus.COMPLETE if slide.completed_at else SlideStatus.COUNTING,
            models=models,
            cells={cell_class: cells.get(ReviewClass(cell_class.value), 0) for cell_class in CellClass},
            unidentified=cells.get(ReviewClass.UNIDENTIFIED, 0),
            quarantined=states.get(ImageState.QUARANTINED, 0),
            duplicates=states.get(ImageState.DUPLICATE, 0),
            pending=sum(states.get(state, 0) for state in OPEN_STATES),
            first_image_at=slide.first_image_at,
            completed_at=slide.completed_at,
            calls=calls,
        )

    return BothTallies(
        tally(Calls.AUTOMATIC, automatic),
        # Without any call of a person, the numbers are the model's alone, and are labelled so.
        tally(Calls.REVIEWED if moved else Calls.AUTOMATIC, reviewed),
        sum(moved.values()),
        last_review_id,
    )
