"""How signatures ended that nobody took back: by new content in the slide, and what came.

It is derived, not stored: a signature that does not hold any more, and was not reopened, was ended by files. Those that have
come since have greater ids than the newest image at the time of the sign-off: images are stored under their slide's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select
from sqlalchemy.orm import aliased

from smearcount.db.schema import IS_CURRENT, Image, ImageState, Slide, SlideEventKind

_Event = Row[*tuple[Any, ...]]

_LEFT = aliased(Image, name="left_behind")


@dataclass(frozen=True, slots=True)
class SignatureEnd:
    """What ended a signature; all numbers are 0 if files that were there before were only read anew."""

    #: Files that came to the slide.
    came: int
    #: Files of the slide that were overwritten.
    changed: int
    #: Files of the slide whose new version belongs to another slide, or to none.
    gone: int
    #: When (UTC) the first of them was seen; None if there is none.
    at: datetime | None


def signature_ends(connection: Connection, slide_id: int, events: Sequence[_Event]) -> dict[int, SignatureEnd]:
    """Return, by the id of its sign-off, how each signature ended that new content in the slide has ended.

    Args:
        connection: of a reading transaction.
        slide_id: the slide.
        events: all rows of its events, oldest first.
    """
    decisions = [event for event in events if event.kind != SlideEventKind.COMMENT]
    ended: list[tuple[_Event, _Event | None]] = []
    for number, event in enumerate(decisions):
        if event.kind != SlideEventKind.SIGN_OFF:
            continue
        if number + 1 < len(decisions):
            # Nobody can sign a slide whose signature holds.
            if decisions[number + 1].kind == SlideEventKind.SIGN_OFF:
                ended.append((event, decisions[number + 1]))
        elif event.completed_at != _completed_at(connection, slide_id):
            ended.append((event, None))
    return {event.id: _end(connection, slide_id, event, following) for event, following in ended}


def _completed_at(connection: Connection, slide_id: int) -> datetime | None:
    return connection.execute(select(Slide.completed_at).where(Slide.id == slide_id)).scalar_one()


def _end(connection: Connection, slide_id: int, event: _Event, following: _Event | None) -> SignatureEnd:
    last = _last_image_id(connection, slide_id, event)
    after: ColumnElement[bool] = Image.id > last
    if event.last_image_id is None:
        after = and_(after, Image.seen_at > event.at)
    if following is not None:
        after = and_(after, Image.id <= _last_image_id(connection, slide_id, following))
    rows = connection.execute(
        select(Image.folder, Image.filename, Image.seen_at, after.label("is_new")).where(Image.slide_id == slide_id)
    ).all()
    known = {(row.folder, row.filename) for row in rows if not row.is_new}
    new = {(row.folder, row.filename) for row in rows if row.is_new}
    times = [row.seen_at for row in rows if row.is_new]
    # The newest version of a path is found by the index of current paths.
    gone, first_gone = connection.execute(
        select(func.count(), func.min(Image.seen_at))
        .select_from(_LEFT)
        .join(
            Image,
            and_(
                Image.inbox_id == _LEFT.inbox_id,
                Image.folder == _LEFT.folder,
                Image.filename == _LEFT.filename,
                IS_CURRENT,
            ),
        )
        .where(
            _LEFT.slide_id == slide_id,
            _LEFT.state == ImageState.SUPERSEDED,
            _LEFT.id <= last,
            or_(Image.slide_id.is_(None), Image.slide_id != slide_id),
            after,
        )
    ).one()
    if first_gone is not None:
        times.append(first_gone)
    return SignatureEnd(len(new - known), len(new & known), gone, min(times, default=None))


def _last_image_id(connection: Connection, slide_id: int, event: _Event) -> int:
    """Return the newest image that a sign-off knew; one of an earlier version does not say it, so its time must."""
    if event.last_image_id is not None:
        return int(event.last_image_id)
    return connection.execute(
        select(func.coalesce(func.max(Image.id), 0)).where(Image.slide_id == slide_id, Image.seen_at <= event.at)
    ).scalar_one()
