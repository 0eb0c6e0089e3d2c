"""How far the inboxes are: their rows, and how many of their images are in which state."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, true

from smearcount.db.engine.database import Database
from smearcount.db.records import InboxLine, Progress
from smearcount.db.schema import IS_CURRENT, IS_OPEN, Image, ImageState, Inbox, Slide

#: Span over which the rate of finished images is measured, in seconds.
RATE_SECONDS = 60


def inbox_lines(database: Database) -> list[InboxLine]:
    """Return all inboxes that have ever been watched, the first one first."""
    columns = (Inbox.name, Inbox.root, Inbox.watched_at, Inbox.scanned_at, Inbox.arriving, Inbox.ignored_kinds)
    with database.reading() as connection:
        return [InboxLine(*row) for row in connection.execute(select(*columns).order_by(Inbox.id))]


def progress(database: Database, *, inbox: str | None = None) -> Progress:
    """Return how many images and slides of an inbox, or of all, are in which state; this counts all of its images."""
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
        slides_query = select(func.count(), func.count(Slide.completed_at)).where(
            Slide.withdrawn_at.is_(None), Slide.renamed_to.is_(None)
        )
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


def deep_slides(database: Database, *, inbox: str | None = None, completed_after: datetime | None = None) -> list[str]:
    """Return the names of slides of which present images lie more than one folder below the slide's own folder, sorted.

    It is for inboxes in which the first folder names the slide: there, several slides that were moved into one folder of an
    archive, or several exports of one patient, are counted as one slide.

    Args:
        database: where slides are kept.
        inbox: name of an inbox; None for all inboxes.
        completed_after: only slides that were completed after this moment (UTC); None for all slides.
    """
    lies_deep = select(Image.id).where(
        Image.slide_id == Slide.id, IS_CURRENT, Image.missing_since.is_(None), Image.folder.like("%/%/%")
    )
    query = select(Slide.name).where(lies_deep.exists(), Slide.withdrawn_at.is_(None)).order_by(Slide.name)
    if inbox is not None:
        query = query.join(Inbox, Inbox.id == Slide.inbox_id).where(Inbox.name == inbox)
    if completed_after is not None:
        query = query.where(Slide.completed_at > completed_after)
    with database.reading() as connection:
        return list(connection.execute(query).scalars())
