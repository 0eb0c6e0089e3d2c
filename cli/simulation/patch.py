"""The part of a smear that is painted, and the two random textures of which everything on it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

#: One number per pixel, float32, shape (height, width).
Field = npt.NDArray[np.float32]

#: RGB from 0 to 255, float32: one colour, shape (3,), or one per pixel, shape (height, width, 3).
Colour = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Patch:
    """A window onto a canvas, with the position of each of its pixels relative to a point of interest.

    `rgb` is a view, shape (height, width, 3): painting the patch paints the canvas. `dx` has shape (1, width), `dy`
    (height, 1), both in pixels from the point.
    """

    rgb: Colour
    dx: Field
    dy: Field

    @classmethod
    def around(cls, canvas: Colour, x: float, y: float, reach: float) -> Patch:
        """Return the part of `canvas` within `reach` pixels of (x, y) on either axis; it may be empty."""
        height, width = canvas.shape[:2]
        left, right = (min(max(round(x + side * reach), 0), width) for side in (-1, 1))
        top, bottom = (min(max(round(y + side * reach), 0), height) for side in (-1, 1))
        return cls(
            rgb=canvas[top:bottom, left:right],
            dx=np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x),
            dy=np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]

    def moved(self, x: float, y: float) -> Patch:
        """Return the same pixels, relative to a point that lies x pixels to the right and y pixels further down."""
        return Patch(self.rgb, self.dx - np.float32(x), self.dy - np.float32(y))

    def paint(self, colour: Colour, cover: Field) -> None:
        """Paint `colour` over the patch; `cover` is its opacity from 0 to 1, per pixel."""
        self.rgb[...] += (colour - self.rgb) * cover[..., None]


def soft_edge(depth: Field, width: float = 2.0) -> Field:
    """Return the opacity of a body: from a depth in pixels (negative outside), it rises from 0 to 1 over `width` pixels."""
    cover: Field = np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)
    return cover


def grain(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Field:
    """Return smooth noise of mean 0 and standard deviation about 1; its spots are about `scale` pixels apart.

    Args:
        shape: Height and width in pixels.
        scale: Distance between spots in pixels.
        rng: Decides the noise.
    """
    height, width = shape
    coarse = rng.standard_normal((int(height / scale) + 4, int(width / scale) + 4), dtype=np.float32)
    # Shift the grid by a random phase; otherwise the spots of all noises would lie in the same rows and columns.
    left, top = rng.uniform(1, 2, 2)
    box = (left, top, left + width / scale, top + height / scale)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(smooth, dtype=np.float32) * np.float32(1.35)


def speckle(where: npt.NDArray[np.bool_], count: int, radius: float, rng: np.random.Generator) -> Field:
    """Return the opacity of round granules, from 0 to 1 per pixel.

    Args:
        where: Pixels that the granules' centres may lie on, shape (height, width).
        count: Number of granules.
        radius: Radius of a granule in pixels.
        rng: Decides the places.
    """
    places = np.flatnonzero(where)
    dots = np.zeros(where.size, dtype=np.float32)
    if len(places):
        dots[rng.choice(places, count)] = rng.uniform(0.5, 1.3, count).astype(np.float32)
    # A blurred dot has its maximum at 1 / (2 pi sigma^2). Cut off at a third of that, it is a disc with a soft edge.
    sigma = radius * 0.75
    blurred = _blur(dots.reshape(where.shape), sigma) * np.float32(2 * math.pi * sigma**2)
    cover: Field = np.clip((blurred - np.float32(0.25)) * np.float32(2.5), 0, 1)
    return cover


def _blur(field: Field, sigma: float) -> Field:
    reach = math.ceil(2.5 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    height, width = field.shape
    padded = np.pad(field, reach)
    rows = np.zeros((height, width + 2 * reach), dtype=np.float32)
    for offset, tap in enumerate(taps):
        rows += tap * padded[offset : offset + height]
    blurred = np.zeros_like(field)
    for offset, tap in enumerate(taps):
        blurred += tap * rows[:, offset : offset + width]
    return blurred
