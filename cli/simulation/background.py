"""The background of a cell image: plasma, and red cells that leave room for the cell."""

import math

import numpy as np

from smearcount.cli.simulation import outline, stain
from smearcount.cli.simulation.patch import Colour, Patch, grain, soft_edge

#: A red cell whose centre lies at most so many pixels outside the image can still reach into it.
MARGIN = 45.0


def draw_background(clear: float, rng: np.random.Generator) -> Colour:
    """Return a canvas of plasma with red cells.

    Args:
        clear: Radius in pixels around the image's centre that no red cell reaches into.
        rng: Decides where the red cells lie and how they look.

    Returns:
        RGB from 0 to 255, float32, shape (363, 360, 3).
    """
    width, height = stain.IMAGE_SIZE
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[...] = stain.PLASMA + rng.normal(0, 1, 3).astype(np.float32)
    canvas *= (1 + 0.004 * grain((height, width), 160, rng))[..., None]
    look = _Look(rng)
    for x, y, diameter in _places(clear, rng):
        look.draw_red_cell(canvas, x, y, diameter / 2)
    return canvas


def _places(clear: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Scatter red cells; return x, y and diameter of each, in pixels."""
    width, height = stain.IMAGE_SIZE
    mean = stain.RED_CELL_DIAMETER.draw(rng)
    # In a thick part of the smear the cells overlap; in a thin part they lie apart.
    crowding = rng.uniform(0.8, 1.2)
    places: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(25, 110))):
        x = rng.uniform(-MARGIN, width + MARGIN)
        y = rng.uniform(-MARGIN, height + MARGIN)
        diameter = mean * rng.uniform(0.88, 1.12)
        if math.hypot(x - width / 2, y - height / 2) < clear + diameter * 0.5:
            continue
        near = rng.uniform(0.6, 1.0) * crowding
        if all(math.hypot(x - a, y - b) > near * (diameter + other) / 2 for a, b, other in places):
            places.append((x, y, diameter))
    return places


class _Look:
    """The properties that all red cells of one image share."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._colour = stain.RED_CELL + stain.RED_CELL_DEVIATION * np.float32(rng.normal())
        self._pallor = rng.uniform(0.2, 1.0)
        self._pallor_size = rng.uniform(0.3, 0.65)
        self._oval = rng.uniform(0.02, 0.1)
        self._crenated = rng.random() < 0.08

    def draw_red_cell(self, canvas: Colour, x: float, y: float, radius: float) -> None:
        rng = self._rng
        patch = Patch.around(canvas, x, y, radius * 1.25)
        if 0 in patch.shape:
            return
        depth = outline.rounded(patch, radius, rng, uneven=0.025, oval=self._oval, waves=5)
        if self._crenated:
            depth = outline.spiked(patch, depth, 13, 2.0, rng)
        # The disc is thin in its middle and absorbs less light there.
        outward = np.hypot(patch.dx, patch.dy)
        outward /= np.maximum(outward + depth, 1)
        hollow = np.clip((-outward + self._pallor_size * rng.uniform(0.7, 1.2)) / 0.28, 0, 1)
        hollow = hollow * hollow * (3 - 2 * hollow) * min(self._pallor * rng.uniform(0.5, 1.2), 0.95)
        rim = 0.14 * np.exp(-np.clip(depth - 2, 0, None) / (0.22 * radius))
        absorbed = soft_edge(depth, 2.5) * (1 - hollow) * (0.9 + rim)
        # Light passes through both of two overlapping cells, yet real overlaps are paler than the product of the two.
        light = np.clip(patch.rgb[..., 1] / stain.PLASMA[1], 0, 1)
        absorbed *= light * light * light
        colour = self._colour * np.float32(rng.uniform(0.97, 1.03))
        patch.rgb[...] *= 1 - absorbed[..., None] * (1 - colour / stain.PLASMA)
