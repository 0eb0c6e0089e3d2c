"""Counting the images of slides, in a number of queries that does not depend on the number of slides."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.orm import aliased

from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL, IS_NEWEST_REVIEW, REVIEW
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import (
    IS_COUNTED,
    IS_MISSING,
    IS_SHARED,
    OPEN_STATES,
    Image,
    ImageState,
    Inbox,
    Model,
    ReviewRow,
    Slide,
)
from smearcount.differential.analyzer.labels import class_of_label
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.model import ModelIdentity
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, ReviewFacts, SlideTally

#: Columns that `tallies` needs of each slide.
SLIDE = (Slide.id, Slide.name, Slide.first_image_at, Slide.completed_at, Inbox.name.label("inbox"))
SlideRow = Row[int, str, datetime, datetime | None, str]

_Cells = dict[ReviewClass, int]
#: Numbers of cells by (class here, the analyzer's class), of those with a label that names a class.
_Labelled = dict[tuple[ReviewClass, ReviewClass], int]

#: Unlikeness is told in steps of 1/1000; a model's card gives its limit to 1/100. From so much on all images are equally unlike,
#: so that no number exceeds PostgreSQL's integers.
_STEPS, _MOST_UNLIKE = 1000, 1000

# The statements are built once: building them for every slide took longer than running them.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
# SQLite has no median, and sorting the cells in a window function would take as long again as counting them. So the same
# statement that counts them also lists their steps of unlikeness, and the median is found here.
_WITHIN = case((CALL.ood_score >= _MOST_UNLIKE, _MOST_UNLIKE), else_=CALL.ood_score)
_UNLIKENESS = func.aggregate_strings(cast(cast(_WITHIN * _STEPS, Integer), String), ",")
_CALL_KEY = (Image.slide_id, CALL.cell_class, CALL.identified, CALL.model_id)
_COUNTED = (Image.slide_id.in_(_IDS), IS_COUNTED)
# The index of a slide's images holds all that is needed of them but the label. To read the images for it takes half as long as
# all the rest, so that it is done only for slides that have labels.
_LOOKS = (func.count(CALL.sharpness), func.sum(CALL.colour_distance), func.sum(CALL.sharpness))
_CALLS = select(*_CALL_KEY, null(), func.count(), _UNLIKENESS, *_LOOKS).where(*_COUNTED).group_by(*_CALL_KEY)
_LABELLED_CALLS = (
    select(*_CALL_KEY, Image.analyzer_label, func.count(), _UNLIKENESS, *_LOOKS)
    .where(*_COUNTED)
    .group_by(*_CALL_KEY, Image.analyzer_label)
)
_ALL_CALLS = _CALLS.join(CALL, CALL.image_id == Image.id)
_ALL_LABELLED_CALLS = _LABELLED_CALLS.join(CALL, CALL.image_id == Image.id)
_NEWEST_CALLS = _LABELLED_CALLS.join(CALL, IS_CALL)


# An index holds the images with a label. Without the limit, PostgreSQL may read all of it.
_A_LABEL = select(Image.id).where(Image.slide_id == Slide.id, Image.analyzer_label.is_not(None)).limit(1)
_WITH_LABELS = select(Slide.id).where(Slide.id.in_(_IDS), _A_LABEL.correlate(Slide).scalar_subquery().is_not(None))
_LAST_REVIEWS = (
    select(ReviewRow.slide_id, func.max(ReviewRow.id)).where(ReviewRow.slide_id.in_(_IDS)).group_by(ReviewRow.slide_id)
)
_MOVED = (
    select(REVIEW.slide_id, AUTOMATIC_CLASS, REVIEW.cell_class, Image.analyzer_label, func.count())
    .join(Image, Image.id == REVIEW.image_id)
    .join(CALL, IS_CALL)
    .where(REVIEW.slide_id.in_(_IDS), REVIEW.cell_class.is_not(None), IS_NEWEST_REVIEW, IS_COUNTED)
    .group_by(REVIEW.slide_id, AUTOMATIC_CLASS, REVIEW.cell_class, Image.analyzer_label)
)
# Joined like this, SQLite begins with the slides and not with all signatures.
_SIGNED = (
    select(Slide.id)
    .outerjoin(SIGN_OFF, IS_SIGN_OFF)
    .where(Slide.id.in_(_IDS), func.coalesce(SIGN_OFF_HOLDS, false()).is_(true()))
)
_STATES = (
    select(Image.slide_id, Image.state, func.count())
    .where(Image.slide_id.in_(_IDS), Image.state != ImageState.DONE)
    .group_by(Image.slide_id, Image.state)
)
# Both are few, and found through indexes that hold nothing else.
_MISSING = (
    select(Image.slide_id, func.count().label("missing"), literal(0).label("shared"))
    .where(Image.slide_id.in_(_IDS), IS_MISSING, IS_COUNTED)
    .group_by(Image.slide_id)
)
_NOTED = union(
    select(Image.slide_id, Image.sha256).where(Image.slide_id.in_(_IDS), IS_SHARED, IS_COUNTED),
    select(Image.same_cells_in, Image.sha256).where(Image.same_cells_in.in_(_IDS), IS_SHARED, IS_COUNTED),
).subquery()
_MINE, _OTHER = aliased(Image, name="mine"), aliased(Image, name="other")
_DONE = literal(ImageState.DONE.value, literal_execute=True)
_SHARED = (
    select(_MINE.slide_id, literal(0), func.count())
    .join(_NOTED, (_NOTED.c.sha256 == _MINE.sha256) & (_NOTED.c.slide_id == _MINE.slide_id))
    .where(
        _MINE.state == _DONE,
        select(_OTHER.id)
        .join(Slide, Slide.id == _OTHER.slide_id)
        .where(
            _OTHER.sha256 == _MINE.sha256,
            _OTHER.slide_id != _MINE.slide_id,
            _OTHER.state == _DONE,
            Slide.withdrawn_at.is_(None),
        )
        .exists(),
    )
    .group_by(_MINE.slide_id)
)
_MISSING_AND_SHARED = union_all(_MISSING, _SHARED)
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


@dataclass
class _Called:
    """The counted cells of one slide, by the models' calls."""

    cells: _Cells = field(default_factory=lambda: defaultdict(int))
    model_ids: set[int] = field(default_factory=set)
    labelled: _Labelled = field(default_factory=lambda: defaultdict(int))
    #: In steps.
    unlikeness: list[int] = field(default_factory=list)
    #: Cells whose look is known, and the sums of their colour distances and their sharpness.
    looks: int = 0
    colour_distances: float = 0.0
    sharpness: float = 0.0

    @property
    def median_unlikeness(self) -> float | None:
        """The median; None if that of no cell is known."""
        return median(self.unlikeness) / _STEPS if self.unlikeness else None


@dataclass
class _Moved:
    """The counted cells of one slide that people have called, by their automatic class."""

    #: By (automatic class, a person's class).
    cells: dict[tuple[ReviewClass, ReviewClass], int] = field(default_factory=lambda: defaultdict(int))
    labelled: _Labelled = field(default_factory=lambda: defaultdict(int))


def tallies(connection: Connection, slides: Sequence[SlideRow]) -> list[BothTallies]:
    """Return the tallies of slides, in the order of the slides.

    Args:
        connection: of a transaction in which all queries see one state, such as `Database.reading`.
        slides: the columns in `SLIDE` of each.
    """
    ids = [slide.id for slide in slides]
    called = _automatic_calls(connection, ids)
    last_reviews = _last_reviews(connection, ids)
    moved = _moved_cells(connection, last_reviews)
    signed = set(connection.scalars(_SIGNED, {"ids": ids}))
    states = _states(connection, ids)
    missing, shared = _missing_and_shared(connection, ids)
    models = _models(connection, set().union(*(one.model_ids for one in called.values())))
    return [
        _both(
            slide,
            called[slide.id],
            moved[slide.id],
            states[slide.id],
            tuple(models[key] for key in sorted(called[slide.id].model_ids, reverse=True)),
            last_reviews.get(slide.id),
            is_signed=slide.id in signed,
            missing=missing[slide.id],
            shared=shared[slide.id],
        )
        for slide in slides
    ]


def _automatic_calls(connection: Connection, ids: Sequence[int]) -> dict[int, _Called]:
    """Return the counted cells of each slide."""
    with_labels = set(connection.scalars(_WITH_LABELS, {"ids": ids}))
    called = _calls(connection, _ALL_CALLS, [slide_id for slide_id in ids if slide_id not in with_labels])
    called.update(_calls(connection, _ALL_LABELLED_CALLS, list(with_labels)))
    # An image has one call of each model. So only a slide of several models can have calls that no longer count. To look for
    # newer calls in all slides would double the time that a list of slides takes.
    mixed = [slide_id for slide_id in ids if len(called[slide_id].model_ids) > 1]
    if mixed:
        called.update(_calls(connection, _NEWEST_CALLS, mixed))
    return called


def _calls(
    connection: Connection,
    query: Select[int | None, str, bool, int, str | None, int, str | None, int, float | None, float | None],
    ids: Sequence[int],
) -> dict[int, _Called]:
    found: dict[int, _Called] = defaultdict(_Called)
    if not ids:
        return found
    rows = connection.execute(query, {"ids": ids})
    for (
        slide_id,
        cell_class,
        identified,
        model_id,
        label,
        count,
        unlikeness,
        looks,
        colour_distances,
        sharpness,
    ) in rows:
        called = ReviewClass(cell_class) if identified else ReviewClass.UNIDENTIFIED
        slide = found[slide_id or 0]
        slide.cells[called] += count
        slide.model_ids.add(model_id)
        if unlikeness:
            slide.unlikeness += json.loads(f"[{unlikeness}]")  # twice as fast as splitting the text
        if looks:
            slide.looks += looks
            slide.colour_distances += colour_distances or 0.0
            slide.sharpness += sharpness or 0.0
        _add_labelled(slide.labelled, called, label, count)
    return found


def _add_labelled(labelled: _Labelled, called: ReviewClass, label: str | None, count: int) -> None:
    """Add cells to those with a label, if it names a class."""
    named = None if label is None else class_of_label(label)
    if named is not None:
        labelled[called, ReviewClass(named.value)] += count


def _last_reviews(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    return dict(connection.execute(_LAST_REVIEWS, {"ids": ids}).all())


def _moved_cells(connection: Connection, ids: Collection[int]) -> dict[int, _Moved]:
    """Return, by slide, the numbers of counted cells that people called.

    Reviews are far fewer than images. So the reviewed count is made from the automatic one by moving the reviewed cells.
    """
    moved: dict[int, _Moved] = defaultdict(_Moved)
    if not ids:
        return moved
    for slide_id, automatic, reviewed, label, count in connection.execute(_MOVED, {"ids": list(ids)}):
        before = ReviewClass(automatic)
        moved[slide_id].cells[before, ReviewClass(str(reviewed))] += count
        _add_labelled(moved[slide_id].labelled, before, label, count)
    return moved


def _states(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    states: dict[int, dict[str, int]] = defaultdict(dict)
    for slide_id, state, count in connection.execute(_STATES, {"ids": ids}):
        states[slide_id or 0][state] = count
    return states


def _missing_and_shared(connection: Connection, ids: Sequence[int]) -> tuple[Counter[int], Counter[int]]:
    """Return, by slide, the numbers of counted cells whose files are gone, and whose bytes another slide counts as well."""
    missing, shared = Counter[int](), Counter[int]()
    for slide_id, gone, elsewhere in connection.execute(_MISSING_AND_SHARED, {"ids": ids}):
        missing[slide_id or 0] += gone
        shared[slide_id or 0] += elsewhere
    return missing, shared


def _models(connection: Connection, ids: set[int]) -> dict[int, ModelIdentity]:
    rows = connection.execute(_MODELS, {"ids": sorted(ids)})
    return {model_id: ModelIdentity(name, version, sha256) for model_id, name, version, sha256 in rows}


def _both(  # noqa: PLR0913 (each is a number or table of its own)
    slide: SlideRow,
    called: _Called,
    moved: _Moved,
    states: dict[str, int],
    models: tuple[ModelIdentity, ...],
    last_review_id: int | None,
    *,
    is_signed: bool,
    missing: int,
    shared: int,
) -> BothTallies:
    reviewed: _Cells = defaultdict(int, called.cells)
    for (before, after), count in moved.cells.items():
        reviewed[before] -= count
        reviewed[after] += count

    def tally(calls: Calls, cells: _Cells, facts: ReviewFacts) -> SlideTally:
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
            missing=missing,
            shared=shared,
            calls=calls,
            review_facts=facts,
        )

    labelled, disagreeing = sum(called.labelled.values()), _disagreeing(called.labelled)
    unlikeness = called.median_unlikeness
    looks = called.looks
    colour_distance, sharpness = (called.colour_distances / looks, called.sharpness / looks) if looks else (None, None)
    by_model = ReviewFacts(
        unlikeness=unlikeness,
        colour_distance=colour_distance,
        sharpness=sharpness,
        labelled=labelled,
        disagreeing=disagreeing,
        is_signed=is_signed,
    )
    by_people = by_model
    if moved.cells:
        by_people = ReviewFacts(
            called_unidentified=sum(
                count for (_, after), count in moved.cells.items() if after is ReviewClass.UNIDENTIFIED
            ),
            unlikeness=unlikeness,
            colour_distance=colour_distance,
            sharpness=sharpness,
            labelled=labelled,
            disagreeing=disagreeing - _disagreeing(moved.labelled),
            added=_added(called.cells, reviewed),
            is_signed=is_signed,
        )
    return BothTallies(
        tally(Calls.AUTOMATIC, called.cells, by_model),
        # Without any call of a person, the numbers are the model's alone, and are labelled so.
        tally(Calls.REVIEWED if moved.cells else Calls.AUTOMATIC, reviewed, by_people),
        sum(moved.cells.values()),
        last_review_id,
    )


def _disagreeing(labelled: _Labelled) -> int:
    """Return the number of cells in another class than the analyzer's; an unidentified cell is in none."""
    return sum(count for (here, named), count in labelled.items() if here not in {named, ReviewClass.UNIDENTIFIED})


def _added(automatic: _Cells, reviewed: _Cells) -> dict[CellClass, int]:
    """Return the numbers of cells in the classes that people alone have found."""
    found = {one: reviewed.get(ReviewClass(one.value), 0) for one in CellClass}
    return {one: count for one, count in found.items() if count and not automatic.get(ReviewClass(one.value), 0)}
