"""The arithmetic of a differential: percentages, nucleated red cells, reference ranges."""

from enum import StrEnum

from smearcount.differential.classes import CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import SlideTally


class RangeFlag(StrEnum):
    """How a percentage lies outside its reference range."""

    LOW = "low"  # the whole interval lies below the range
    HIGH = "high"  # the whole interval lies above the range
    BORDERLINE = "borderline"  # outside, but too few cells to tell it from a percentage within the range


def per_100_wbc(count: int, wbc_counted: int) -> float | None:
    """Return cells per 100 WBC, which for a WBC class is its percent, not rounded; None if no WBC was counted.

    The operations are done in this order so that `100.0 * count / wbc` in SQL gives exactly the same double.
    """
    return 100.0 * count / wbc_counted if wbc_counted else None


def nrbc_per_100_wbc(tally: SlideTally) -> float | None:
    """Return the nucleated red cells per 100 WBC (CLSI H20), or None if no WBC was counted."""
    return per_100_wbc(tally.cells[CellClass.ERYTHROBLAST], tally.wbc_counted)


def wbc_correction_factor(nrbc: float | None, settings: CountSettings) -> float | None:
    """Return the factor 100 / (100 + nRBC per 100 WBC) for the WBC count of an analyzer that counts nRBC as WBC (CLSI H20).

    Args:
        nrbc: Nucleated red cells per 100 WBC; None if no WBC was counted.
        settings: They have the smallest number of nRBC per 100 WBC for which the factor is given, customarily 5.

    Returns:
        The factor, between 0 and 1; None below that number and without any WBC.
    """
    if nrbc is None or nrbc < settings.nrbc_correction_at:
        return None
    return 100.0 / (100.0 + nrbc)


def range_flag(
    count: int, wbc_counted: int, reference: tuple[float, float] | None, *, minimum_wbc: int
) -> RangeFlag | None:
    """Compare the percentage of a WBC class with its reference range, as far as the number of cells allows.

    A percentage of a few hundred cells has a wide interval: with one cell of 140, the exact 95 % interval reaches from 0.0 to
    3.9 %. So a percentage is high or low only if its whole interval (Clopper-Pearson, 2.5 % on either side) lies outside the
    range, and if at least the minimum number of WBC was counted. Then chance alone would lead to such a count in fewer than
    2.5 % of the slides of a person whose true percentage lies at the limit.

    Args:
        count: Cells of the class.
        wbc_counted: All WBC counted, the class among them.
        reference: Lowest and highest percentage within the range, both in percent; None without a range.
        minimum_wbc: Fewer WBC are too few for any percentage to be high or low.

    Returns:
        None if the percentage lies within the range or on its bounds, without a range, and without any WBC; otherwise LOW or
        HIGH if the interval excludes the range, and BORDERLINE if it does not or the WBC are too few.
    """
    percent = per_100_wbc(count, wbc_counted)
    if percent is None or reference is None:
        return None
    low, high = reference
    if low <= percent <= high:
        return None
    if wbc_counted >= minimum_wbc:
        interval = clopper_pearson(count, wbc_counted)
        if percent > high and interval.low > high:
            return RangeFlag.HIGH
        if percent < low and interval.high < low:
            return RangeFlag.LOW
    return RangeFlag.BORDERLINE
