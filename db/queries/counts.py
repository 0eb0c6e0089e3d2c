"""The tallies of slides: of one that is asked for by name, or of many at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.queries.tallies import SLIDE, BothTallies, SlideRow, tallies
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import Inbox, Slide
from smearcount.differential.forms.wording import distinct
from smearcount.differential.tally import Calls, SlideTally

_SLIDES_PER_QUERY = 500


@dataclass(frozen=True)
class InboxTally:
    """A slide's tally by the calls asked for, the name of its inbox, its id, and both of its tallies."""

    inbox: str
    tally: SlideTally
    slide_id: int
    both: BothTallies
    #: Codes of the flags with which the slide was signed, by the calls; empty while it is not signed.
    signed_flags: Mapping[Calls, tuple[str, ...]] = field(default_factory=dict)


def slide_tally(
    database: Database, slide: str, *, inbox: str | None = None, calls: Calls = Calls.REVIEWED
) -> SlideTally:
    """Return the tally of one slide.

    Args:
        database: where slides are kept.
        slide: name of the slide.
        inbox: name of its inbox; None if only one inbox has a slide of that name.
        calls: whether the calls of people count before those of the models, or those of the models alone.

    Raises:
        UnknownSlide: no slide has that name, or slides of several inboxes have it and `inbox` does not say which.
    """
    with database.reading() as connection:
        row = find_slide(connection, slide, inbox)
        return tallies(connection, [row])[0].by(calls)


def slide_tallies(
    database: Database,
    *,
    inbox: str | None = None,
    completed_after: datetime | None = None,
    calls: Calls = Calls.REVIEWED,
    withdrawn: bool = False,
) -> list[InboxTally]:
    """Return the tallies of many slides, in the order in which their first images came.

    Args:
        database: where slides are kept.
        inbox: name of an inbox; None for all inboxes.
        completed_after: only slides that were completed after this moment (UTC); None for all slides.
        calls: whether the calls of people count before those of the models, or those of the models alone.
        withdrawn: return those slides that were withdrawn, which are left out otherwise.
    """
    with database.reading() as connection:
        query = select(*SLIDE).join(Inbox).order_by(Slide.first_image_at, Slide.name).where(Slide.renamed_to.is_(None))
        query = query.where(Slide.withdrawn_at.is_not(None) if withdrawn else Slide.withdrawn_at.is_(None))
        if inbox is not None:
            query = query.where(Inbox.name == inbox)
        if completed_after is not None:
            query = query.where(Slide.completed_at > completed_after)
        rows = connection.execute(query).all()
        parts = [rows[start : start + _SLIDES_PER_QUERY] for start in range(0, len(rows), _SLIDES_PER_QUERY)]
        return [one for part in parts for one in _inbox_tallies(connection, part, calls)]


def find_slide_id(database: Database, slide: str, *, inbox: str | None = None) -> int:
    """Return the id of the slide with this name; `inbox` and errors as for `slide_tally`."""
    with database.reading() as connection:
        return int(find_slide(connection, slide, inbox).id)


def find_slide(connection: Connection, name: str, inbox: str | None) -> SlideRow:
    """Return what `tallies` needs of the slide with this name; `inbox` and errors as for `slide_tally`.

    A withdrawn slide is found as well, and a renamed one also by its former name.
    """
    named = select(func.coalesce(Slide.renamed_to, Slide.id)).select_from(Slide).join(Inbox).where(Slide.name == name)
    if inbox is not None:
        named = named.where(Inbox.name == inbox)
    ids = connection.execute(named).scalars().all()
    rows = connection.execute(select(*SLIDE).join(Inbox).where(Slide.id.in_(ids))).all() if ids else []
    if not rows and (spelt := _spelt(connection, name)) is not None:
        return find_slide(connection, spelt, inbox)
    if not rows:
        raise UnknownSlide(f"no slide named {name!r} has been seen; the command slides lists them")
    if len(rows) > 1:
        inboxes = ", ".join(row.inbox for row in rows)
        raise UnknownSlide(f"slides of several inboxes are named {name!r} ({inboxes}); say which with --inbox")
    return rows[0]


def _spelt(connection: Connection, shown: str) -> str | None:
    """Return the name of the slide that tables and pages show as `shown`, with what could not be seen; None if none is."""
    if "\\x" not in shown:
        return None
    names = connection.execute(select(Slide.name).distinct()).scalars()
    return next((name for name in names if name != shown and distinct(name) == shown), None)


def _inbox_tallies(connection: Connection, slides: Sequence[SlideRow], calls: Calls) -> Iterator[InboxTally]:
    signed = _signed_flags(connection, [slide.id for slide in slides])
    for slide, both in zip(slides, tallies(connection, slides), strict=True):
        yield InboxTally(slide.inbox, both.by(calls), slide.id, both, signed.get(slide.id, {}))


def _signed_flags(connection: Connection, ids: Sequence[int]) -> dict[int, dict[Calls, tuple[str, ...]]]:
    rows = connection.execute(
        select(Slide.id, SIGN_OFF.snapshot)
        .join(SIGN_OFF, IS_SIGN_OFF)
        .where(Slide.id.in_(ids), SIGN_OFF_HOLDS, SIGN_OFF.snapshot.is_not(None))
    )
    return {
        slide_id: {calls: tuple(flag["code"] for flag in snapshot[calls.value]["flags"]) for calls in Calls}
        for slide_id, snapshot in rows
        if snapshot is not None
    }
