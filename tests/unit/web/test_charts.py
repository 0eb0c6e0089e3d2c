"""Charts hold every value within their frame, on scales that do not exaggerate."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.db.queries.trends import DayLine
from smearcount.web.pages.parts.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Within, chart
from smearcount.web.pages.trends import charts
from smearcount.web.services import Colour

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 30)


def line(day: int, **changes: object) -> DayLine:
    values: dict[str, object] = {
        "day": FIRST + timedelta(days=day), "images": 110, "cells": 100, "unidentified": 4, "quarantined": 1,
        "mean_confidence": 0.98, "red": 180.0, "green": 150.0, "blue": 170.0,
    }  # fmt: skip
    return DayLine(**(values | changes))  # type: ignore[arg-type]


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=30),
    st.floats(0.1, 100),
    st.booleans(),
    st.none() | st.tuples(st.floats(0, 255), st.floats(0, 50)),
)
def test_everything_lies_within_the_frame(
    values: list[float], span: float, begins_at_zero: bool, training: tuple[float, float] | None
) -> None:
    days = [(FIRST + timedelta(days=number), value) for number, value in enumerate(values)]
    made = chart(
        "x", "X", "u", {"X": days}, days=(FIRST, LAST), within=Within(span, begins_at_zero=begins_at_zero),
        training={"X": training} if training else None,
    )  # fmt: skip
    (only,) = made.lines
    assert len(only.points) == len(values)
    for point in only.points:
        assert LEFT <= point.x <= WIDTH - RIGHT
        assert TOP <= point.y <= HEIGHT - BOTTOM
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in made.rows)
    assert 2 <= len(made.rows) <= 8
    # Higher is further up.
    lowest, highest = min(only.points, key=lambda one: one.value), max(only.points, key=lambda one: one.value)
    assert highest.y <= lowest.y
    if only.band and training:
        assert only.band.top <= only.band.middle <= only.band.bottom


def test_a_small_change_looks_small() -> None:
    days = [(FIRST, 99.2), (LAST, 99.3)]
    made = chart("x", "X", "%", {"X": days}, days=(FIRST, LAST), within=Within(5, most=100))
    before, after = made.lines[0].points
    assert abs(before.y - after.y) < (HEIGHT - TOP - BOTTOM) / 20
    assert max(float(tick.text) for tick in made.rows) == 100
    assert (before.x, after.x) == (LEFT, WIDTH - RIGHT)


def test_counts_begin_at_zero() -> None:
    made = chart("x", "X", "n", {"X": [(FIRST, 840.0)]}, days=(FIRST, LAST), within=Within(10, begins_at_zero=True))
    assert [tick.text for tick in made.rows] == ["0", "250", "500", "750", "1000"]


def test_the_charts_of_some_days_show_what_is_known_of_them() -> None:
    lines = [line(0), line(3, cells=0, unidentified=0, mean_confidence=None, red=None, green=None, blue=None)]
    colour = Colour((185.0, 150.0, 170.0), (10.0, 11.0, 12.0))
    cells, unidentified, confidence, colours = charts(lines, (FIRST, LAST), colour)
    assert [point.value for point in cells.lines[0].points] == [100, 0]
    assert [point.value for point in unidentified.lines[0].points] == [4]
    assert [point.value for point in confidence.lines[0].points] == [98]
    assert [one.name for one in colours.lines] == ["Red", "Green", "Blue"]
    assert all(one.band for one in colours.lines)
    red = colours.lines[0]
    assert red.band is not None
    assert red.points[0].y > red.band.middle  # darker than in training: further down


def test_without_days_the_charts_are_empty_and_say_so() -> None:
    assert all(one.is_empty for one in charts([], (FIRST, LAST), None))


@pytest.mark.parametrize("days", [2, 14, 30, 90, 365])
def test_dates_stand_apart_from_each_other(days: int) -> None:
    first = LAST - timedelta(days=days - 1)
    made = chart("x", "X", "u", {}, days=(first, LAST), within=Within(1))
    places = [tick.at for tick in made.columns]
    assert 2 <= len(places) <= 8
    assert all(after - before > 50 for before, after in pairwise(places))
