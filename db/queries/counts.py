"""What people ask: the tally of a slide or of all, where the images are, and why some were refused."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select, true
from sqlalchemy.orm import aliased

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.queries.tallies import SLIDE, SlideRow, tallies
from smearcount.db.records import ImageLine, InboxLine, Progress
from smearcount.db.review.effective_calls import CALL, IS_CALL
from smearcount.db.schema import IS_OPEN, Image, ImageState, Inbox, Model, Slide
from smearcount.differential.tally import Calls, SlideTally
from smearcount.inbox.paths import joined

#: The span over which the rate is measured.
RATE_SECONDS = 60

_SLIDES_PER_QUERY = 500


@dataclass(frozen=True)
class InboxTally:
    """A slide's tally and the inbox it came from."""

    inbox: str
    tally: SlideTally


def slide_tally(
    database: Database, slide: str, *, inbox: str | None = None, calls: Calls = Calls.AUTOMATIC
) -> SlideTally:
    """Return the tally of one slide, by the models' calls alone or with those of people.

    Raises:
        UnknownSlide: no slide has that name, or slides of several inboxes have it and `inbox` does not say which.
    """
    with database.reading() as connection:
        row = _find_slide(connection, slide, inbox)
        return tallies(connection, [row])[0].by(calls)


def slide_tallies(
    database: Database,
    *,
    inbox: str | None = None,
    completed_after: datetime | None = None,
    calls: Calls = Calls.AUTOMATIC,
) -> list[InboxTally]:
    """Return the tallies of all slides, of one inbox, or completed after a moment, by the time their first image came."""
    with database.reading() as connection:
        query = select(*SLIDE).join(Inbox).order_by(Slide.first_image_at, Slide.name)
        if inbox is not None:
            query = query.where(Inbox.name == inbox)
        if completed_after is not None:
            query = query.where(Slide.completed_at > completed_after)
        rows = connection.execute(query).all()
        parts = [rows[start : start + _SLIDES_PER_QUERY] for start in range(0, len(rows), _SLIDES_PER_QUERY)]
        return [
            InboxTally(row.inbox, both.by(calls))
            for part in parts
            for row, both in zip(part, tallies(connection, part), strict=True)
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
    counted = aliased(Image)
    query = (
        select(
            Image.id, Slide.name.label("slide"), Image.folder, Image.filename, Image.state, CALL.cell_class,
            CALL.confidence, CALL.identified, Model.threshold, CALL.unlikeness, Image.analyzer_label,
            Image.attempts, Image.reason_code, Image.reason,
            counted.folder.label("counted_folder"), counted.filename.label("counted_filename"),
            Image.seen_at, Image.finished_at,
        )
        .join(Inbox, Inbox.id == Image.inbox_id)
        .outerjoin(Slide, Slide.id == Image.slide_id)
        .outerjoin(CALL, IS_CALL)
        .outerjoin(Model, Model.id == CALL.model_id)
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


def _find_slide(connection: Connection, name: str, inbox: str | None) -> SlideRow:
    query = select(*SLIDE).join(Inbox).where(Slide.name == name)
    if inbox is not None:
        query = query.where(Inbox.name == inbox)
    rows = connection.execute(query).all()
    if not rows:
        raise UnknownSlide(f"no slide named {name!r} has been seen; the command slides lists them")
    if len(rows) > 1:
        inboxes = ", ".join(row.inbox for row in rows)
        raise UnknownSlide(f"slides of several inboxes are named {name!r} ({inboxes}); say which with --inbox")
    return rows[0]


def _image_line(row: Row[*tuple[Any, ...]]) -> ImageLine:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to the columns' names)
    folder, filename = values.pop("folder"), values.pop("filename")
    counted_folder, counted_filename = values.pop("counted_folder"), values.pop("counted_filename")
    return ImageLine(
        **values | {"state": ImageState(values["state"])},
        path=joined(folder, filename),
        duplicate_of=joined(counted_folder, counted_filename) if counted_filename is not None else None,
    )
