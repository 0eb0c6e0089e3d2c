"""Drawn cells, which a network trained on real cells recognises: for demonstrations without images of patients."""

import numpy as np
from PIL import Image, ImageFilter

from smearcount.cli.simulation import cells, stain
from smearcount.cli.simulation.background import draw_background
from smearcount.cli.simulation.patch import Colour, Patch
from smearcount.differential.classes import CellClass

#: Largest distance of a cell's edge from its centre, as a multiple of its mean radius.
_BULGE = 1.25

#: The lens blurs slightly, and the camera's sharpening leaves a faint halo at a distance of two pixels.
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
    """Draw one stained cell of the class among red cells, as the analyzer would photograph it: RGB, 360 × 363 px.

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
    # Blur the cell alone: the red cells are drawn with edges that are soft already.
    patch.rgb[...] = np.asarray(Image.fromarray(np.clip(patch.rgb, 0, 255).astype(np.uint8)).filter(_LENS))
    return _photograph(canvas, rng)


def _draw_stray_platelet(canvas: Colour, clear: float, rng: np.random.Generator) -> None:
    radius = rng.uniform(6, 12)
    height, width = canvas.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    if np.hypot(x - width / 2, y - height / 2) > clear + 2 * radius:
        cells.draw_platelet(Patch.around(canvas, x, y, 1.5 * radius), radius, rng)


def _photograph(canvas: Colour, rng: np.random.Generator) -> Image.Image:
    """Turn the scene under the microscope into the camera's picture: change the white balance, add sensor noise."""
    if rng.random() < stain.BLUISH_SHARE:
        canvas *= stain.BLUISH_PLASMA / stain.PLASMA
    canvas += rng.standard_normal((*canvas.shape[:2], 1), dtype=np.float32)
    np.clip(canvas, 0, 255, out=canvas)
    return Image.fromarray(canvas.astype(np.uint8))
