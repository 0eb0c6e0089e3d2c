"""How the cells of each day looked to the model, so that a change of stain or scanner shows before it does harm."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, Date, String, and_, case, cast, func, select

from smearcount.db.engine.database import Database
from smearcount.db.review.effective_calls import CALL, IS_CALL
from smearcount.db.schema import Image, ImageState


@dataclass(frozen=True, kw_only=True, slots=True)
class DayLine:
    """What was finished on one day, by the models' calls alone."""

    #: In UTC.
    day: date
    #: Files that were finished, whatever became of them.
    images: int
    #: Counted cells, including unidentified ones.
    cells: int
    unidentified: int
    quarantined: int
    #: Mean of the model's confidence over the cells, 0 to 1; None if there are no cells.
    mean_confidence: float | None
    #: Mean colour of the cells' images, 0 to 255; None if that of no cell is known.
    red: float | None
    green: float | None
    blue: float | None


def per_day(database: Database, since: datetime, until: datetime) -> list[DayLine]:
    """Return a line for each day, in order, on which files were finished at or after `since` and before `until` (UTC)."""
    with database.reading() as connection:
        day = _day(connection)
        is_cell = CALL.id.is_not(None)
        rows = connection.execute(
            select(
                day,
                func.count(),
                func.count(CALL.id),
                func.count(case((and_(is_cell, ~CALL.identified), 1))),
                func.count(case((Image.state == ImageState.QUARANTINED, 1))),
                func.avg(CALL.confidence),
                func.avg(CALL.red),
                func.avg(CALL.green),
                func.avg(CALL.blue),
            )
            .outerjoin(CALL, and_(IS_CALL, Image.state == ImageState.DONE))
            .where(Image.finished_at >= since, Image.finished_at < until, Image.state != ImageState.SUPERSEDED)
            .group_by(day)
            .order_by(day)
        )
        return [
            DayLine(
                day=date.fromisoformat(day),
                images=images,
                cells=cells,
                unidentified=unidentified,
                quarantined=quarantined,
                mean_confidence=confidence,
                red=red,
                green=green,
                blue=blue,
            )
            for day, images, cells, unidentified, quarantined, confidence, red, green, blue in rows
        ]


def _day(connection: Connection) -> ColumnElement[str]:
    """Return the expression for the UTC day on which an image was finished, such as 2026-11-23, for this database."""
    if connection.dialect.name == "sqlite":
        return func.date(Image.finished_at, type_=String)
    return cast(cast(func.timezone("UTC", Image.finished_at), Date), String)
