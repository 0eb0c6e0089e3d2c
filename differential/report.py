"""The result of a slide: raw counts, percentages with intervals, and flags."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.counts_document import (
    SCHEMA_VERSION,
    CellsDocument,
    CountsDocument,
    FlagDocument,
    IntervalDocument,
    ModelDocument,
    ReferenceDocument,
    ReviewReasonDocument,
    RowDocument,
)
from smearcount.differential.flags import Flag, slide_flags
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.model import ModelIdentity
from smearcount.differential.ratios import RangeFlag, nrbc_per_100_wbc, per_100_wbc, range_flag, wbc_correction_factor
from smearcount.differential.review_rules import ReviewReason, review_reasons
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, SlideTally


@dataclass(frozen=True, slots=True)
class DifferentialRow:
    """One WBC class of a differential: `count` in cells, all other numbers in percent of the WBC counted, not rounded.

    Percent and interval (95 %, Clopper-Pearson) are None if no WBC was counted. The reference is None if the site has set
    none.
    """

    cell_class: CellClass
    count: int
    percent: float | None
    ci95_low: float | None
    ci95_high: float | None
    reference_low: float | None
    reference_high: float | None
    flag: RangeFlag | None

    @property
    def document(self) -> RowDocument:
        """The row as it stands in the JSON of a report."""
        reference = None
        if self.reference_low is not None and self.reference_high is not None:
            reference = ReferenceDocument(low=self.reference_low, high=self.reference_high)
        return RowDocument(
            cell_class=self.cell_class,
            count=self.count,
            percent=self.percent,
            ci95=IntervalDocument(low=self.ci95_low, high=self.ci95_high),
            reference=reference,
            flag=self.flag,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideReport:
    """The result of one slide; `report` makes it.

    `model` is the newest model with a call that is counted here. `cells` has all eight classes, `differential` the six WBC
    classes in customary order. `nrbc_per_100_wbc` and `wbc_correction_factor` are ratios (see `ratios`), not rounded. The
    other numbers are cells or files. `calls` says whose calls are counted.
    """

    slide: str
    status: SlideStatus
    model: ModelIdentity | None
    cells: Mapping[CellClass, int]
    wbc_counted: int
    differential: tuple[DifferentialRow, ...]
    nrbc_per_100_wbc: float | None
    wbc_correction_factor: float | None
    platelets: int
    unidentified: int
    pending: int
    quarantined: int
    duplicates: int
    flags: tuple[Flag, ...]
    review_reasons: tuple[ReviewReason, ...]
    first_image_at: datetime | None
    completed_at: datetime | None
    calls: Calls

    @property
    def document(self) -> CountsDocument:
        """The report as its JSON has it."""
        model = None
        if self.model is not None:
            model = ModelDocument(name=self.model.name, version=self.model.version, sha256=self.model.sha256)
        return CountsDocument(
            schema_version=SCHEMA_VERSION,
            slide=self.slide,
            status=self.status,
            model=model,
            cells=CellsDocument(**{cell_class.value: count for cell_class, count in self.cells.items()}),
            wbc_counted=self.wbc_counted,
            differential=tuple(row.document for row in self.differential),
            nrbc_per_100_wbc=self.nrbc_per_100_wbc,
            wbc_correction_factor=self.wbc_correction_factor,
            platelets=self.platelets,
            unidentified=self.unidentified,
            pending=self.pending,
            quarantined=self.quarantined,
            duplicates=self.duplicates,
            flags=tuple(FlagDocument(code=flag.code, message=flag.message) for flag in self.flags),
            review_reasons=tuple(
                ReviewReasonDocument(code=reason.code, message=reason.message) for reason in self.review_reasons
            ),
            first_image_at=self.first_image_at,
            completed_at=self.completed_at,
            calls=self.calls,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values; counts.schema.json describes each.

        Nothing is rounded, and times are ISO 8601 in UTC.

        Raises:
            ValueError: A time has no time zone.
        """
        return self.document.as_json()


def report(tally: SlideTally, settings: CountSettings) -> SlideReport:
    """Apply the rules of the field, with the site's settings, to a slide's numbers."""
    nrbc = nrbc_per_100_wbc(tally)
    return SlideReport(
        slide=tally.slide,
        status=tally.status,
        model=tally.models[0] if tally.models else None,
        cells=tally.cells,
        wbc_counted=tally.wbc_counted,
        differential=tuple(_row(cell_class, tally, settings) for cell_class in WBC_CLASSES),
        nrbc_per_100_wbc=nrbc,
        wbc_correction_factor=wbc_correction_factor(nrbc, settings),
        platelets=tally.cells[CellClass.PLATELET],
        unidentified=tally.unidentified,
        pending=tally.pending,
        quarantined=tally.quarantined,
        duplicates=tally.duplicates,
        flags=slide_flags(tally, settings),
        review_reasons=review_reasons(tally, settings),
        first_image_at=tally.first_image_at,
        completed_at=tally.completed_at,
        calls=tally.calls,
    )


def _row(cell_class: CellClass, tally: SlideTally, settings: CountSettings) -> DifferentialRow:
    count, wbc = tally.cells[cell_class], tally.wbc_counted
    percent = per_100_wbc(count, wbc)
    interval = clopper_pearson(count, wbc) if wbc else None
    reference = settings.reference_ranges.get(cell_class)
    return DifferentialRow(
        cell_class=cell_class,
        count=count,
        percent=percent,
        ci95_low=interval.low if interval else None,
        ci95_high=interval.high if interval else None,
        reference_low=reference[0] if reference else None,
        reference_high=reference[1] if reference else None,
        flag=range_flag(count, wbc, reference, minimum_wbc=settings.minimum_wbc),
    )
