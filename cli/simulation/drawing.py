"""Drawn cells: images that a network trained on real ones can recognise, for demonstrations without patients' images."""

import numpy as np
from PIL import Image, ImageFilter

from smearcount.cli.simulation import cells, stain
from smearcount.cli.simulation.background import draw_background
from smearcount.cli.simulation.patch import Colour, Patch
from smearcount.differential.classes import CellClass

#: How far a cell may reach beyond its mean radius, as a share of it.
_BULGE = 1.25

#: The lens blurs a little, and the camera's sharpening leaves a faint halo two pixels away.
_LENS = ImageFilter.Kernel(
    (5, 5),
    (
        *(-1, -2, -2, -2, -1),
        *(-2, 9, 32, 9, -2),
        *(-2, 32, 120, 32, -2),
        *(-2, 9, 32, 9, -2),
        *(-1, -2, -2, -2, -1),
    ),
)


def draw_cell(cell_class: CellClass, rng: np.random.Generator) -> Image.Image:
    """Draw one stained cell of the class amid red cells, as the analyzer would photograph it: RGB, 360 × 363 px.

    The same state of `rng` gives the same pixels. No pixel comes from a photograph.
    """
    radius = stain.CELL_DIAMETER[cell_class].draw(rng) / 2
    width, height = stain.IMAGE_SIZE
    canvas = draw_background(radius, rng)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))):
        _draw_stray_platelet(canvas, radius, rng)
    centre = (width / 2 + stain.OFF_CENTRE.draw(rng), height / 2 + stain.OFF_CENTRE.draw(rng))
    patch = Patch.around(canvas, *centre, radius * _BULGE + 6)
    cells.ARTISTS[cell_class](patch, radius, rng)
    # Red cells are drawn with edges as soft as the lens would make them; only the cell needs it.
    patch.rgb[...] = np.asarray(Image.fromarray(np.clip(patch.rgb, 0, 255).astype(np.uint8)).filter(_LENS))
    return _photograph(canvas, rng)


def _draw_stray_platelet(canvas: Colour, clear: float, rng: np.random.Generator) -> None:
    radius = rng.uniform(6, 12)
    height, width = canvas.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    if np.hypot(x - width / 2, y - height / 2) > clear + 2 * radius:
        cells.draw_platelet(Patch.around(canvas, x, y, 1.5 * radius), radius, rng)


def _photograph(canvas: Colour, rng: np.random.Generator) -> Image.Image:
    """Turn what lies under the microscope into what the camera made of it: white balance, sensor noise."""
    if rng.random() < stain.BLUISH_SHARE:
        canvas *= stain.BLUISH_PLASMA / stain.PLASMA
    canvas += rng.standard_normal((*canvas.shape[:2], 1), dtype=np.float32)
    np.clip(canvas, 0, 255, out=canvas)
    return Image.fromarray(canvas.astype(np.uint8))
