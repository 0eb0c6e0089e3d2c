"""Where results and messages are printed: results on standard output, everything else on standard error."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from smearcount.cli.views import formats

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
    # Whoever reads along through a pipe, as of `status --watch`, is not to wait until a buffer is full.
    sys.stdout.flush()


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal while something is under way; yields what to call with the number done."""
    with Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), console=messages, transient=True,
        disable=not messages.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def show_rows(rows: Sequence[Any], output: str, columns: Sequence[str] | None = None) -> None:
    """Print a list of records as table, JSON or CSV."""
    if output == "json":
        write(formats.rows_json(rows))
    elif output == "csv":
        write(formats.rows_csv(rows, columns))
    else:
        show(formats.rows_table(rows, columns))
