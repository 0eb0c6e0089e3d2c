"""Going through the chain of hashes over what people said and did: whether it holds, and where it breaks."""

import heapq
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Connection, Row, func, select

from smearcount.db.audit.chain import AUDITED, beginning_hash, row_hash, rows_of
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import AuditChainRow, ReviewRow, Slide, SlideEventRow

#: Most breaks that are listed one by one.
MOST_BREAKS = 1000
#: Number of rows between two calls of the progress function.
_ROWS_PER_STEP = 1000


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain and the hash there, which vouches for everything up to it."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the link that a text names, such as `12:9f86d0...`.

        Raises:
            DatabaseError: the text names none.
        """
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip().lower())
        if found is None:
            raise DatabaseError(
                f"{text!r} is no head of the chain; it looks like 12:9f86d0..., with 64 digits after the colon"
            )
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold. What is not known of it is None."""

    #: What is wrong there.
    what: str
    #: Place in the chain.
    position: int | None = None
    #: The row: name of its table and its id.
    table: str | None = None
    id: int | None = None
    slide_id: int | None = None
    #: Name of the slide.
    slide: str | None = None
    #: When the person said or did it (UTC).
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What a walk through the whole chain found."""

    #: Numbers of rows that stand in the chain.
    reviews: int
    slide_events: int
    #: Number of rows of earlier versions, which one hash covers.
    before_the_chain: int
    #: The newest row's link; None if the database has lost it.
    head: Link | None
    #: The first `MOST_BREAKS` places where the chain does not hold, in its order.
    breaks: tuple[Break, ...]
    #: Number of all of them.
    broken: int

    @property
    def holds(self) -> bool:
        """Whether nothing was changed, removed or inserted, as far as the chain can tell."""
        return not self.broken


def verify(database: Database, *, noted: Link | None = None, progress: Callable[[int], None] | None = None) -> Audit:
    """Compare every row of what people said and did with the chain; others may write meanwhile.

    Args:
        database: of this version.
        noted: a head of the chain that was noted earlier, which must still stand in it.
        progress: called with the part that is done, in percent.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as connection:
        walk = _Walk(connection, noted, progress or _nothing)
        walk.go()
        return Audit(
            reviews=walk.counted[ReviewRow.__tablename__],
            slide_events=walk.counted[SlideEventRow.__tablename__],
            before_the_chain=walk.before,
            head=walk.head,
            breaks=_named(connection, walk.breaks),
            broken=walk.broken,
        )


class _Walk:
    """One walk through the chain, from its beginning to its head."""

    def __init__(self, connection: Connection, noted: Link | None, progress: Callable[[int], None]) -> None:
        self._connection = connection
        self._noted = noted
        self._progress = progress
        self.breaks: list[Break] = []
        self.broken = 0
        self.counted = {table.__tablename__: 0 for table in AUDITED}
        self.before = 0
        self.head: Link | None = None

    def go(self) -> None:
        known = self._connection.execute(
            select(
                AuditChainRow.position,
                AuditChainRow.hash,
                AuditChainRow.beginning,
                AuditChainRow.last_review_id,
                AuditChainRow.last_event_id,
            ).where(AuditChainRow.id == 1)
        ).one_or_none()
        if known is None:
            self._break(Break("the head of the chain is missing, so nothing can be checked"))
            return
        self.head = Link(known.position, known.hash)
        self._check_beginning(known)
        last = self._check_rows(Link(0, known.beginning), known.last_review_id, known.last_event_id)
        self._check_head(last, self.head)
        self._progress(100)

    def _check_beginning(self, known: Row[*tuple[Any, ...]]) -> None:
        self.before = sum(
            self._connection.execute(select(func.count()).select_from(table).where(table.id <= last)).scalar_one()
            for table, last in ((ReviewRow, known.last_review_id), (SlideEventRow, known.last_event_id))
        )
        if beginning_hash(self._connection, known.last_review_id, known.last_event_id) != known.beginning:
            self._break(
                Break(
                    "what was stored before the chain began was changed: a row among the reviews up to "
                    f"{known.last_review_id} and the slide events up to {known.last_event_id}",
                    position=0,
                )
            )

    def _check_rows(self, last: Link, last_review_id: int, last_event_id: int) -> Link:
        """Check each row against the one before it, and return the link of the last one."""
        if self._noted is not None and self._noted.position == 0:
            self._check_noted(last)
        streams = [
            _in_order(self._connection, ReviewRow.__tablename__, last_review_id),
            _in_order(self._connection, SlideEventRow.__tablename__, last_event_id),
        ]
        for done, (_, table, row) in enumerate(heapq.merge(*streams, key=lambda item: item[0]), start=1):
            self.counted[table] += 1
            last = self._check_row(last, table, row)
            if done % _ROWS_PER_STEP == 0 and self.head is not None:
                self._progress(min(99, 100 * done // max(self.head.position, 1)))
        return last

    def _check_row(self, last: Link, table: str, row: dict[str, Any]) -> Link:
        position, found = row["chain_position"], row["chain_hash"]
        if position is None or found is None:
            self._break(_at_row("it carries no hash: something else than smearcount has added it", table, row))
            return last
        if position <= last.position:
            self._break(_at_row("another row stands at its place: it was added or its place was changed", table, row))
            return last
        missing = position - last.position - 1
        if missing:
            rows = "the row before it is missing" if missing == 1 else f"{missing} rows before it are missing"
            self._break(_at_row(f"{rows}, so it cannot be checked itself", table, row))
        elif row_hash(last.hash, table, row) != found:
            self._break(_at_row("it is not as it was stored", table, row))
        if self._noted is not None and last.position < self._noted.position <= position:
            self._check_noted(Link(position, found))
        return Link(position, found)

    def _check_noted(self, link: Link) -> None:
        if link != self._noted:
            self._break(
                Break("the noted head does not stand in the chain: the chain was made anew", position=link.position)
            )

    def _check_head(self, last: Link, head: Link) -> None:
        if last != head:
            missing = head.position - last.position
            rows = "the newest row is missing" if missing == 1 else f"the newest {missing} rows are missing"
            what = rows if missing > 0 else "the head of the chain is not that of its newest row"
            self._break(Break(what, position=head.position))
        if self._noted is not None and self._noted.position > last.position:
            self._break(
                Break("the chain ends before the noted head: newer rows were removed", position=self._noted.position)
            )

    def _break(self, found: Break) -> None:
        self.broken += 1
        if len(self.breaks) < MOST_BREAKS:
            self.breaks.append(found)


def _in_order(connection: Connection, table: str, after: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield a table's rows with their places in the chain; a row without one comes after the row before it."""
    place = 0
    for row in rows_of(connection, table, after=after):
        place = place if row["chain_position"] is None else row["chain_position"]
        yield place, table, row


def _at_row(what: str, table: str, row: dict[str, Any]) -> Break:
    at = row.get("reviewed_at") or row.get("at")
    if at is not None:
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return Break(what, row["chain_position"], table, row["id"], row["slide_id"], None, at)


def _named(connection: Connection, breaks: list[Break]) -> tuple[Break, ...]:
    """Return the breaks with the names of their slides."""
    ids = {found.slide_id for found in breaks if found.slide_id is not None}
    rows = connection.execute(select(Slide.id, Slide.name).where(Slide.id.in_(ids)))
    names = {slide_id: name for slide_id, name in rows}  # noqa: C416 (rows are no pairs to the type checker)
    return tuple(
        found if found.slide_id is None else replace(found, slide=names.get(found.slide_id)) for found in breaks
    )


def _nothing(_percent: int) -> None:
    """Progress that nobody watches."""
