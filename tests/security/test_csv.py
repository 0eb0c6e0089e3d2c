"""A slide's name, or what a person wrote, is never run by the spreadsheet that opens a table."""

import codecs
import csv
import io

import pytest

from smearcount.cli.main import main
from smearcount.db.engine.database import Database
from smearcount.differential.forms.spreadsheet import csv_text

from support.serving import Lab

STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

#: What different programs and countries take for the end of a cell.
SEPARATORS = (",", ";", "\t", "\n", "\r", "\r\n")


def cells_as_read(text: str, separator: str) -> list[str]:
    """Split a table as a program does that takes `separator` for the end of a cell; quotes are as it pleases."""
    is_delimiter = len(separator) == 1 and separator not in "\r\n"
    rows = list(csv.reader(io.StringIO(text), delimiter=separator)) if is_delimiter else []
    read = [cell for row in rows for cell in row]
    bare = text.replace("\r", "\n").replace(separator, "\n").split("\n")
    return [*read, *bare]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "value",
    [
        "{}1+1",
        "a;{}1+1",
        "a\t{}1+1",
        "a\n{}1+1",
        "a\r\n{}1+1",
        'a;"{}1+1',
        "a; {}1+1",
        "a;;{}1",
        ";{}1;{}2",
        "\t{}1",
        " {}1",
        '"{}1',
    ],
)
def test_no_cell_begins_as_a_formula_however_it_is_split(value: str, start: str) -> None:
    text = csv_text(["name"], [[value.replace("{}", start)]])
    for separator in SEPARATORS:
        for cell in cells_as_read(text, separator):
            assert not cell.strip(' "').startswith(start), (text, separator)


def test_ordinary_values_stay_as_they_are() -> None:
    values = ["S-1234", "a-b", "a; b", "2026-01-01", "ä=ö", "x +y", "a,-b"]
    assert list(csv.reader(io.StringIO(csv_text(["v"], [[value] for value in values]))))[1:] == [[v] for v in values]
    assert csv_text(["v"], [[-1], [-0.5]]) == "v\n-1\n-0.5\n", "numbers are no text"


@pytest.mark.parametrize(
    "path", ["slides?format={}", "slides/1/cells?format={}", "slides/1/differential?format={}", "trends?format={}",
             "quarantined?format={}", "slides/1/export?form={}", "export?slides=1&form={}"],
)  # fmt: skip
def test_tables_for_excel_begin_with_the_mark_of_utf_8(lab: Lab, path: str) -> None:
    lab.add_slide("Ł=1")
    with lab.client() as client:
        plain = client.get(f"/api/v1/{path.format('csv')}")
        excel = client.get(f"/api/v1/{path.format('csv-excel')}")
    assert plain.status_code == excel.status_code == 200
    assert not plain.content.startswith(codecs.BOM_UTF8)
    assert excel.content.startswith(codecs.BOM_UTF8)
    if "export" not in path and "differential" not in path:
        assert excel.content.removeprefix(codecs.BOM_UTF8) == plain.content


def test_commands_print_for_excel_too(sqlite_database: Database, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    url = f"sqlite:///{sqlite_database.file}"
    for form in ("csv", "csv-excel"):
        assert main(["slides", "--database", url, "--format", form]) == 0
    out = capfdbinary.readouterr().out
    assert out.count(codecs.BOM_UTF8) == 1
