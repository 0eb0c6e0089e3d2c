"""Results as CSV, for spreadsheets: no number is rounded, and no name is executed as a formula.

Names come from file names, which anyone can choose, and people write what they like; a spreadsheet takes a cell that begins with
"=" for a formula.
"""

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.line import SlideLine
from smearcount.differential.report import DifferentialRow, SlideReport
from smearcount.differential.tally import CallsAsked
from smearcount.differential.times import utc_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    #: One row of a list: a dataclass, or a mapping of column names to values.
    Row = DataclassInstance | Mapping[str, object]

_CLASS_COLUMNS = (
    "class",
    "count",
    "percent",
    "ci95_low",
    "ci95_high",
    "reference_low",
    "reference_high",
    "flag",
)

#: What people did with a slide: cells called, cells taken out of the count, which ones, and all that was written.
_WORK_COLUMNS = ("reviewed_cells", "excluded_cells", "excluded", "remarks")

#: Counts of a slide, one row per calls (automatic or reviewed) and class; each row repeats what people did.
COUNTS_COLUMNS = ("slide", *_CLASS_COLUMNS, "calls", *_WORK_COLUMNS)

#: A list of slides, one row each.
SLIDES_COLUMNS = (
    "slide",
    "inbox",
    "status",
    "images",
    "wbc_counted",
    *(f"{cell_class}_percent" for cell_class in WBC_CLASSES),
    "nrbc_per_100_wbc",
    "platelets",
    "unidentified",
    "quarantined",
    "duplicates",
    "pending",
    "flags",
    "first_image_at",
    "completed_at",
    "reviewed_cells",
    "review_reasons",
    "calls",
)

#: Examinations, one row per slide, calls (automatic or reviewed) and class; each row repeats the facts about the slide.
EXAMINATION_COLUMNS = (
    "report_id",
    "slide_id",
    "slide",
    "inbox",
    "status",
    "calls",
    *_CLASS_COLUMNS,
    "wbc_counted",
    "nrbc_per_100_wbc",
    "wbc_correction_factor",
    "unidentified",
    "quarantined",
    "duplicates",
    "pending",
    "flags",
    "reviewed_cells",
    "signed_by",
    "signed_at",
    "model_name",
    "model_version",
    "model_sha256",
    "first_image_at",
    "completed_at",
    *_WORK_COLUMNS[1:],
)

#: What stands between two remarks of one cell.
_BETWEEN_REMARKS = " // "

#: A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"); with full-width forms.
#: Where the decimal sign is a comma, it lets a cell begin after a semicolon as well, and some do after a tab or within quotes
#: after a line break. So an apostrophe goes in front of each, wherever a cell may begin.
_FORMULA = re.compile(r"""(\A(?=[\t\r\n])|(?:\A|[;\t\r\n])(?:(?![;\t\r\n])[\s"])*(?=[-=+@＝＋－＠]))""")

#: These classes are in every count, but not in the differential: they have a count and no percentage.
_OUTSIDE_THE_DIFFERENTIAL = (CellClass.ERYTHROBLAST, CellClass.PLATELET)


def counts_csv(examination: SlideExamination, calls: CallsAsked) -> str:
    """Return the counts of a slide by the calls asked for as CSV, one row per calls and class, all eight classes.

    Erythroblasts and platelets have a count alone, since they are not in the differential. Percentages are not rounded.
    """
    work = [examination.reviewed_cells, *_excluded_and_remarks(examination)]
    rows = (
        [report.slide, *cells, report.calls, *work] for report in examination.by(calls) for cells in _class_rows(report)
    )
    return csv_text(COUNTS_COLUMNS, rows)


def examinations_csv(*examinations: SlideExamination) -> str:
    """Return one or more slides as CSV: eight rows with the automatic count and, if reviewed, eight with the reviewed one.

    The columns are EXAMINATION_COLUMNS. To get one result per slide, keep the rows with the last `calls` of each.
    """
    return csv_text(EXAMINATION_COLUMNS, (row for examination in examinations for row in _rows(examination)))


def slides_csv(lines: Iterable[SlideLine]) -> str:
    """Return a list of slides as CSV; the codes of the flags, and those of the reasons to review, are separated by spaces."""
    rows = []
    for line in lines:
        cells = line.as_json()
        percents = cells.pop("percents")
        cells |= {f"{name}_percent": percent for name, percent in percents.items()}
        rows.append([cells[column] for column in SLIDES_COLUMNS])
    return csv_text(SLIDES_COLUMNS, rows)


def rows_csv(rows: "Sequence[Row]", columns: Sequence[str] | None = None) -> str:
    """Return a list of dataclasses or mappings as CSV; with `columns`, an empty list has a heading too."""
    columns = columns_of(rows, columns)
    return csv_text(columns, ([row[column] for column in columns] for row in map(by_column, rows)))


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as CSV with a heading line; None is an empty cell, moments are in UTC, lists are joined by spaces."""
    lines = [_csv_line(columns)] if columns else []
    lines += [_csv_line([_csv_cell(value) for value in row]) for row in rows]
    return "".join(lines)


def for_excel(text: str) -> str:
    """Return CSV with the mark at its beginning (BOM) by which Excel knows UTF-8; other programs take it for a part of a name."""
    return f"\ufeff{text}"


def plain(value: object) -> Any:
    """Return a value as JSON has it: moments as text in UTC, enumerations by value, paths as text, rows as objects."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = by_column(value)
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [plain(content) for content in value]
    return value


def by_column(row: "Row") -> Mapping[str, object]:
    """Return the values of one row of a list by the names of their columns."""
    if isinstance(row, Mapping):
        return row
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def columns_of(rows: "Sequence[Row]", columns: Sequence[str] | None) -> Sequence[str]:
    """Return the columns of a list: those given, else the fields of the first row."""
    if columns is not None:
        return columns
    return list(by_column(rows[0])) if rows else []


def cell_text(value: object) -> str:
    """Return text unchanged, and any other plain value as JSON writes it, such as true or {"a": 1}."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(examination: SlideExamination) -> Iterable[list[object]]:
    for calls, report in examination.reports:
        model = report.model
        before = [
            str(examination.report_id), examination.slide_id, examination.slide, examination.inbox, examination.status, calls,
        ]  # fmt: skip
        after = [
            report.wbc_counted,
            report.nrbc_per_100_wbc,
            report.wbc_correction_factor,
            report.unidentified,
            report.quarantined,
            report.duplicates,
            report.pending,
            [flag.code for flag in report.flags],
            examination.reviewed_cells,
            examination.signed_by,
            examination.signed_at,
            *((None, None, None) if model is None else (model.name, model.version, model.sha256)),
            report.first_image_at,
            report.completed_at,
            *_excluded_and_remarks(examination),
        ]
        for of_class in _class_rows(report):
            yield [*before, *of_class, *after]


def _excluded_and_remarks(examination: SlideExamination) -> list[object]:
    remarks = examination.remarks
    return [len(remarks.excluded), remarks.excluded_text or None, _BETWEEN_REMARKS.join(remarks.lines) or None]


def _class_rows(report: SlideReport) -> Iterable[list[object]]:
    for row in report.differential:
        yield _class_cells(row)
    for cell_class in _OUTSIDE_THE_DIFFERENTIAL:
        yield [cell_class, report.cells[cell_class], *[None] * (len(_CLASS_COLUMNS) - 2)]


def _class_cells(row: DifferentialRow) -> list[object]:
    return [
        row.cell_class,
        row.count,
        row.percent,
        row.ci95_low,
        row.ci95_high,
        row.reference_low,
        row.reference_high,
        row.flag,
    ]


def _csv_line(values: Iterable[object]) -> str:
    # The csv module quotes the characters of its line end alone: with "\n", a carriage return in a name would begin
    # another row.
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _csv_cell(value: object) -> object:
    simple = plain(value)
    if simple is None:
        return ""
    if isinstance(simple, int | float) and not isinstance(simple, bool):
        return simple
    cell = " ".join(map(cell_text, simple)) if isinstance(simple, list) else cell_text(simple)
    # A file name that is not UTF-8 contains lone surrogates, which cannot be encoded.
    cell = cell.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return _FORMULA.sub(r"\1'", cell)
