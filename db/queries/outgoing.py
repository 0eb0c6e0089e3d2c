"""What to tell others of what happened to slides: the result as it was signed, and how it stands to what was told before.

A message is made of its row in the outbox and the signature that held then. Whatever happens to the slide later, the same row
gives the same result; so a message that waits for days says what it would have said at once, and later ones say the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from smearcount.db.delivery.outbox import ChangeKind, Happening
from smearcount.db.engine.database import Database
from smearcount.db.queries.remarks import slide_remarks
from smearcount.db.queries.slides import SlideFilter, SlideSummary, slide_page
from smearcount.db.schema import Inbox, OutboxRow, Slide, SlideEventKind, SlideEventRow
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.report import SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.snapshot import SignedResult
from smearcount.differential.status import SlideStatus, Status

#: What may change what others know of a slide.
TOLD = (
    ChangeKind.COMPLETED, ChangeKind.SIGN_OFF, ChangeKind.REOPEN, ChangeKind.WITHDRAW, ChangeKind.RESTORE,
)  # fmt: skip

_Signature = Row[Any]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to tell of one row of the outbox."""

    happening: Happening
    disposition: Disposition
    examination: SlideExamination


@dataclass(slots=True)
class _Standing:
    """What was known of a slide after some rows of the outbox."""

    #: The event of the last sign-off; None before the first one.
    signed_event: int | None = None
    holds: bool = False
    is_withdrawn: bool = False
    times_signed: int = 0
    #: The newest event so far, whose text belongs to the message.
    last_event: int = 0

    def follow(self, kind: ChangeKind, event_id: int | None) -> Disposition | None:
        """Go on by one row, and return what it changes for others; None for nothing."""
        self.last_event = max(self.last_event, event_id or 0)
        held = self.holds
        match kind:
            case ChangeKind.SIGN_OFF:
                self.signed_event, self.holds = event_id, True
                self.times_signed += 1
                return Disposition.FINAL if self.times_signed == 1 else Disposition.CORRECTED
            case ChangeKind.WITHDRAW:
                self.is_withdrawn = True
                return Disposition.WITHDRAWN
            case ChangeKind.RESTORE:
                self.is_withdrawn = False
                return Disposition.CORRECTED if held else self._unsigned
            case ChangeKind.REOPEN | ChangeKind.COMPLETED:
                # A signature does not hold for files that have come since.
                self.holds = False
        if self.is_withdrawn:
            return None
        if held and not self.holds:
            return Disposition.UNVERIFIED
        return Disposition.PRELIMINARY if kind is ChangeKind.COMPLETED and not self.times_signed else None

    @property
    def _unsigned(self) -> Disposition:
        return Disposition.UNVERIFIED if self.times_signed else Disposition.PRELIMINARY


@dataclass(frozen=True, slots=True)
class _Told:
    """A row of the outbox that changes what others know of its slide."""

    row: Happening
    standing: _Standing
    said: Disposition
    #: The last sign-off; None before the first one.
    event: _Signature | None
    #: Names of the slide and its inbox.
    name: str
    inbox: str

    def last_review(self, now: SlideSummary | None) -> int | None:
        """Return the newest review that belongs to the result, that of now or that of the signature."""
        if now is not None:
            return now.last_review_id
        return None if self.event is None else self.event.last_review_id


def outgoing(database: Database, rows: Sequence[Happening], settings: CountSettings) -> list[Outgoing]:
    """Return what to tell of rows of the outbox, in their order; rows that change nothing for others are left out.

    The number of queries does not depend on that of the rows, as long as no slide is among them twice.

    Args:
        database: where slides are kept.
        rows: rows of the outbox, in its order.
        settings: by which slides are counted that nobody has signed.
    """
    told = [row for row in rows if row.kind in TOLD]
    found = []
    for some in _each_slide_once(told):
        found += _of_different_slides(database, some, settings)
    return found


def _each_slide_once(rows: Iterable[Happening]) -> list[list[Happening]]:
    """Return rows in groups of which none has a slide twice, in their order."""
    groups: list[list[Happening]] = []
    slides: set[int] = set()
    for row in rows:
        if not groups or row.slide_id in slides:
            groups.append([])
            slides = set()
        groups[-1].append(row)
        slides.add(row.slide_id)
    return groups


def _of_different_slides(database: Database, rows: Sequence[Happening], settings: CountSettings) -> list[Outgoing]:
    ids = [row.slide_id for row in rows]
    with database.reading() as connection:
        standings = _standings(connection, rows)
        wanted = [(row, *standings[row.id]) for row in rows]
        signatures = _signatures(connection, [one.signed_event for _, one, _ in wanted if one.signed_event is not None])
        query = select(Slide.id, Slide.name, Inbox.name.label("inbox")).join(Inbox).where(Slide.id.in_(ids))
        slides = {row.id: (row.name, row.inbox) for row in connection.execute(query)}
    told = [
        _Told(row, standing, said, signatures.get(standing.signed_event or 0), *slides[row.slide_id])
        for row, standing, said in wanted
        if said is not None
    ]
    # A signature of an early version kept no result: its slide is told as it is now.
    as_they_are = {one.row.slide_id for one in told if one.event is None or one.event.snapshot is None}
    now = _now(database, sorted(as_they_are))
    # Without any now is a slide whose files belong to another one, since its folder was renamed.
    told = [one for one in told if one.row.slide_id not in as_they_are - now.keys()]
    remarks = slide_remarks(
        database,
        {one.row.slide_id: one.last_review(now.get(one.row.slide_id)) for one in told},
        last_events={one.row.slide_id: one.standing.last_event for one in told},
    )
    return [
        Outgoing(
            one.row,
            one.said,
            _examination(one, now.get(one.row.slide_id), remarks[one.row.slide_id], settings),
        )
        for one in told
    ]


def _standings(connection: Connection, rows: Sequence[Happening]) -> dict[int, tuple[_Standing, Disposition | None]]:
    """Return, by row, what was known of its slide then, and what the row changes for others."""
    of_slide = {row.slide_id: row for row in rows}
    query = (
        select(OutboxRow.id, OutboxRow.slide_id, OutboxRow.kind, OutboxRow.event_id)
        .where(OutboxRow.slide_id.in_(of_slide), OutboxRow.id <= max(of_slide[one].id for one in of_slide))
        .order_by(OutboxRow.id)
    )
    standings: dict[int, _Standing] = defaultdict(_Standing)
    found = {}
    for row in connection.execute(query):
        if row.id > of_slide[row.slide_id].id:
            continue
        said = standings[row.slide_id].follow(ChangeKind(row.kind), row.event_id)
        found[row.id] = (standings[row.slide_id], said)
    return found


def _signatures(connection: Connection, ids: Sequence[int]) -> dict[int, _Signature]:
    query = select(
        SlideEventRow.id, SlideEventRow.reviewer, SlideEventRow.at, SlideEventRow.snapshot, SlideEventRow.last_review_id
    ).where(SlideEventRow.id.in_(ids), SlideEventRow.kind == SlideEventKind.SIGN_OFF)
    return {row.id: row for row in connection.execute(query)}


def _now(database: Database, slide_ids: Sequence[int]) -> dict[int, SlideSummary]:
    if not slide_ids:
        return {}
    page = slide_page(database, SlideFilter(ids=slide_ids), limit=len(slide_ids))
    return {slide.id: slide for slide in page.slides}


def _examination(told: _Told, now: SlideSummary | None, remarks: Remarks, settings: CountSettings) -> SlideExamination:
    row, standing, said, event = told.row, told.standing, told.said, told.event
    is_signed = event is not None and (said.is_result or (said is Disposition.WITHDRAWN and standing.holds))
    if now is not None:
        automatic, reviewed = report(now.automatic, settings), report(now.reviewed, settings)
        cells, version = now.reviewed_cells, None
    else:
        assert event is not None  # noqa: S101 (for the type checker: without a signature the slide is told as it is)
        signed = SignedResult.of(event.snapshot).called(told.name)
        automatic, reviewed, cells, version = signed.automatic, signed.reviewed, signed.reviewed_cells, signed.version
    if is_signed and automatic.status is not SlideStatus.COMPLETE:
        # Files have come since, to a signature that kept no result.
        automatic, reviewed = _completed(automatic), _completed(reviewed)
    return SlideExamination(
        slide_id=row.slide_id,
        inbox=told.inbox,
        status=Status.SIGNED if is_signed else Status(automatic.status.value),
        automatic=automatic,
        reviewed=reviewed if cells else None,
        reviewed_cells=cells,
        signed_by=event.reviewer if is_signed and event is not None else None,
        signed_at=event.at if is_signed and event is not None else None,
        was_signed_before=standing.times_signed > int(is_signed),
        remarks=remarks,
        version=version,
    )


def _completed(counted: SlideReport) -> SlideReport:
    return replace(counted, status=SlideStatus.COMPLETE)
