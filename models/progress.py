"""How long computations report what they are doing, without knowing who shows it."""

from typing import Protocol


class Progress(Protocol):
    """Takes reports; called on the computation's own thread, so it should return quickly."""

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take note of how far a stage is.

        Args:
            stage: what is being done; another text begins another stage.
            done: steps done so far, 0 to `total`.
            total: steps of the stage.
            note: a figure of the moment, such as the loss.
        """
        ...

    def line(self, text: str) -> None:
        """Take a line that is worth keeping, such as the figures of a finished epoch."""
        ...


class _Silent:
    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show nothing."""

    def line(self, text: str) -> None:
        """Show nothing."""


#: For callers who want to show nothing.
SILENT: Progress = _Silent()
