"""Bars that show percentages: places and widths for an SVG whose view box is 100 wide."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from smearcount.differential.classes import DISPLAY_NAMES, WBC_CLASSES, CellClass
from smearcount.differential.ratios import RangeFlag, per_100_wbc
from smearcount.differential.report import DifferentialRow

#: Gap between two parts of a stacked bar, in units of the view box, so that parts can be told apart without colours.
_GAP: Final = 0.6

#: Percentages at which a scale may end.
_ROUND_ENDS: Final = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100)


@dataclass(frozen=True, slots=True)
class Part:
    """One class in a stacked bar that is 100 wide."""

    cell_class: CellClass
    #: Distance of its left edge from the bar's, 0 to 100.
    start: float
    #: Its width, less the gap.
    width: float


@dataclass(frozen=True, slots=True)
class StackedBar:
    """A differential as one bar; `text` says the same in words."""

    parts: tuple[Part, ...]
    text: str


def stacked_bar(cells: Mapping[CellClass, int]) -> StackedBar:
    """Return the bar of the WBC classes that have cells; without any WBC it is empty."""
    wbc = sum(cells[one] for one in WBC_CLASSES)
    parts, texts, start = [], [], 0.0
    for one in WBC_CLASSES:
        percent = per_100_wbc(cells[one], wbc)
        if percent:
            parts.append(Part(one, round(start, 2), round(max(percent - _GAP, _GAP), 2)))
            texts.append(f"{DISPLAY_NAMES[one]} {percent:.1f} %")
            start += percent
    return StackedBar(tuple(parts), ", ".join(texts) or "no WBC counted")


class Shape(StrEnum):
    """Shape of a percentage's mark: within, below, above or in doubt outside the reference range, without a need for colours."""

    WITHIN = "within"
    LOW = "low"
    HIGH = "high"
    BORDERLINE = "borderline"


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeBar:
    """A percentage with its interval over the reference range, on a scale that is 100 wide."""

    #: Where the scale ends, in percent of the WBC; it begins at 0.
    end: float
    #: Place of the percentage, 0 to 100.
    at: float
    #: Places of the interval's ends, 0 to 100.
    interval: tuple[float, float]
    #: Places of the reference range's ends, 0 to 100; None if the site has set no range.
    band: tuple[float, float] | None
    shape: Shape
    #: The same in words.
    text: str


def range_bar(row: DifferentialRow) -> RangeBar | None:
    """Return the bar of a class; None without any WBC."""
    if row.percent is None or row.ci95_low is None or row.ci95_high is None:
        return None
    low, high = row.reference_low, row.reference_high
    end = _end(row)
    return RangeBar(
        end=end,
        at=_place(row.percent, end),
        interval=(_place(row.ci95_low, end), _place(row.ci95_high, end)),
        band=None if low is None or high is None else (_place(low, end), _place(high, end)),
        shape=Shape(row.flag.value) if row.flag is not None else Shape.WITHIN,
        text=_text(row),
    )


def _end(row: DifferentialRow) -> float:
    """Return the percentage at which a scale ends.

    Twice the upper end of the reference range, or more to show the percentage, and the interval up to three times the
    percentage; rounded up, at most 100.
    """
    wanted = max(2 * (row.reference_high or 0), row.percent or 0, min(row.ci95_high or 0, 3 * (row.percent or 0)), 1)
    return float(next((end for end in _ROUND_ENDS if end >= wanted), 100))


def _place(percent: float, end: float) -> float:
    return round(100 * min(percent, end) / end, 2)


def _text(row: DifferentialRow) -> str:
    text = f"{row.percent:.1f} %, 95 % interval {row.ci95_low:.1f} to {row.ci95_high:.1f} %"
    if row.reference_low is None:
        return f"{text}, no reference range"
    side = {None: "within", RangeFlag.LOW: "below", RangeFlag.HIGH: "above", RangeFlag.BORDERLINE: "outside"}[row.flag]
    doubt = ", cannot be told from normal" if row.flag is RangeFlag.BORDERLINE else ""
    return f"{text}, {side} the reference range {row.reference_low:g} to {row.reference_high:g} %{doubt}"
