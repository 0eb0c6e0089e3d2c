"""What a long computation on a model reports, as people see it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from smearcount.cli.views.console import messages, print_raw


class ComputationView:
    """Draws a bar on a terminal (standard error) for the stage under way, and prints lines on standard output.

    Without a terminal it draws no bar. As a context manager, it removes the bar at the end.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Prepare to draw on a console, by default that of messages; nothing is drawn yet."""
        self._console = messages() if console is None else console
        self._shown: tuple[str, Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        """Return the view itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._clear()

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage is; see `smearcount.models.progress.Progress`."""
        if not self._console.is_terminal:
            return
        if self._shown is None or self._shown[0] != stage:
            self._clear()
            bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(), console=self._console, transient=True,
            )  # fmt: skip
            bar.start()
            self._shown = stage, bar, bar.add_task(stage, total=total, note=note)
        _, bar, task = self._shown
        bar.update(task, completed=done, note=note)

    def line(self, text: str) -> None:
        """Print a line that is worth keeping."""
        # A bar in the same terminal would be broken by it, and rich would send the line to the bar's console.
        self._clear()
        print_raw(text)

    def _clear(self) -> None:
        if self._shown is not None:
            self._shown[1].stop()
            self._shown = None
