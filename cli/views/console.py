"""The two outputs of a command: results go to standard output, messages and progress to standard error.

Rich is loaded when there is something to print: most watchers and workers never print anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@cache
def results() -> Console:
    """Return the console of standard output."""
    from rich.console import Console  # noqa: PLC0415

    return Console(highlight=False, soft_wrap=False)


@cache
def messages() -> Console:
    """Return the console of standard error."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_message(text: str) -> None:
    """Print a message for a person on standard error."""
    messages().print(text, markup=False)


def print_result(what: RenderableType) -> None:
    """Print a result for a person on standard output; rich fits it to the terminal."""
    results().print(what)


def print_raw(text: str) -> None:
    """Print a result for a program on standard output, exactly as it is; add a line end if it has none."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    # A program that reads `status --watch` through a pipe must get each block at once, not when a buffer is full.
    sys.stdout.flush()


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar, on a terminal alone; yield the function that takes the number of things done so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    with Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), console=messages(), transient=True,
        disable=not messages().is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
