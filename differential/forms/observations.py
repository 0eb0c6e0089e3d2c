"""A slide's result as a list of coded numbers, the shape that FHIR and HL7 v2 share."""

from collections.abc import Iterator
from dataclasses import dataclass

from smearcount.differential.classes import CellClass
from smearcount.differential.flags import Flag
from smearcount.differential.forms import codes
from smearcount.differential.forms.codes import Code, Unit
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.intervals import Interval
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.report import DifferentialRow, SlideReport

#: Decimals of the percentages and of the correction factor. With 100 to 400 cells, further decimals have no meaning, and
#: the raw counts beside them are exact.
PERCENT_DIGITS = 2
FACTOR_DIGITS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One number of a result, rounded for sending.

    `value` is in `unit`; it is None if there is none, for example a percentage without any WBC. `before_review` is the same
    number by the automatic calls, None if no cell was reviewed. `interval` (95 %) and `reference` are in `unit` too.
    `basis` says in words what was divided by what, or which cells were counted, and `borderline` is the flag of a number that is
    neither high nor low for too few cells.
    """

    code: Code
    unit: Unit
    value: float | None
    before_review: float | None = None
    interval: Interval | None = None
    reference: Interval | None = None
    flag: RangeFlag | None = None
    borderline: Flag | None = None
    basis: str | None = None


def observations(examination: SlideExamination) -> tuple[Observation, ...]:
    """Return the numbers of a slide's result: the differential, then the counts behind it, then the others."""
    result = examination.reported
    before = None if examination.reviewed is None else examination.automatic
    return (*_differential(result, before), *_counts(result, before), *_rest(examination, result, before))


def _differential(result: SlideReport, before: SlideReport | None) -> Iterator[Observation]:
    automatic = {} if before is None else {row.cell_class: row for row in before.differential}
    flags = {flag.code: flag for flag in result.flags}
    for row in result.differential:
        earlier = automatic.get(row.cell_class)
        yield Observation(
            code=codes.PERCENTS[row.cell_class],
            unit=codes.PERCENT,
            value=_rounded(row.percent),
            before_review=None if earlier is None else _rounded(earlier.percent),
            interval=_interval(row),
            reference=_reference(row),
            flag=row.flag,
            borderline=flags.get(f"{RangeFlag.BORDERLINE}:{row.cell_class}"),
            basis=None if row.percent is None else f"{row.count} of {result.wbc_counted} WBC",
        )
    nrbc = result.nrbc_per_100_wbc
    yield Observation(
        code=codes.NRBC,
        unit=codes.PER_100_WBC,
        value=_rounded(nrbc),
        before_review=None if before is None else _rounded(before.nrbc_per_100_wbc),
        basis=None if nrbc is None else f"{result.cells[CellClass.ERYTHROBLAST]} beside {result.wbc_counted} WBC",
    )


def _counts(result: SlideReport, before: SlideReport | None) -> Iterator[Observation]:
    yield _count(codes.WBC_COUNTED, result.wbc_counted, None if before is None else before.wbc_counted)
    for cell_class, code in codes.COUNTS.items():
        yield _count(code, result.cells[cell_class], None if before is None else before.cells[cell_class])


def _rest(examination: SlideExamination, result: SlideReport, before: SlideReport | None) -> Iterator[Observation]:
    if result.wbc_correction_factor is not None:
        yield Observation(
            code=codes.WBC_CORRECTION,
            unit=codes.FACTOR,
            value=round(result.wbc_correction_factor, FACTOR_DIGITS),
        )
    yield _count(codes.PLATELETS, result.platelets, None if before is None else before.platelets)
    yield _count(codes.UNIDENTIFIED, result.unidentified, None if before is None else before.unidentified)
    yield _count(codes.REVIEWED_CELLS, examination.reviewed_cells, None)
    yield Observation(
        code=codes.EXCLUDED_CELLS,
        unit=codes.CELLS,
        value=len(examination.remarks.excluded),
        basis=examination.remarks.excluded_text or None,
    )


def _count(code: Code, number: int, before: int | None) -> Observation:
    return Observation(code=code, unit=codes.CELLS, value=number, before_review=before)


def _interval(row: DifferentialRow) -> Interval | None:
    if row.ci95_low is None or row.ci95_high is None:
        return None
    return Interval(round(row.ci95_low, PERCENT_DIGITS), round(row.ci95_high, PERCENT_DIGITS))


def _reference(row: DifferentialRow) -> Interval | None:
    if row.reference_low is None or row.reference_high is None:
        return None
    return Interval(row.reference_low, row.reference_high)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, PERCENT_DIGITS)
