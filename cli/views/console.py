"""The two outputs of a command: results go to standard output, messages and progress to standard error.

A message that cannot be written is dropped. A result that cannot be written is an error of the command, unless it has called
`drop_lost_results`. Rich is loaded when there is something to print: most watchers and workers never print anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from smearcount.cli.errors import CommandError
from smearcount.cli.views.outputs import in_encoding

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@cache
def results() -> Console:
    """Return the console of standard output."""
    from rich.console import Console  # noqa: PLC0415

    class Results(Console):
        """Tells who prints that the reader of the results has ended; rich would end the process with code 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Results(highlight=False, soft_wrap=False)


@cache
def messages() -> Console:
    """Return the console of standard error."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_message(text: str) -> None:
    """Print a message for a person on standard error."""
    messages().print(text, markup=False)


def print_result(what: RenderableType = "") -> None:
    """Print a result for a person on standard output; rich fits it to the terminal. Print an empty line without one.

    Raises:
        CommandError: It cannot be written, for example to a full disk.
    """
    with written():
        results().print(what)


def print_raw(text: str) -> None:
    """Print a result for a program on standard output, exactly as it is; add a line end if it has none.

    Raises:
        CommandError: It cannot be written, for example to a full disk.
    """
    with written():
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        # A program that reads `status --watch` through a pipe must get each block at once, not when a buffer is full.
        sys.stdout.flush()


def print_json(text: str) -> None:
    """Print a JSON text on standard output; it is the same document whatever the encoding.

    Raises:
        CommandError: It cannot be written, for example to a full disk.
    """
    print_raw(in_encoding(text))


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


@contextmanager
def written() -> Iterator[None]:
    """Make an error of the command of what keeps its results from being written.

    Raises:
        CommandError: They cannot be written, for example to a full disk.
        BrokenPipeError: The program that reads them, such as `head`, has ended, which is no error.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_results()
        raise CommandError(f"the output cannot be written: {error.strerror}") from None


def abandon_results() -> None:
    """Lead standard output nowhere: at its end, Python would try again to write what is left, and fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
