"""The contents of a slide's printed report, in words and rounded numbers, without layout and images."""

from dataclasses import dataclass
from datetime import datetime

from smearcount.differential.classes import DISPLAY_NAMES, CellClass
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.wording import RESEARCH_USE, cells, decimals, distinct, moment, named, printable
from smearcount.differential.report import DifferentialRow, SlideReport
from smearcount.differential.status import Status
from smearcount.differential.tally import Calls

LIMITS = (
    "The classes hold no blast, reactive lymphocyte, smudge cell or artefact: "
    "such a cell is in a wrong class or unidentified."
)

_NOTHING = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class PageRow:
    """One WBC class: texts for the table, rounded to 0.1 %, and numbers in percent for drawing a range bar."""

    cell_class: CellClass
    name: str
    count: int
    percent_text: str
    interval_text: str
    reference_text: str
    flag: str
    automatic_text: str
    changed: bool
    percent: float | None
    interval: tuple[float, float] | None
    reference: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPage:
    """A slide's report on one page; `report_page` makes it. All text is printable and without markup.

    `automatic_text` of a row has the automatic count; it is empty if no cell was reviewed. `facts` are the other numbers,
    each with its heading. `signature` is empty while nobody has signed. `excluded` says which cells people took out of the count;
    it is empty if there are none. `remarks` have all that people wrote, oldest first.
    """

    title: str
    slide: str
    slide_id: int
    report_id: str
    standing: str
    signature: str
    calls: str
    rows: tuple[PageRow, ...]
    facts: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    excluded: str
    remarks: tuple[str, ...]
    model: str
    limits: tuple[str, ...]
    images_from: str
    printed: str


def report_page(examination: SlideExamination, export: Export) -> ReportPage:
    """Return the contents of one slide's page."""
    result = examination.reported
    reviewed = examination.reviewed is not None
    return ReportPage(
        title="Differential count",
        slide=distinct(examination.slide) or f"slide {examination.slide_id}",
        slide_id=examination.slide_id,
        report_id=str(examination.report_id),
        standing=standing(examination),
        signature=signature(examination),
        calls=calls(examination),
        rows=tuple(
            _row(row, before, reviewed=reviewed)
            for row, before in zip(result.differential, examination.automatic.differential, strict=True)
        ),
        facts=_facts(examination),
        flags=tuple(printable(flag.message) for flag in result.flags),
        excluded=examination.remarks.excluded_text,
        remarks=examination.remarks.lines,
        model=_model(result),
        limits=(RESEARCH_USE, LIMITS),
        images_from=f"Images received from {_moment(result.first_image_at)} to {_moment(result.completed_at)}",
        printed=f"Printed {_moment(export.at)} by smearcount {printable(export.version)}",
    )


def standing(examination: SlideExamination) -> str:
    """Say whether the result is final."""
    if examination.is_amended:
        return "Amended: replaces a report that was signed earlier"
    if examination.is_signed:
        return "Final"
    if examination.status is Status.COUNTING:
        return "Not signed, still counting: every number may change"
    return "Not signed"


def signature(examination: SlideExamination) -> str:
    """Say who signed and when; return an empty text if nobody has."""
    if examination.signed_by is None:
        return ""
    return f"Signed by {named(examination.signed_by, 'unnamed')}, {_moment(examination.signed_at)}"


def calls(examination: SlideExamination) -> str:
    """Say whose calls the result is made of."""
    if examination.calls is Calls.AUTOMATIC:
        return "Automatic calls; no cell was called by a person"
    return f"Automatic calls, {cells(examination.reviewed_cells)} called by a person"


def _row(row: DifferentialRow, before: DifferentialRow, *, reviewed: bool) -> PageRow:
    interval = _bounds(row.ci95_low, row.ci95_high)
    reference = _bounds(row.reference_low, row.reference_high)
    return PageRow(
        cell_class=row.cell_class,
        name=DISPLAY_NAMES[row.cell_class],
        count=row.count,
        percent_text=_percent(row.percent),
        interval_text=_NOTHING if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}",
        reference_text=_NOTHING if reference is None else f"{reference[0]:g}–{reference[1]:g}",
        flag="" if row.flag is None else row.flag.value,
        automatic_text=f"{_percent(before.percent)} ({before.count})" if reviewed else "",
        changed=row.count != before.count,
        percent=row.percent,
        interval=interval,
        reference=reference,
    )


def _facts(examination: SlideExamination) -> tuple[tuple[str, str], ...]:
    result = examination.reported
    nrbc = result.nrbc_per_100_wbc
    facts = [
        ("WBC counted", str(result.wbc_counted)),
        ("nRBC per 100 WBC", f"{_percent(nrbc)} ({result.cells[CellClass.ERYTHROBLAST]} seen)"),
    ]
    if result.wbc_correction_factor is not None:
        facts.append(("WBC correction factor", decimals(result.wbc_correction_factor, 3)))
    return (
        *facts,
        ("Platelets seen", str(result.platelets)),
        ("Unidentified cells", str(result.unidentified)),
        ("Excluded by people", str(len(examination.remarks.excluded))),
        ("Files not used", str(result.quarantined)),
        ("Duplicates", str(result.duplicates)),
        ("Pending", str(result.pending)),
    )


def _model(result: SlideReport) -> str:
    if result.model is None:
        return "no model has made a call yet"
    return printable(f"{result.model.name} {result.model.version}, SHA-256 {result.model.sha256}")


def _bounds(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _percent(number: float | None) -> str:
    return _NOTHING if number is None else f"{number:.1f}"


def _moment(at: datetime | None) -> str:
    return _NOTHING if at is None else moment(at)
