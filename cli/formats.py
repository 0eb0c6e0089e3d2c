"""How results are written: tables for people, JSON and CSV for programs. Pure: nothing here prints.

Tables round to one decimal and fit 80 columns, in plain ASCII beside what rich draws; JSON and CSV round nothing.
Names come from file names, which anyone may choose: a table shows them without markup and control characters, CSV
defuses what a spreadsheet would run as a formula.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from differential.classes import DISPLAY_NAMES, SHORT_NAMES, WBC_CLASSES, CellClass
from differential.line import SlideLine
from differential.report import DifferentialRow, SlideReport
from differential.times import utc_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    #: One row of a list: a dataclass, or a mapping of column names to values.
    Row = DataclassInstance | Mapping[str, object]

RESEARCH_USE = "Research use only until validated on site."

COUNTS_COLUMNS = (
    "slide",
    "class",
    "count",
    "percent",
    "ci95_low",
    "ci95_high",
    "reference_low",
    "reference_high",
    "flag",
)

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
)

#: What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection"), full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_NOTHING = "-"


def differential_table(report: SlideReport) -> RenderableType:
    """Return a slide's result for the terminal: the differential, the other numbers, the flags and the model."""
    return Group(
        Text.assemble("Slide ", (_shown(report.slide), "bold")),
        _differential(report.differential),
        _summary(report),
        Text(),
        Text(RESEARCH_USE, style="dim"),
    )


def counts_csv(*reports: SlideReport) -> str:
    """Return the counts of one or more slides as CSV, one row per slide and class, all eight classes.

    Erythroblasts and platelets have a count alone: they are not part of the differential.
    """
    rows: list[list[object]] = []
    for report in reports:
        rows += [[report.slide, *_class_cells(row)] for row in report.differential]
        rows += [
            [report.slide, cell_class, report.cells[cell_class], *[None] * 6]
            for cell_class in (CellClass.ERYTHROBLAST, CellClass.PLATELET)
        ]
    return _csv(COUNTS_COLUMNS, rows)


def counts_json(report: SlideReport) -> str:
    """Return the counts of a slide as JSON, as differential/counts.schema.json describes it."""
    return _json(report.as_json())


def slides_table(lines: Iterable[SlideLine]) -> RenderableType:
    """Return a list of slides for the terminal, with the number of flags of each."""
    table = _table("Slide", "Status", gap=1)
    for heading in ("WBC", *(SHORT_NAMES[cell_class] for cell_class in WBC_CLASSES), "nRBC", "Flags"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            Text(_shown(line.slide)),
            line.status.value,
            str(line.wbc_counted),
            *(_decimal(line.percents[cell_class]) for cell_class in WBC_CLASSES),
            _decimal(line.nrbc_per_100_wbc),
            Text(str(len(line.flags)), style="bold") if line.flags else _NOTHING,
        )
    return Group(table, Text("Classes in percent of the WBC counted, nRBC per 100 WBC.", style="dim"))


def slides_csv(lines: Iterable[SlideLine]) -> str:
    """Return a list of slides as CSV; the codes of the flags are separated by spaces."""
    rows = []
    for line in lines:
        cells = line.as_json()
        percents = cells.pop("percents")
        cells |= {f"{name}_percent": percent for name, percent in percents.items()}
        rows.append([cells[column] for column in SLIDES_COLUMNS])
    return _csv(SLIDES_COLUMNS, rows)


def slides_json(lines: Iterable[SlideLine]) -> str:
    """Return a list of slides as a JSON array."""
    return _json([line.as_json() for line in lines])


def rows_table(rows: "Sequence[Row]", columns: Sequence[str] | None = None) -> RenderableType:
    """Return any list of dataclasses or mappings for the terminal.

    The columns, named as the fields are, default to the fields of the first row.
    """
    columns = _columns(rows, columns)
    cells = [_cells(row) for row in rows]
    table = _table(gap=1)
    for column in columns:
        kinds = {type(row[column]) for row in cells} - {type(None)}
        table.add_column(
            Text(_shown(column.replace("_", " ").capitalize())),
            justify="right" if kinds and kinds <= {int, float} else "left",
            no_wrap=kinds <= {int, float, bool, datetime},
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(_shown(_words(row[column]))) for column in columns))
    return table


def rows_csv(rows: "Sequence[Row]", columns: Sequence[str] | None = None) -> str:
    """Return any list of dataclasses or mappings as CSV; give the columns for a heading even if there is no row."""
    columns = _columns(rows, columns)
    return _csv(columns, ([cells[column] for column in columns] for cells in map(_cells, rows)))


def rows_json(rows: "Sequence[Row]") -> str:
    """Return any list of dataclasses or mappings as a JSON array."""
    return _json([_plain(row) for row in rows])


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
    flags = Text("\n").join(Text(_shown(flag.message), style="bold") for flag in report.flags)
    summary = Table.grid(padding=(0, 2))
    summary.add_column(no_wrap=True)
    summary.add_column(overflow="fold")
    for name, value in (
        ("WBC counted", str(report.wbc_counted)),
        ("nRBC/100 WBC", nrbc),
        ("Platelets", str(report.platelets)),
        ("Unidentified", str(report.unidentified)),
        ("Quarantined", str(report.quarantined)),
        ("Duplicates", str(report.duplicates)),
        ("Pending", str(report.pending)),
        ("Flags", flags if report.flags else "none"),
        ("Model", model),
    ):
        # The table above is indented by one: the edge of its box.
        summary.add_row(f" {name}", value if isinstance(value, Text) else Text(_shown(value)))
    return summary


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


def _table(*headings: str, gap: int = 2) -> Table:
    # The box itself puts one space between the columns.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        # A long name goes on in the next line: cut short, it could be taken for another slide.
        table.add_column(heading, overflow="fold")
    return table


def _decimal(number: float | None) -> str:
    return _NOTHING if number is None else f"{number:.1f}"


def _shown(text: str) -> str:
    """Replace what is no printable character: a name must not move the cursor, ring or colour the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _words(value: object) -> str:
    """Return a value as a table shows it: moments to the second, small numbers such as a confidence to 0.001."""
    plain = _plain(value.replace(microsecond=0) if isinstance(value, datetime) else value)
    if plain is None or plain == []:
        return _NOTHING
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:.3f}" if abs(plain) < 1 else f"{plain:.1f}"
    if isinstance(plain, list):
        return ", ".join(map(_words, plain))
    return _json_cell(plain)


def _columns(rows: "Sequence[Row]", columns: Sequence[str] | None) -> Sequence[str]:
    if columns is not None:
        return columns
    return list(_cells(rows[0])) if rows else []


def _cells(row: "Row") -> Mapping[str, object]:
    if isinstance(row, Mapping):
        return row
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _plain(value: object) -> Any:
    """Return a value as JSON knows it: moments in UTC, enumerations by value, paths as text, rows as objects."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = _cells(value)
    if isinstance(value, Mapping):
        return {str(_plain(name)): _plain(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(content) for content in value]
    return value


def _json(value: object) -> str:
    # ASCII alone: it survives every terminal and every pipe, whatever their encoding.
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _csv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])
    return text.getvalue()


def _csv_cell(value: object) -> object:
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        return plain
    cell = " ".join(map(_json_cell, plain)) if isinstance(plain, list) else _json_cell(plain)
    # A file name that is no UTF-8 arrives with lone surrogates, which cannot be written as text.
    cell = cell.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell


def _json_cell(plain: object) -> str:
    """Return text as it is and everything else as JSON spells it: true, {"a": 1}."""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
