"""The forms of results: tables for people, JSON and CSV for programs. The functions are pure; none of them prints.

Tables round to one decimal and fit into 80 columns; apart from rich's lines they are plain ASCII. JSON and CSV round nothing.
Names come from file names, which anyone can choose: a table shows them without markup and control characters. CSV comes
from `differential`, so that pages and commands write the same.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smearcount.differential.classes import DISPLAY_NAMES, SHORT_NAMES, WBC_CLASSES, CellClass
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.forms.report_page import calls as calls_in_words
from smearcount.differential.forms.report_page import signature
from smearcount.differential.forms.spreadsheet import (
    COUNTS_COLUMNS,
    SLIDES_COLUMNS,
    by_column,
    cell_text,
    columns_of,
    counts_csv,
    plain,
    rows_csv,
    slides_csv,
)
from smearcount.differential.forms.wording import RESEARCH_USE, cells, distinct, printable
from smearcount.differential.line import SlideLine
from smearcount.differential.report import DifferentialRow, SlideReport
from smearcount.differential.review_rules import ReviewReason
from smearcount.differential.tally import CallsAsked

if TYPE_CHECKING:
    from smearcount.differential.forms.spreadsheet import Row

__all__ = [
    "COUNTS_COLUMNS",
    "SLIDES_COLUMNS",
    "counts_csv",
    "counts_json",
    "differential_table",
    "lookalikes_text",
    "printed_lines",
    "rows_csv",
    "rows_json",
    "rows_table",
    "slides_csv",
    "slides_json",
    "slides_table",
]

_NOTHING = "-"
#: Columns of lists that hold names of slides, files and folders; others may hold sentences in which a path follows a space.
_NAMES = frozenset({"slide", "inbox", "name", "path", "folder", "filename"})
#: Most groups of names that look alike in one line.
_MOST_GROUPS = 3


def differential_table(examination: SlideExamination, calls: CallsAsked) -> RenderableType:
    """Return a slide's result for the terminal: the differential, the other numbers, the flags, the model and the remarks.

    Percentages are of the WBC counted, with their 95 % interval. With both calls and a review, there are two differentials, the
    result last.
    """
    parts: list[RenderableType] = [Text.assemble("Slide ", (distinct(examination.slide), "bold"))]
    for report in examination.by(calls):
        parts += [_heading(examination, report), _differential(report.differential), _summary(report), Text()]
    if examination.remarks != Remarks():
        parts += [_remarks(examination), Text()]
    return Group(*parts, Text(RESEARCH_USE, style="dim"))


def counts_json(examination: SlideExamination, calls: CallsAsked) -> str:
    """Return the counts of a slide as JSON; differential/counts.schema.json describes it."""
    return _json(examination.counts_document(calls).as_json())


def slides_table(lines: Iterable[SlideLine]) -> RenderableType:
    """Return a list of slides for the terminal, with the number of flags of each, and below it why slides ask for a person."""
    lines = list(lines)
    table = _table("Slide", "Status", "Calls", gap=1)
    for heading in ("WBC", *(SHORT_NAMES[cell_class] for cell_class in WBC_CLASSES), "nRBC", "Flags"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            Text(distinct(line.slide)),
            line.status.value,
            line.calls.value,
            str(line.wbc_counted),
            *(_decimal(line.percents[cell_class]) for cell_class in WBC_CLASSES),
            _decimal(line.nrbc_per_100_wbc),
            Text(str(len(line.flags)), style="bold") if line.flags else _NOTHING,
        )
    legend = Text("Classes in percent of the WBC counted, nRBC per 100 WBC.", style="dim")
    asking = [line for line in lines if line.review_reasons]
    return Group(table, legend, Text(), _reasons(asking)) if asking else Group(table, legend)


def slides_json(lines: Iterable[SlideLine]) -> str:
    """Return a list of slides as a JSON array."""
    return _json([line.as_json() for line in lines])


def printed_lines(text: str) -> str:
    """Return a message or an answer as lines that a terminal can show, whatever ends its segments."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(map(printable, lines))


def rows_table(rows: "Sequence[Row]", columns: Sequence[str] | None = None) -> RenderableType:
    """Return a list of dataclasses or mappings as a table for the terminal.

    Args:
        rows: The list; all of one kind.
        columns: Names of the fields to show; None for all fields of the first row.
    """
    columns = columns_of(rows, columns)
    cells = [by_column(row) for row in rows]
    table = _table(gap=1)
    for column in columns:
        kinds = {type(row[column]) for row in cells} - {type(None)}
        table.add_column(
            Text(printable(column.replace("_", " ").capitalize())),
            justify="right" if kinds and kinds <= {int, float} else "left",
            no_wrap=kinds <= {int, float, bool, datetime},
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(_shown(column, row[column])) for column in columns))
    return table


def rows_json(rows: "Sequence[Row]") -> str:
    """Return a list of dataclasses or mappings as a JSON array of objects."""
    return _json([plain(row) for row in rows])


def _heading(examination: SlideExamination, report: SlideReport) -> Text:
    """Return whose calls a differential is made of; where it is the result, also who signed it."""
    if report is not examination.reported:
        return Text(" Automatic calls alone, before review")
    lines = (calls_in_words(examination), signature(examination))
    return Text("\n".join(f" {line}" for line in lines if line))


def _remarks(examination: SlideExamination) -> Table:
    remarks = examination.remarks
    rows = [("Excluded", f"{cells(len(remarks.excluded))}: {remarks.excluded_text}")] if remarks.excluded else []
    rows += [("Remarks" if number == 0 else "", line) for number, line in enumerate(remarks.lines)]
    return _grid(rows)


def _reasons(lines: Iterable[SlideLine]) -> Table:
    table = _table("Slide", "Asks for a person")
    for line in lines:
        table.add_row(Text(distinct(line.slide)), Text(printable("; ".join(_messages(line.review_reasons)))))
    return table


def _messages(reasons: Iterable[ReviewReason]) -> list[str]:
    return [reason.message for reason in reasons]


def lookalikes_text(groups: Sequence[Sequence[str]]) -> str:
    """Return in words which slides have names that look alike, with what differs written out."""
    first = "; ".join(" and ".join(f"'{distinct(name)}'" for name in names) for names in groups[:_MOST_GROUPS])
    more = f"; and {len(groups) - _MOST_GROUPS} more" if len(groups) > _MOST_GROUPS else ""
    return f"names that look alike are different slides: {first}{more}; if they are one, give the folder one name"


def _differential(rows: Iterable[DifferentialRow]) -> Table:
    table = _table("Class")
    for heading in ("Count", "Percent", "95 % interval", "Reference"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Flag", no_wrap=True)
    for row in rows:
        table.add_row(
            DISPLAY_NAMES[row.cell_class],
            str(row.count),
            _decimal(row.percent),
            _NOTHING if row.ci95_low is None else f"{row.ci95_low:.1f}-{row.ci95_high:.1f}",
            _NOTHING if row.reference_low is None else f"{row.reference_low:g}-{row.reference_high:g}",
            Text(row.flag.value, style="bold") if row.flag else "",
        )
    return table


def _summary(report: SlideReport) -> Table:
    nrbc = f"{_decimal(report.nrbc_per_100_wbc)} ({report.cells[CellClass.ERYTHROBLAST]} seen)"
    if report.wbc_correction_factor is not None:
        nrbc += f", WBC correction factor {report.wbc_correction_factor:.3f}"
    model = "none yet"
    if report.model is not None:
        model = f"{report.model.name} {report.model.version} (SHA-256 {report.model.sha256[:12]})"
    flags = Text("\n").join(Text(printable(flag.message), style="bold") for flag in report.flags)
    reasons = Text("\n").join(Text(printable(message)) for message in _messages(report.review_reasons))
    return _grid(
        (
            ("WBC counted", str(report.wbc_counted)),
            ("nRBC/100 WBC", nrbc),
            ("Platelets", str(report.platelets)),
            ("Unidentified", str(report.unidentified)),
            ("Quarantined", str(report.quarantined)),
            ("Duplicates", str(report.duplicates)),
            ("Pending", str(report.pending)),
            ("Flags", flags if report.flags else "none"),
            ("To review", reasons if report.review_reasons else "no reason"),
            ("Model", model),
        )
    )


def _grid(rows: Iterable[tuple[str, str | Text]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        # The differential is indented by one column, the edge of its box.
        grid.add_row(f" {name}", value if isinstance(value, Text) else Text(printable(value)))
    return grid


def _table(*headings: str, gap: int = 2) -> Table:
    # The box itself puts one space between the columns.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        # Fold a long name into the next line: if it were cut short, it could look like the name of another slide.
        table.add_column(heading, overflow="fold")
    return table


def _decimal(number: float | None) -> str:
    return _NOTHING if number is None else f"{number:.1f}"


def _shown(column: str, value: object) -> str:
    """Return a value as a table shows it; of a name, nothing must stay unseen."""
    if isinstance(value, PurePath) or (column in _NAMES and isinstance(value, str)):
        return distinct(str(plain(value)))
    return printable(_words(value))


def _words(value: object) -> str:
    """Return a value as a table shows it: moments to the second, fractions below 1, such as a confidence, to 0.001."""
    simple = plain(value.replace(microsecond=0) if isinstance(value, datetime) else value)
    if simple is None or simple == []:
        return _NOTHING
    if isinstance(simple, bool):
        return "yes" if simple else "no"
    if isinstance(simple, float):
        return f"{simple:.3f}" if abs(simple) < 1 else f"{simple:.1f}"
    if isinstance(simple, list):
        return ", ".join(map(_words, simple))
    return cell_text(simple)


def _json(value: object) -> str:
    # ASCII alone, which every terminal and every pipe can carry, whatever its encoding.
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
