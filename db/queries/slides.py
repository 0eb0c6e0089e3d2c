"""Lists of slides, page by page, with both tallies of each; the number of queries does not depend on that of the slides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, false, func, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import Value, cursor, is_key, is_storable, values_of
from smearcount.db.errors import UnknownSlide
from smearcount.db.queries.tallies import SLIDE, BothTallies, tallies
from smearcount.db.review.result import SlideResult, slide_result
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import Inbox, Slide
from smearcount.differential.flags import Flag, slide_flags
from smearcount.differential.report import SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import Obstacle, SigningRules, obstacles
from smearcount.differential.signing.snapshot import SignedResult
from smearcount.differential.status import Status
from smearcount.differential.tally import SlideTally


class SlideSort(StrEnum):
    """In which order slides are listed; by the time their first image came, or by name."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    NAME_BACKWARDS = "-name"


#: The column by which an order sorts, before the id, the type of its values, and whether the order is descending.
_ORDERS: dict[SlideSort, tuple[InstrumentedAttribute[Any], type[Value], bool]] = {
    SlideSort.NEWEST: (Slide.first_image_at, datetime, True),
    SlideSort.OLDEST: (Slide.first_image_at, datetime, False),
    SlideSort.NAME: (Slide.name, str, False),
    SlideSort.NAME_BACKWARDS: (Slide.name, str, True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideFilter:
    """Which slides are listed: those that meet all conditions that are set."""

    status: Status | None = None
    #: The first image came at or after `since` and before `until` (UTC).
    since: datetime | None = None
    until: datetime | None = None
    #: Part of the name, in upper or lower case.
    text: str | None = None
    #: Name of an inbox.
    inbox: str | None = None
    ids: Sequence[int] | None = None
    #: Only withdrawn slides. They are left out otherwise, unless `ids` names them.
    withdrawn: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideSummary:
    """One slide with both of its tallies; times are in UTC."""

    id: int
    inbox: str
    #: May identify a patient.
    name: str
    status: Status
    first_image_at: datetime
    completed_at: datetime | None
    #: Set while the status is signed.
    signed_by: str | None
    signed_at: datetime | None
    #: The slide was signed and not reopened, but images came or changed afterwards: it must be signed again.
    changed_since_signed: bool
    automatic: SlideTally
    reviewed: SlideTally
    #: Counted cells that a person has called.
    reviewed_cells: int
    #: Newest review of the slide; None if there is none.
    last_review_id: int | None
    #: What was signed; None while the status is another one, and for signatures of earlier versions.
    signed: SignedResult | None = None
    #: What makes the result, for a signature; None in lists.
    result: SlideResult | None = field(default=None, compare=False)
    #: When a person withdrew the slide; None while it counts.
    withdrawn_at: datetime | None = None
    #: The slide that has this slide's former files since their folder was renamed; None if it has its own.
    renamed_to: int | None = None

    def reports(self, settings: CountSettings) -> "BothReports":
        """Return the results of the slide: those that were signed, or else what the settings make of the tallies."""
        if self.signed is not None:
            return BothReports(self.signed.automatic, self.signed.reviewed)
        return BothReports(report(self.automatic, settings), report(self.reviewed, settings))

    def flags(self, settings: CountSettings) -> tuple[Flag, ...]:
        """Return the flags of the reviewed result: those that were signed, or else those that the settings raise."""
        return slide_flags(self.reviewed, settings) if self.signed is None else self.signed.reviewed.flags

    def digest(self, settings: CountSettings) -> str:
        """Return what names the result of the slide in a sign-off (see `db.review.result`); only for a slide read by itself."""
        return self._own_result.token(settings)

    def obstacles(self, rules: SigningRules) -> tuple[Obstacle, ...]:
        """Return what stands in the way of a signature, nothing if the slide is signed; only for a slide read by itself."""
        if self.status is Status.SIGNED:
            return ()
        return obstacles(self.reviewed, self._own_result.uncalled, rules)

    @property
    def _own_result(self) -> SlideResult:
        if self.result is None:
            raise ValueError("a slide of a list does not know what makes its result")
        return self.result


@dataclass(frozen=True, slots=True)
class BothReports:
    """The results of one slide."""

    #: By the models' calls alone.
    automatic: SlideReport
    #: With people's calls in their place.
    reviewed: SlideReport


@dataclass(frozen=True, slots=True)
class SlidePage:
    """Some slides of a list."""

    slides: list[SlideSummary]
    #: What to pass as `after` to get the next page; None at the end.
    next: str | None


# With the bare condition SQLite would begin each query by reading all signatures.
_IS_SIGNED: ColumnElement[bool] = func.coalesce(SIGN_OFF_HOLDS, false())
_SLIDES: Select[*tuple[Any, ...]] = (
    select(
        *SLIDE,
        SIGN_OFF.reviewer.label("signer"),
        SIGN_OFF.at.label("signed_at"),
        SIGN_OFF.snapshot.label("snapshot"),
        _IS_SIGNED.label("holds"),
        Slide.withdrawn_at,
        Slide.renamed_to,
    )
    .join(Inbox, Inbox.id == Slide.inbox_id)
    .outerjoin(SIGN_OFF, IS_SIGN_OFF)
)


def slide_page(
    database: Database,
    where: SlideFilter,
    *,
    sort: SlideSort = SlideSort.NEWEST,
    after: str | None = None,
    limit: int = 50,
) -> SlidePage:
    """Return a page of slides.

    Args:
        database: where slides are kept.
        where: which slides.
        sort: in which order.
        after: `next` of an earlier page; None for the first page.
        limit: largest number of slides on the page.

    Raises:
        UnknownPage: `after` names no page of a list sorted like this.
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"a page has at least one line, not {limit}")
    column, kind, is_backwards = _ORDERS[sort]
    place = tuple_(column, Slide.id)
    query = _SLIDES.where(*_conditions(where))
    if after is not None:
        last = tuple_(*values_of(after, sort, (kind, int)), types=(column.type, Slide.id.type))
        query = query.where(place < last if is_backwards else place > last)
    order = (column.desc(), Slide.id.desc()) if is_backwards else (column, Slide.id)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(*order).limit(limit + 1)).all()
        shown = rows[:limit]
        slides = [_summary(row, both) for row, both in zip(shown, tallies(connection, shown), strict=True)]
    is_last = len(rows) <= limit
    return SlidePage(slides, None if is_last else cursor(sort, (getattr(shown[-1], column.key), shown[-1].id)))


def slide_pages(
    database: Database, where: SlideFilter, *, sort: SlideSort = SlideSort.NEWEST, limit: int = 50
) -> Iterator[SlidePage]:
    """Yield the pages of a list one after the other; each is read when the caller asks for it, in a transaction of its own."""
    after = None
    while True:
        page = slide_page(database, where, sort=sort, after=after, limit=limit)
        yield page
        after = page.next
        if after is None:
            return


def slide(database: Database, slide_id: int) -> SlideSummary:
    """Return one slide.

    Raises:
        UnknownSlide: there is no such slide.
    """
    with database.reading() as connection:
        rows = connection.execute(_SLIDES.where(Slide.id == slide_id)).all() if is_key(slide_id) else []
        if not rows:
            raise UnknownSlide(f"there is no slide {slide_id}")
        both = tallies(connection, rows)[0]
        return _summary(rows[0], both, slide_result(connection, slide_id))


def _conditions(where: SlideFilter) -> Iterator[ColumnElement[bool]]:
    if where.status is Status.COUNTING:
        yield Slide.completed_at.is_(None)
    elif where.status is Status.SIGNED:
        yield _IS_SIGNED.is_(true())
    elif where.status is Status.COMPLETE:
        yield and_(Slide.completed_at.is_not(None), _IS_SIGNED.is_(false()))
    if where.since is not None:
        yield Slide.first_image_at >= where.since
    if where.until is not None:
        yield Slide.first_image_at < where.until
    if where.text:
        yield Slide.name.icontains(where.text, autoescape=True) if is_storable(where.text) else false()
    if where.inbox is not None:
        yield Inbox.name == where.inbox if is_storable(where.inbox) else false()
    if where.ids is not None:
        yield Slide.id.in_([slide_id for slide_id in where.ids if is_key(slide_id)])
    yield from _conditions_of_presence(where)


def _conditions_of_presence(where: SlideFilter) -> Iterator[ColumnElement[bool]]:
    yield Slide.renamed_to.is_(None)
    if where.withdrawn:
        yield Slide.withdrawn_at.is_not(None)
    elif where.ids is None:
        yield Slide.withdrawn_at.is_(None)


def _summary(row: Row[*tuple[Any, ...]], both: BothTallies, result: SlideResult | None = None) -> SlideSummary:
    return SlideSummary(
        id=row.id,
        inbox=row.inbox,
        name=row.name,
        status=Status.of(both.automatic.status, is_signed=row.holds),
        first_image_at=row.first_image_at,
        completed_at=row.completed_at,
        signed_by=row.signer if row.holds else None,
        signed_at=row.signed_at if row.holds else None,
        changed_since_signed=row.signer is not None and not row.holds,
        automatic=both.automatic,
        reviewed=both.reviewed,
        reviewed_cells=both.reviewed_cells,
        last_review_id=both.last_review_id,
        signed=SignedResult.of(row.snapshot).called(row.name) if row.holds and row.snapshot is not None else None,
        result=result,
        withdrawn_at=row.withdrawn_at,
        renamed_to=row.renamed_to,
    )
