"""Shapes of cells and nuclei, each as a depth: how many pixels inside the edge a pixel lies, negative outside.

A depth is an array of float32, shape (height, width) of the patch.
"""

import math

import numpy as np
import numpy.typing as npt

from smearcount.cli.simulation.patch import Field, Patch

#: The line along which a nucleus lies: x and y of its points, shape (points, 2), in pixels from the cell's centre.
Spine = npt.NDArray[np.float32]


def rounded(
    patch: Patch, radius: float, rng: np.random.Generator, *, uneven: float = 0.02, oval: float = 0.06, waves: int = 6
) -> Field:
    """Return the depth in a roundish body around the patch's point of interest.

    Args:
        patch: The pixels.
        radius: Mean radius in pixels.
        rng: Decides how the body is deformed.
        uneven: Amplitude of the waves of the outline, as a share of the radius.
        oval: Amplitude of the wave that makes it longer than wide, as a share of the radius.
        waves: Number of periods of the finest wave around the outline.
    """
    distance = np.sqrt(patch.dx**2 + patch.dy**2)
    direction = (patch.dx + np.complex64(1j) * patch.dy) / np.maximum(distance, np.float32(1e-3))
    reach = np.ones_like(distance)
    wave = direction
    for number in range(2, waves + 1):
        wave = wave * direction
        # Coarse waves deform more than fine ones, as in a body that its surface tension holds together.
        size = (oval if number == 2 else uneven * 2 / number) * rng.standard_normal()
        phase = rng.uniform(0, 2 * math.pi)
        reach += np.float32(size * math.cos(phase)) * wave.real + np.float32(size * math.sin(phase)) * wave.imag
    depth: Field = np.float32(radius) * reach - distance
    return depth


def spiked(patch: Patch, depth: Field, spikes: int, height: float, rng: np.random.Generator) -> Field:
    """Return `depth` with about `spikes` spikes of `height` pixels around the patch's point of interest."""
    angle = np.arctan2(patch.dy, patch.dx) + np.float32(rng.uniform(0, 2 * math.pi))
    # A slower wave shifts the spikes; without it they would be spaced as evenly as a cogwheel's teeth.
    around: Field = np.sin(spikes * angle + 1.5 * np.sin(3 * angle)).astype(np.float32)
    raised: Field = depth + np.float32(height) * around
    return raised


def bent(length: float, turn: float, points: int, rng: np.random.Generator) -> Spine:
    """Return a spine of `length` pixels that turns by `turn` radians from end to end, centred, in a random direction."""
    headings = np.linspace(-turn / 2, turn / 2, points) + rng.normal(0, 0.12, points) + rng.uniform(0, 2 * math.pi)
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / max(points - 1, 1))
    line = np.cumsum(steps, axis=0)
    centred: Spine = (line - line.mean(axis=0)).astype(np.float32)
    return centred


def along(patch: Patch, spine: Spine, radii: npt.NDArray[np.float32]) -> Field:
    """Return the depth in the union of discs around the points of the spine; `radii` in pixels, shape (points,)."""
    depth = np.full(patch.shape, -1e3, dtype=np.float32)
    for (x, y), radius in zip(spine, radii, strict=True):
        np.maximum(depth, radius - np.sqrt((patch.dx - x) ** 2 + (patch.dy - y) ** 2), out=depth)
    return depth
