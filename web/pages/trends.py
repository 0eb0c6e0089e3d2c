"""The page with the cells of each day, so that a change of stain is noticed before it affects results."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse

from smearcount.db.queries.trends import DayLine, per_day
from smearcount.web.dependencies import TheServices
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.parts.charts import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, Chart, Within, chart
from smearcount.web.pages.rendering import page
from smearcount.web.schemas.days import end_of, start_of
from smearcount.web.services import Colour

router = APIRouter(include_in_schema=False)

#: Numbers of days that the page offers.
_SPANS = (14, 30, 90, 365)


class TrendsPageQuery(BaseModel):
    """How many days are shown, today included."""

    model_config = ConfigDict(frozen=True)

    days: int = 30


@router.get("/trends")
def show_trends(
    request: Request, person: LoggedInPerson, services: TheServices, query: Annotated[TrendsPageQuery, Query()]
) -> HTMLResponse:
    """Show a chart for each quantity that changes with stain, scanner or workload, and the numbers as a table."""
    last = datetime.now(UTC).date()
    first = date.fromordinal(last.toordinal() - min(max(query.days, 2), _SPANS[-1]) + 1)
    lines = per_day(services.database, start_of(first), end_of(last))
    model = services.model()
    colour = model.training_colour if model is not None else None
    return page(
        request,
        "trends.html",
        person,
        charts=charts(lines, (first, last), colour),
        lines=lines[::-1],
        colour=colour,
        days=query.days,
        spans=_SPANS,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        bottom=BOTTOM,
    )


def charts(lines: list[DayLine], days: tuple[date, date], colour: Colour | None) -> list[Chart]:
    """Return the charts of the days from the first to the last of `days`; `colour` is that of the training images."""

    def values(of: Callable[[DayLine], float | None]) -> list[tuple[date, float]]:
        return [(line.day, value) for line in lines if (value := of(line)) is not None]

    training = {}
    if colour is not None:
        training = {
            name: (mean, spread)
            for name, mean, spread in zip(("Red", "Green", "Blue"), colour.mean, colour.spread, strict=True)
        }
    return [
        chart(
            "cells",
            "Cells counted",
            "cells per day",
            {"Cells": values(lambda line: line.cells)},
            days=days,
            within=Within(10, begins_at_zero=True),
        ),
        chart(
            "unidentified",
            "Share of unidentified cells",
            "% of the cells",
            {"Unidentified": values(unidentified_percent)},
            days=days,
            within=Within(5, begins_at_zero=True),
        ),
        chart(
            "confidence",
            "Mean confidence",
            "%",
            {"Confidence": values(lambda line: _percent(line.mean_confidence))},
            days=days,
            within=Within(5, most=100),
        ),
        chart(
            "colour",
            "Mean colour of the cell images",
            "0 to 255",
            {
                "Red": values(lambda line: line.red),
                "Green": values(lambda line: line.green),
                "Blue": values(lambda line: line.blue),
            },
            days=days,
            within=Within(40, most=255),
            training=training,
        ),
    ]


def unidentified_percent(line: DayLine) -> float | None:
    """Return the unidentified cells of a day in percent of its cells; None without cells."""
    return 100 * line.unidentified / line.cells if line.cells else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
