"""Clocks that tests set while programs run, by a small preloaded library; the machine's own clock is never changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")
_BYTES = 8


def why_unavailable() -> str | None:
    """Return the reason why this machine cannot set clocks; None if it can."""
    if sys.platform != "linux":
        return "clocks are set by preloading a library, as on Linux"
    if shutil.which("cc") is None:
        return "clocks are set by a library that takes a C compiler, which is not installed"
    return None


class Clock:
    """The time of day of one program. Its measurements of durations stay right."""

    def __init__(self, folder: Path) -> None:
        """Begin with the right time, in a new folder that the program may read."""
        folder.mkdir()
        folder.chmod(0o755)
        self._library = folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self._library, _SOURCE], check=True)
        self._off_by = folder / "off-by"
        self._off_by.write_bytes(bytes(_BYTES))
        self._off_by.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that give a program and its children this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFF_BY": str(self._off_by)}

    def step(self, seconds: int) -> None:
        """Step the clock to so many seconds from the true time."""
        descriptor = os.open(self._off_by, os.O_WRONLY)
        try:
            os.pwrite(descriptor, seconds.to_bytes(_BYTES, sys.byteorder, signed=True), 0)
        finally:
            os.close(descriptor)

    def set_right(self) -> None:
        """Set the clock to the true time."""
        self.step(0)
