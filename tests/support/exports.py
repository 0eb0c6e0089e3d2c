"""Exports for tests: many distinct cell images, made quickly."""

import io
from functools import cache
from pathlib import Path

import numpy as np

from smearcount.cli.simulation.drawing import draw_cell
from smearcount.differential.classes import CellClass

#: Drawing takes longer than classifying, so a few cells are drawn and each is used many times.
_DRAWN_PER_CLASS = 3


@cache
def _drawn() -> list[bytes]:
    rng = np.random.default_rng(5)
    images = []
    for cell_class in CellClass:
        for _ in range(_DRAWN_PER_CLASS):
            buffer = io.BytesIO()
            draw_cell(cell_class, rng).save(buffer, format="JPEG", quality=90)
            images.append(buffer.getvalue())
    return images


def cell_bytes(number: int) -> bytes:
    """Return the file of cell `number`: one of a few pictures, but no two numbers give the same bytes."""
    pictures = _drawn()
    # Every decoder ignores what follows the end-of-image marker.
    return pictures[number * 7 % len(pictures)] + number.to_bytes(8, "big")


def exports(slides: int, cells: int) -> dict[str, bytes]:
    """Return the files of an export, by path within the inbox."""
    return {
        f"S{slide:02}/cell-{cell:04}.jpg": cell_bytes(slide * 10_000 + cell)
        for slide in range(slides)
        for cell in range(cells)
    }


def drop(inbox: Path, files: dict[str, bytes]) -> None:
    """Write files into an inbox."""
    for path, data in files.items():
        target = inbox / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
