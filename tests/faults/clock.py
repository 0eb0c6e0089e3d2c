"""Clocks that can be set while programs run, by a small library that is preloaded; the machine's own is never touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")
_BYTES = 8


def why_unavailable() -> str | None:
    """Say why no clocks can be set here; None if they can."""
    if sys.platform != "linux":
        return "clocks are set by preloading a library, as on Linux"
    if shutil.which("cc") is None:
        return "clocks are set by a library that takes a C compiler, which is not installed"
    return None


class Clock:
    """What one program takes for the time of day. How long something lasts, it measures as always."""

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
        """What makes a program, and those that it starts, go by this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFF_BY": str(self._off_by)}

    def step(self, seconds: int) -> None:
        """Let it be off by so much, from one moment to the next."""
        descriptor = os.open(self._off_by, os.O_WRONLY)
        try:
            os.pwrite(descriptor, seconds.to_bytes(_BYTES, sys.byteorder, signed=True), 0)
        finally:
            os.close(descriptor)

    def set_right(self) -> None:
        """Let it tell the time again."""
        self.step(0)
