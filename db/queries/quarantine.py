"""The files that could not be counted, of all slides and of none, page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import cursor, values_of
from smearcount.db.schema import IS_QUARANTINED, Image, Inbox, Slide
from smearcount.inbox.paths import joined


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedFile:
    """A file that could not be counted."""

    id: int
    #: None where no slide could be told from the path.
    slide_id: int | None
    slide: str | None
    inbox: str
    #: Path within the inbox; may identify a patient.
    path: str
    #: Bytes.
    size: int
    reason_code: str
    reason: str
    attempts: int
    #: UTC.
    seen_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantinedPage:
    """Some quarantined files of all slides."""

    files: list[QuarantinedFile]
    #: What to pass as `after` to get the next page; None at the end.
    next: str | None


def quarantined(database: Database, *, after: str | None = None, limit: int = 200) -> QuarantinedPage:
    """Return a page of the quarantined files of all slides and of none, newest first.

    Args:
        database: where images are kept.
        after: `next` of an earlier page; None for the first page.
        limit: largest number of files on the page.

    Raises:
        UnknownPage: `after` names no page of this list.
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"a page has at least one line, not {limit}")
    query = (
        select(
            Image.id, Image.slide_id, Slide.name.label("slide"), Inbox.name.label("inbox"), Image.folder,
            Image.filename, Image.size, Image.reason_code, Image.reason, Image.attempts, Image.seen_at,
            Image.finished_at,
        )
        .join(Inbox, Inbox.id == Image.inbox_id)
        .outerjoin(Slide, Slide.id == Image.slide_id)
        .where(IS_QUARANTINED)
        .order_by(Image.id.desc())
        .limit(limit + 1)
    )  # fmt: skip
    if after is not None:
        query = query.where(Image.id < values_of(after, "quarantined", (int,))[0])
    with database.reading() as connection:
        rows = connection.execute(query).all()
    shown = rows[:limit]
    return QuarantinedPage(
        [_quarantined(row) for row in shown],
        None if len(rows) <= limit else cursor("quarantined", (shown[-1].id,)),
    )


def _quarantined(row: Row[*tuple[Any, ...]]) -> QuarantinedFile:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to the columns' names)
    path = joined(values.pop("folder"), values.pop("filename"))
    return QuarantinedFile(**values, path=path)
