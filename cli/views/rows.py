"""Printing a list of records as a table, JSON or CSV.

It stands apart from the console, which every process loads: what it needs takes a tenth of a second to load.
"""

from collections.abc import Sequence
from typing import Any

from smearcount.cli.views import formats
from smearcount.cli.views.console import print_json, print_raw, print_result


def print_rows(rows: Sequence[Any], output: str, columns: Sequence[str] | None = None) -> None:
    """Print a list of records as table, JSON or CSV.

    Args:
        rows: Dataclasses or mappings, all of one kind.
        output: "table", "json" or "csv".
        columns: The columns of table and CSV; None for all fields of the first row.
    """
    if output == "json":
        print_json(formats.rows_json(rows))
    elif output == "csv":
        print_raw(formats.rows_csv(rows, columns))
    else:
        print_result(formats.rows_table(rows, columns))
