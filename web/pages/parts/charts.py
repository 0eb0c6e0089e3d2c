"""Charts of values over days: places in an SVG, in units of its view box, which is WIDTH by HEIGHT."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

#: Width and height of a chart with its margins, in units of the view box; y grows downwards.
WIDTH: Final = 560
HEIGHT: Final = 190
#: Margins around the lines, in the same units.
LEFT: Final = 46
RIGHT: Final = 16
TOP: Final = 12
BOTTOM: Final = 26

#: Distances between the lines of a grid, each times a power of ten.
_STEPS: Final = (1, 2, 2.5, 5, 10)
#: About how many distances a grid has, and at most how many dates are written below it.
_GRID_LINES: Final = 4
_MOST_DATES: Final = 6


@dataclass(frozen=True, slots=True)
class Within:
    """Limits of a scale, in units of the values, so that a small change does not look like a large one."""

    #: Least distance between the scale's ends.
    least_span: float
    begins_at_zero: bool = False
    #: The largest possible value; None if there is no limit.
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the lower and the upper end of a chart, and those at which grid lines are drawn."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return the y at which a value is drawn."""
        within = min(max(value, self.low), self.high)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (self.high - within) / (self.high - self.low), 1)


@dataclass(frozen=True, slots=True)
class Point:
    """The value of one day, and where it is drawn."""

    x: float
    y: float
    day: date
    value: float


@dataclass(frozen=True, slots=True)
class Band:
    """Mean and spread of a value in training, as y of the mean, of mean + spread, and of mean - spread."""

    middle: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Line:
    """The line of one quantity, over the days that have a value."""

    name: str
    points: tuple[Point, ...]
    band: Band | None

    @property
    def path(self) -> str:
        """The line as the points of an SVG polyline."""
        return " ".join(f"{point.x:g},{point.y:g}" for point in self.points)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    #: y of a mark on the vertical axis, x on the horizontal one.
    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One chart; `code` is unique on its page."""

    code: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is no value at all."""
        return not any(line.points for line in self.lines)


def chart(
    code: str,
    title: str,
    unit: str,
    series: Mapping[str, Sequence[tuple[date, float]]],
    *,
    days: tuple[date, date],
    within: Within,
    training: Mapping[str, tuple[float, float]] | None = None,
) -> Chart:
    """Return a chart.

    Args:
        code: names the chart in its page.
        title: heading of the chart.
        unit: unit of all values.
        series: by name, days and their values, in the order of the days.
        days: the first and the last day of the chart, whether they have a value or not.
        within: limits of the scale.
        training: by name of a series, mean and spread in the training data, in the same unit.
    """
    training = training or {}
    values = [value for line in series.values() for _, value in line]
    edges = [mean + side * spread for mean, spread in training.values() for side in (-1, 1)] if values else []
    scale = _scale(values + edges, within)
    return Chart(
        code=code,
        title=title,
        unit=unit,
        lines=tuple(
            Line(
                name,
                tuple(Point(_across(day, days), scale.place(value), day, value) for day, value in line),
                _band(training.get(name), scale),
            )
            for name, line in series.items()
        ),
        rows=tuple(Tick(scale.place(tick), f"{tick:g}") for tick in scale.ticks),
        columns=tuple(Tick(_across(day, days), f"{day:%d %b}") for day in _dates(days)),
    )


def _scale(values: Sequence[float], within: Within) -> Scale:
    """Return a scale with round ends that holds all values."""
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    if within.begins_at_zero:
        low = 0.0
    # A value that hardly changes must not look as if it changed a lot.
    missing = max(within.least_span - (high - low), 0)
    above = missing if within.begins_at_zero else min(missing / 2, (within.most or math.inf) - high)
    low, high = low - (missing - above), high + above
    wanted = (high - low) / _GRID_LINES
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(power * factor for factor in _STEPS if power * factor >= wanted * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(number * step, 10) for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def _across(day: date, days: tuple[date, date]) -> float:
    first, last = days
    share = (day - first).days / max((last - first).days, 1)
    return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)


def _band(training: tuple[float, float] | None, scale: Scale) -> Band | None:
    if training is None:
        return None
    mean, spread = training
    return Band(scale.place(mean), scale.place(mean + spread), scale.place(mean - spread))


def _dates(days: tuple[date, date]) -> list[date]:
    first, last = days
    span = (last - first).days
    step = max(math.ceil(span / _MOST_DATES), 1)
    return [date.fromordinal(last.toordinal() - back) for back in range(0, span + 1, step)][::-1]
