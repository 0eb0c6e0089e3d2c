"""The images for all measurements: real ones if there are any, else drawn demo cells."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Cells on one slide, a usual count.
CELLS_PER_SLIDE = 160


def find_cells(images: Path, scratch: Path, *, at_least: int) -> list[Path]:
    """Return the image files under `images` in a fixed random order, or drawn ones where there are too few."""
    found = sorted(images.rglob("*.jpg")) if images.is_dir() else []
    if len(found) < at_least:
        folder = scratch / "drawn"
        slides = -(-at_least // CELLS_PER_SLIDE)
        command = [sys.executable, "-m", "smearcount.cli.main", "simulate", str(folder)]
        subprocess.run([*command, "--slides", str(slides), "--cells", str(CELLS_PER_SLIDE), "--seed", "1"], check=True)
        found = sorted(folder.rglob("*.jpg"))
    random.Random(1).shuffle(found)
    return found


def make_inbox(folder: Path, cells: Sequence[Path], images: int) -> Path:
    """Fill a new inbox with `images` files, as links to the cells; no slide holds the same cell twice."""
    # Links, so that a hundred thousand files need no space; across file systems only copies are possible.
    link = os.link if folder.parent.stat().st_dev == cells[0].stat().st_dev else shutil.copyfile
    # A file's number of links is limited, on some file systems to a few ten thousand, which no benchmark here reaches.
    for number in range(images):
        slide = folder / f"slide-{number // CELLS_PER_SLIDE:05}"
        if number % CELLS_PER_SLIDE == 0:
            slide.mkdir(parents=True)
        link(cells[number % len(cells)], slide / f"{number:07}.jpg")
    return folder


def warm(inbox: Path) -> list[Path]:
    """Read every file of an inbox once, so that all measurements find them in memory; return them in order."""
    files = sorted(inbox.rglob("*.jpg"))
    for file in files:
        file.read_bytes()
    return files
