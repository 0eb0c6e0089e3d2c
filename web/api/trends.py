"""Route of the cells of each day, so that a change of stain is noticed before it affects results."""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from smearcount.db.queries.trends import per_day
from smearcount.differential.forms.spreadsheet import rows_csv
from smearcount.web.dependencies import TheServices, person
from smearcount.web.schemas.days import Day, end_of, start_of
from smearcount.web.schemas.system import DAY_COLUMNS, ColourAnswer, DayAnswer, Trends, day_rows
from smearcount.web.schemas.tables import ALSO_CSV, FormatQuery, csv_answer

router = APIRouter(tags=["system"], dependencies=[Depends(person)])


class TrendsQuery(FormatQuery):
    """The query of the days."""

    until: Day | None = Field(default=None, description="Last day (UTC); today if left out.")
    days: int = Field(default=30, ge=1, le=400, description="How many days, the last one included.")


@router.get("/trends", summary="The cells of each day", responses=ALSO_CSV, response_model=Trends)
def get_trends(services: TheServices, query: Annotated[TrendsQuery, Query()]) -> Trends | Response:
    """Return per day: files, cells, unidentified ones, mean confidence and mean colour of the cells."""
    last = query.until or datetime.now(UTC).date()
    first = date.fromordinal(max(last.toordinal() - query.days + 1, 1))
    lines = per_day(services.database, start_of(first), end_of(last))
    if query.format.is_csv:
        return csv_answer(rows_csv(day_rows(lines), DAY_COLUMNS), name="trends", form=query.format)
    model = services.model()
    colour = model.training_colour if model is not None else None
    return Trends(
        days=[DayAnswer.of(line) for line in lines],
        training_colour=None if colour is None else ColourAnswer.of(colour),
    )
