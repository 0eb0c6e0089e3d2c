"""Where results and messages are printed: results on standard output, everything else on standard error."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType

from cli import formats

results = Console(highlight=False, soft_wrap=False)
messages = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a message for a person."""
    messages.print(text, markup=False)


def show(what: RenderableType) -> None:
    """Print a result for a person."""
    results.print(what)


def write(text: str) -> None:
    """Print a result for a program, exactly as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def show_rows(rows: Sequence[Any], output: str, columns: Sequence[str] | None = None) -> None:
    """Print a list of records as table, JSON or CSV."""
    if output == "json":
        write(formats.rows_json(rows))
    elif output == "csv":
        write(formats.rows_csv(rows, columns))
    else:
        show(formats.rows_table(rows, columns))
