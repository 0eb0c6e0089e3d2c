"""How an image looks whatever cell it shows: the colours of its light and of its darkest part, and how sharp it is.

These change with stain, lamp, camera and focus. They need no network, so that a network that has learnt to overlook a foreign
stain does not hide one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smearcount.models.preprocessing import Pixels

Floats = npt.NDArray[np.float64]

#: Every eighth pixel in each direction shows the colours about as well as all of them, every twelfth row the sharpness.
_STEP, _ROW_STEP = 8, 12
#: Shares of the pixels, by brightness: the light between the cells, and the nucleus or whatever is darkest.
_LIGHT, _DARK = 0.10, 0.05
#: Distances in pixels whose differences of brightness are compared: fine structure against coarse structure.
_FINE, _COARSE = 1, 6
#: Added to every variance of the colours, as a share of their mean.
_SHRINKAGE = 0.01


def colours(pixels: Pixels) -> Floats:
    """Return the optical densities of the light between the cells and of the darkest part: float64, shape (n, 6).

    Args:
        pixels: uint8, shape (n, side, side, 3), RGB, 0-255.

    Returns:
        Red, green and blue of the brightest tenth of the pixels, then of the darkest twentieth; 0 is white, ln 256 black.
    """
    sparse = pixels[:, ::_STEP, ::_STEP]
    sparse = sparse.reshape(len(pixels), sparse.shape[1] * sparse.shape[2], 3)
    brightness = sparse.sum(axis=2, dtype=np.int32)
    count = brightness.shape[1]
    dark, light = max(1, int(_DARK * count)), max(1, int(_LIGHT * count))
    order = np.argpartition(brightness, (dark, count - light), axis=1)
    parts = [np.take_along_axis(sparse, chosen[..., np.newaxis], axis=1).mean(axis=1) for chosen in
             (order[:, count - light :], order[:, :dark])]  # fmt: skip
    densities: Floats = -np.log((np.concatenate(parts, axis=1) + 1.0) / 256.0)
    return densities


def sharpness(pixels: Pixels) -> Floats:
    """Return how much of each image's contrast is fine: float64, shape (n,), 0 or more; blur lowers it.

    The root mean square difference of neighbouring pixels, divided by that of pixels further apart, in the green channel, in
    which nuclei and red cells both show. So it depends neither on the strength of the stain nor on the light.
    """
    green = pixels[:, ::_ROW_STEP, :, 1].astype(np.float32)
    fine, coarse = (
        np.square(green[:, :, distance:] - green[:, :, :-distance]).mean(axis=(1, 2)) for distance in (_FINE, _COARSE)
    )
    ratio: Floats = np.sqrt(fine / np.maximum(coarse, 1e-6)).astype(np.float64)
    return ratio


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the training images look like."""

    #: Mean of `colours`: float32, shape (6,).
    mean: npt.NDArray[np.float32]
    #: Makes colours uncorrelated with a standard deviation of 1: float32, shape (6, 6).
    whitening: npt.NDArray[np.float32]
    #: Median distance of the training images' colours from their mean, and median of their sharpness: float32, shape (2,).
    typical: npt.NDArray[np.float32]

    def colour_distances(self, pixels: Pixels) -> Floats:
        """Return how far each image's colours are from the training images', about 1 for one of them: float64, shape (n,)."""
        distances = np.linalg.norm((colours(pixels) - self.mean) @ self.whitening, axis=1) / self.typical[0]
        rounded: Floats = distances.astype(np.float64).round(6)
        return rounded

    def sharpness(self, pixels: Pixels) -> Floats:
        """Return each image's sharpness in units of the training images', about 1 for one of them: float64, shape (n,)."""
        relative: Floats = (sharpness(pixels) / float(self.typical[1])).round(6)
        return relative


def fit_appearance(pixels: Pixels) -> Appearance:
    """Learn what n >= 2 training images look like: uint8, shape (n, side, side, 3), RGB, 0-255."""
    found = colours(pixels)
    mean = found.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(found, rowvar=False, bias=True))
    variances = np.maximum(variances, 0.0) + max(_SHRINKAGE * float(variances.mean()), 1e-9)
    whitening = axes / np.sqrt(variances)
    distances = np.linalg.norm((found - mean) @ whitening, axis=1)
    typical = np.maximum([np.median(distances), np.median(sharpness(pixels))], 1e-6)
    return Appearance(mean.astype(np.float32), whitening.astype(np.float32), typical.astype(np.float32))
