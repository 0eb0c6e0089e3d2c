"""Nuclei: their shapes, and the chromatin in them.

A depth is an array of float32, shape (height, width) of the patch: how many pixels inside the nucleus's edge each pixel lies,
negative outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smearcount.cli.simulation import outline, stain
from smearcount.cli.simulation.patch import Field, Patch, grain, soft_edge


@dataclass(frozen=True)
class Chromatin:
    """The look of chromatin; paleness from 0 to 1 as in `stain.violet`."""

    #: Mean of the paleness of clumps and gaps.
    middle: float
    #: Difference in paleness of clumps and gaps from the mean.
    contrast: float
    #: Distance between gaps, in pixels.
    scale: float
    #: Difference in paleness of the rim, which is darker.
    rim: float = 0.15
    #: Difference in red from the granules, of 255.
    red: float = 0


CLUMPED = Chromatin(middle=0.27, contrast=0.17, scale=4.2, red=3)
DENSE = Chromatin(middle=0.34, contrast=0.09, scale=3.8, rim=0.3, red=8)
LACY = Chromatin(middle=0.47, contrast=0.16, scale=3.4, rim=0.25, red=10)
OPEN = Chromatin(middle=0.4, contrast=0.21, scale=3.7, rim=0.28, red=3)
PYKNOTIC = Chromatin(middle=0.13, contrast=0.12, scale=4.0, rim=0.05)
VEILED = Chromatin(middle=0.42, contrast=0.12, scale=3.0, rim=0.1, red=5)


def draw_nucleus(patch: Patch, depth: Field, chromatin: Chromatin, rng: np.random.Generator) -> None:
    """Paint the nucleus whose shape is `depth` onto the patch."""
    ragged = depth + 0.7 * grain(patch.shape, 9, rng)
    colour = stain.violet(_paleness(ragged, chromatin, rng))
    colour[..., 0] += chromatin.red * np.clip(ragged / 6, 0, 1)
    patch.paint(colour, soft_edge(ragged, 2.5))


def _paleness(depth: Field, chromatin: Chromatin, rng: np.random.Generator) -> Field:
    threads = 0.95 * grain(depth.shape, chromatin.scale, rng) + 0.25 * grain(depth.shape, chromatin.scale / 2, rng)
    # Gaps are small and pale, clumps are large and equally dark: skew the shades to the pale side.
    threads += 0.2 * (threads * threads - 1)
    middle = chromatin.middle + rng.normal(0, 0.03)
    inside = np.clip(depth / 5, 0, 1)
    shades = middle + chromatin.contrast * threads - chromatin.rim * (1 - inside)
    return np.clip(shades + 0.03 * grain(depth.shape, 2, rng), 0, 0.95).astype(np.float32)


def lobes(patch: Patch, radius: float, number: int, rng: np.random.Generator) -> Field:
    """Return the depth in a nucleus of 2 to 5 lobes, joined by bridges, that fits a cell of `radius` pixels."""
    size = radius * {2: 0.4, 3: 0.335, 4: 0.295, 5: 0.27}[number]
    pieces = 7
    points = pieces * number
    spine = outline.bent(size * 2.05 * number, rng.uniform(2.2, 4.8), points, rng)
    place = (np.arange(points) % pieces + 0.5) / pieces
    sizes = np.repeat(rng.uniform(0.85, 1.12, number), pieces)
    pinch = rng.uniform(0.2, 0.5)
    swell = pinch + (1 - pinch) * np.sin(math.pi * place) ** 0.8
    return _laid_out(patch, radius, spine, size * sizes * swell, rng)


def band(patch: Patch, radius: float, rng: np.random.Generator) -> Field:
    """Return the depth in an unsegmented, sausage-shaped nucleus that fits a cell of `radius` pixels."""
    points = 16
    spine = outline.bent(radius * rng.uniform(1.25, 1.6), rng.uniform(2.0, 4.2), points, rng)
    swell = 1 - rng.uniform(0, 0.25) * np.sin(math.pi * np.linspace(0, 1, points)) ** 2
    sizes = radius * rng.uniform(0.26, 0.32) * swell * rng.uniform(0.95, 1.05, points)
    return _laid_out(patch, radius, spine, sizes, rng)


def kidney(patch: Patch, radius: float, rng: np.random.Generator, *, fat: float, turn: float) -> Field:
    """Return the depth in a bean or horseshoe.

    Args:
        patch: The patch, relative to the cell's centre.
        radius: The cell's radius in pixels.
        rng: Decides position and direction.
        fat: Half the width of the nucleus, as a share of the radius.
        turn: Angle in radians by which it turns from end to end.
    """
    points = 12
    spine = outline.bent(radius * 1.05, turn, points, rng)
    sizes = radius * fat * (1 - 0.12 * np.sin(math.pi * np.linspace(0, 1, points))) * rng.uniform(0.95, 1.05, points)
    return _laid_out(patch, radius, spine, sizes, rng)


def _laid_out(
    patch: Patch, radius: float, spine: outline.Spine, sizes: npt.NDArray[np.float64], rng: np.random.Generator
) -> Field:
    """Return the depth in discs along a spine, which is moved slightly and kept within the cell.

    `sizes` has the discs' radii in pixels, shape (points,).
    """
    moved = spine + rng.normal(0, radius * 0.07, 2).astype(np.float32)
    room = np.maximum(0.92 * radius - sizes, 0)
    reach = np.sqrt((moved**2).sum(axis=1))
    kept = moved * np.minimum(1, room / np.maximum(reach, 1e-3))[:, None]
    return outline.along(patch, kept.astype(np.float32), sizes.astype(np.float32))
