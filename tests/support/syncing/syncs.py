"""What a program puts on disk before it answers, noted by a small preloaded library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("syncs.c")

#: A line of the notes that begins with this is none of a file: the program has come to a place of which it says the name.
PLACE = "= "


def why_unavailable() -> str | None:
    """Return the reason why this machine cannot note what is synced; None if it can."""
    if sys.platform != "linux":
        return "syncs are noted by preloading a library, as on Linux"
    if shutil.which("cc") is None:
        return "syncs are noted by a library that takes a C compiler, which is not installed"
    return None


def environment(folder: Path, notes: Path) -> dict[str, str]:
    """Make the library in a folder and return the variables with which a program notes its syncs in the file `notes`."""
    library = folder / "syncs.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "SYNCS": str(notes)}


def between_places(notes: Path) -> list[tuple[str, list[str]]]:
    """Return the places that the program came to, in order, each with the paths synced since the place before."""
    found: list[tuple[str, list[str]]] = []
    synced: list[str] = []
    for line in notes.read_text().splitlines():
        if line.startswith(PLACE):
            found.append((line.removeprefix(PLACE), synced))
            synced = []
        else:
            synced.append(line)
    return found
