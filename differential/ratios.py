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
    """Return cells per 100 WBC (for a WBC class: its percent), not rounded; None if no WBC was counted.

    The order of the operations is fixed, so that `100.0 * count / wbc` in SQL gives the very same double.
    """
    return 100.0 * count / wbc_counted if wbc_counted else None


def nrbc_per_100_wbc(tally: SlideTally) -> float | None:
    """Return the nucleated red cells per 100 WBC (CLSI H20), or None if no WBC was counted."""
    return per_100_wbc(tally.cells[CellClass.ERYTHROBLAST], tally.wbc_counted)


def wbc_correction_factor(nrbc: float | None, settings: CountSettings) -> float | None:
    """Return what to multiply an analyzer's WBC count with that took nRBC for WBC: 100 / (100 + nRBC per 100 WBC).

    None if there are fewer nRBC per 100 WBC than the settings name (customarily 5), or no WBC at all.
    """
    if nrbc is None or nrbc < settings.nrbc_correction_at:
        return None
    return 100.0 / (100.0 + nrbc)


def range_flag(percent: float | None, reference: tuple[float, float] | None) -> RangeFlag | None:
    """Compare a percentage with its reference range; the bounds themselves are within the range."""
    if percent is None or reference is None:
        return None
    low, high = reference
    if percent < low:
        return RangeFlag.LOW
    if percent > high:
        return RangeFlag.HIGH
    return None
