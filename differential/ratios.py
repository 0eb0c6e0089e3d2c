"""The arithmetic of a differential: percentages, nucleated red cells, reference ranges."""

from enum import StrEnum

from smearcount.differential.classes import CellClass
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import SlideTally


class RangeFlag(StrEnum):
    """On which side of its reference range a percentage lies."""

    LOW = "low"
    HIGH = "high"


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


def range_flag(percent: float | None, reference: tuple[float, float] | None) -> RangeFlag | None:
    """Compare a percentage with its reference range (low, high), both in percent; the bounds belong to the range.

    Returns:
        The side on which the percentage lies outside; None within the range, without a range, and without a percentage.
    """
    if percent is None or reference is None:
        return None
    low, high = reference
    if percent < low:
        return RangeFlag.LOW
    if percent > high:
        return RangeFlag.HIGH
    return None
