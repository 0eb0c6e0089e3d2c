"""What people ask: the tally of a slide or of all, where the images are, and why some were refused."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnClause, Connection, Row, and_, func, literal_column, not_, select, true
from sqlalchemy import table as sql_table
from sqlalchemy.orm import aliased

from db.database import Database
from db.errors import UnknownSlide
from db.names import joined
from db.records import ImageLine, InboxLine, Progress
from db.schema import IS_OPEN, OPEN_STATES, Classification, Image, ImageState, Inbox, Model, Slide
from differential.classes import CellClass
from differential.tally import ModelIdentity, SlideStatus, SlideTally

#: The span over which the rate is measured.
RATE_SECONDS = 60

# The view holds the rule of which call counts; see the first migration.
_CALLS = sql_table("automatic_calls")
_SLIDES_PER_QUERY = 500
_SLIDE = (Slide.id, Slide.name, Slide.first_image_at, Slide.completed_at, Inbox.name.label("inbox"))
_SlideRow = Row[int, str, datetime, datetime | None, str]


@dataclass(frozen=True)
class InboxTally:
    """A slide's tally and the inbox it came from."""

    inbox: str
    tally: SlideTally


def slide_tally(database: Database, slide: str, *, inbox: str | None = None) -> SlideTally:
    """Return the tally of one slide.

    Raises:
        UnknownSlide: no slide has that name, or slides of several inboxes have it and `inbox` does not say which.
    """
    with database.reading() as connection:
        row = _find_slide(connection, slide, inbox)
        return _tallies(connection, [row])[0].tally


def slide_tallies(
    database: Database, *, inbox: str | None = None, completed_after: datetime | None = None
) -> list[InboxTally]:
    """Return the tallies of all slides, of one inbox, or completed after a moment, by the time their first image came."""
    with database.reading() as connection:
        query = select(*_SLIDE).join(Inbox).order_by(Slide.first_image_at, Slide.name)
        if inbox is not None:
            query = query.where(Inbox.name == inbox)
        if completed_after is not None:
            query = query.where(Slide.completed_at > completed_after)
        rows = connection.execute(query).all()
        return [
            line
            for start in range(0, len(rows), _SLIDES_PER_QUERY)
            for line in _tallies(connection, rows[start : start + _SLIDES_PER_QUERY])
        ]


def image_lines(
    database: Database,
    *,
    slide: str | None = None,
    inbox: str | None = None,
    states: Collection[ImageState] = (),
    limit: int | None = None,
) -> list[ImageLine]:
    """Return the images of a slide, or of all, in the order they came; superseded ones only when asked for by state.

    Raises:
        UnknownSlide: see `slide_tally`.
    """
    call, newer, counted = aliased(Classification), aliased(Classification), aliased(Image)
    query = (
        select(
            Image.id, Slide.name.label("slide"), Image.folder, Image.filename, Image.state, call.cell_class,
            call.confidence, call.identified, Model.threshold, call.unlikeness, Image.analyzer_label,
            Image.attempts, Image.reason_code, Image.reason,
            counted.folder.label("counted_folder"), counted.filename.label("counted_filename"),
            Image.seen_at, Image.finished_at,
        )
        .join(Inbox, Inbox.id == Image.inbox_id)
        .outerjoin(Slide, Slide.id == Image.slide_id)
        .outerjoin(call, and_(
            call.image_id == Image.id,
            not_(select(newer.id).where(newer.image_id == call.image_id, newer.id > call.id).exists()),
        ))
        .outerjoin(Model, Model.id == call.model_id)
        .outerjoin(counted, counted.id == Image.duplicate_of)
        .order_by(Image.id)
    )  # fmt: skip
    query = query.where(Image.state.in_(states) if states else Image.state != ImageState.SUPERSEDED)
    if inbox is not None:
        query = query.where(Inbox.name == inbox)
    if limit is not None:
        query = query.limit(limit)
    with database.reading() as connection:
        if slide is not None:
            query = query.where(Image.slide_id == _find_slide(connection, slide, inbox).id)
        return [_image_line(row) for row in connection.execute(query)]


def progress(database: Database, *, inbox: str | None = None) -> Progress:
    """Return where all images are."""
    now = datetime.now(UTC)
    with database.reading() as connection:
        only = Image.inbox_id.in_(select(Inbox.id).where(Inbox.name == inbox)) if inbox else true()
        by_state = {
            str(state): count
            for state, count in connection.execute(select(Image.state, func.count()).where(only).group_by(Image.state))
        }
        oldest = connection.execute(select(func.min(Image.seen_at)).where(only, IS_OPEN)).scalar_one()
        recent = connection.execute(
            select(func.count(), func.min(Image.finished_at)).where(
                only,
                Image.finished_at >= now - timedelta(seconds=RATE_SECONDS),
                Image.state.in_([ImageState.DONE, ImageState.DUPLICATE, ImageState.QUARANTINED]),
            )
        ).one()
        slides_query = select(func.count(), func.count(Slide.completed_at))
        if inbox is not None:
            slides_query = slides_query.where(Slide.inbox_id.in_(select(Inbox.id).where(Inbox.name == inbox)))
        slides, complete = connection.execute(slides_query).one()
    seconds = max((now - recent[1]).total_seconds(), 1.0) if recent[1] else RATE_SECONDS
    return Progress(
        pending=by_state.get(ImageState.PENDING, 0),
        queued=by_state.get(ImageState.QUEUED, 0),
        done=by_state.get(ImageState.DONE, 0),
        duplicates=by_state.get(ImageState.DUPLICATE, 0),
        quarantined=by_state.get(ImageState.QUARANTINED, 0),
        superseded=by_state.get(ImageState.SUPERSEDED, 0),
        slides=slides,
        slides_complete=complete,
        rate_per_second=recent[0] / seconds,
        oldest_pending_at=oldest,
    )


def inbox_lines(database: Database) -> list[InboxLine]:
    """Return the inboxes that have ever been watched."""
    columns = (Inbox.name, Inbox.root, Inbox.watched_at, Inbox.scanned_at, Inbox.arriving)
    with database.reading() as connection:
        return [InboxLine(*row) for row in connection.execute(select(*columns).order_by(Inbox.id))]


def find_slide_id(database: Database, slide: str, *, inbox: str | None = None) -> int:
    """Return the id of a slide.

    Raises:
        UnknownSlide: see `slide_tally`.
    """
    with database.reading() as connection:
        return int(_find_slide(connection, slide, inbox).id)


def _find_slide(connection: Connection, name: str, inbox: str | None) -> _SlideRow:
    query = select(*_SLIDE).join(Inbox).where(Slide.name == name)
    if inbox is not None:
        query = query.where(Inbox.name == inbox)
    rows = connection.execute(query).all()
    if not rows:
        raise UnknownSlide(f"no slide named {name!r} has been seen; the command slides lists them")
    if len(rows) > 1:
        inboxes = ", ".join(row.inbox for row in rows)
        raise UnknownSlide(f"slides of several inboxes are named {name!r} ({inboxes}); say which with --inbox")
    return rows[0]


def _tallies(connection: Connection, slides: Sequence[_SlideRow]) -> list[InboxTally]:
    ids = [slide.id for slide in slides]
    cells: dict[int, dict[CellClass, int]] = defaultdict(dict)
    unidentified: dict[int, int] = defaultdict(int)
    model_ids: dict[int, set[int]] = defaultdict(set)
    columns: list[ColumnClause[Any]] = [
        literal_column(name) for name in ("slide_id", "cell_class", "identified", "model_id")
    ]
    calls = connection.execute(
        select(*columns, func.count()).select_from(_CALLS).where(columns[0].in_(ids)).group_by(*columns)
    )
    for slide_id, cell_class, identified, model_id, count in [tuple(row) for row in calls]:
        model_ids[slide_id].add(model_id)
        if identified:
            of_slide = cells[slide_id]
            of_slide[CellClass(cell_class)] = of_slide.get(CellClass(cell_class), 0) + count
        else:
            unidentified[slide_id] += count
    states: dict[int, dict[str, int]] = defaultdict(dict)
    for slide_id, state, count in connection.execute(
        select(Image.slide_id, Image.state, func.count())
        .where(Image.slide_id.in_(ids), Image.state != ImageState.DONE)
        .group_by(Image.slide_id, Image.state)
    ):
        states[slide_id or 0][state] = count
    models = _models(connection, set().union(*model_ids.values()))
    return [
        InboxTally(
            slide.inbox,
            SlideTally(
                slide=slide.name,
                status=SlideStatus.COMPLETE if slide.completed_at else SlideStatus.COUNTING,
                models=tuple(models[key] for key in sorted(model_ids[slide.id], reverse=True)),
                cells=cells[slide.id],
                unidentified=unidentified[slide.id],
                quarantined=states[slide.id].get(ImageState.QUARANTINED, 0),
                duplicates=states[slide.id].get(ImageState.DUPLICATE, 0),
                pending=sum(states[slide.id].get(state, 0) for state in OPEN_STATES),
                first_image_at=slide.first_image_at,
                completed_at=slide.completed_at,
            ),
        )
        for slide in slides
    ]


def _models(connection: Connection, ids: set[int]) -> dict[int, ModelIdentity]:
    rows = connection.execute(select(Model.id, Model.name, Model.version, Model.sha256).where(Model.id.in_(ids)))
    return {model_id: ModelIdentity(name, version, sha256) for model_id, name, version, sha256 in rows}


def _image_line(row: Row[*tuple[Any, ...]]) -> ImageLine:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to the columns' names)
    folder, filename = values.pop("folder"), values.pop("filename")
    counted_folder, counted_filename = values.pop("counted_folder"), values.pop("counted_filename")
    return ImageLine(
        **values | {"state": ImageState(values["state"])},
        path=joined(folder, filename),
        duplicate_of=joined(counted_folder, counted_filename) if counted_filename is not None else None,
    )
