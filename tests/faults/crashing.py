"""Ending a program that writes files at any of its steps, as a kill or a power cut does: nothing is tidied up after it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

Result = TypeVar("Result")


class Crash(BaseException):
    """The program ends here; no handler of ordinary errors may go on after it."""


class _Steps:
    def __init__(self, folder: Path, crash_at: int | None) -> None:
        self.folder = folder
        self.crash_at = crash_at
        self.taken = 0

    def concerns(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and self.folder in Path(path).parents

    def take(self) -> bool:
        """Count a step and tell whether it is the one to crash in; a crashed program does nothing more."""
        self.taken += 1
        if self.crash_at is not None and self.taken > self.crash_at:
            raise Crash
        return self.taken == self.crash_at


@contextmanager
def crashing(folder: Path, crash_at: int | None = None, *, only_renames: bool = False) -> Iterator[Callable[[], int]]:
    """Count what is done to files in `folder`, and crash in the step of this number (from 1).

    A step is making, writing, renaming or removing a file. Each counts twice: a crash in the first of the two comes before
    it is done (half-way through the content, for writing), in the second just after. Yields what returns the number so far.

    Args:
        folder: whatever is done elsewhere goes on undisturbed.
        crash_at: the step; None: never.
        only_renames: count no other steps; for programs that take long to run again.
    """
    steps = _Steps(folder, crash_at)

    def stepwise(action: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not steps.concerns(path):
                return action(path, *args, **kwargs)
            if steps.take():
                if action is write_bytes:
                    write_bytes(path, args[0][: len(args[0]) // 2])
                raise Crash
            result = action(path, *args, **kwargs)
            if steps.take():
                raise Crash
            return result

        return watched

    write_bytes = Path.write_bytes
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", stepwise(Path.replace))
        if not only_renames:
            patched.setattr(Path, "write_bytes", stepwise(write_bytes))
            patched.setattr(Path, "unlink", stepwise(Path.unlink))
            patched.setattr(os, "open", stepwise(os.open))
        patched.setattr(os, "fsync", lambda _: None)  # costs time, and no power is cut here
        yield lambda: steps.taken


def crash_at_every_rename(program: Callable[[], Result], folder: Path, state: Path) -> tuple[Result, int]:
    """Run a program until it comes to its end, crashing it before and after every rename in `folder`.

    It goes on each time from what the crashes before have left. The file `state` tells how far it is: as long as that stays
    the same, each run crashes one step later than the last.

    Returns:
        What the program returns in the end, and the number of crashes.
    """
    crashes, crash_at, before = 0, 1, _content(state)
    while True:
        try:
            with crashing(folder, crash_at, only_renames=True):
                return program(), crashes
        except Crash:
            crashes += 1
        now = _content(state)
        crash_at = crash_at + 1 if now == before else 1
        before = now


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
