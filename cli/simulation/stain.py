"""Sizes and colours of blood cells in the May-Grünwald-Giemsa stain.

Measured on the PBC data set (Acevedo et al., "A dataset for microscopic peripheral blood cell images for development of
automatic recognition systems", 2020, CC BY 4.0): medians and clusters over some hundred images of each class. Sizes are
diameters in pixels of a 360 × 363 px image; colours are RGB, 0-255.
"""

from dataclasses import dataclass

import numpy as np

from smearcount.cli.simulation.patch import Colour, Field
from smearcount.differential.classes import CellClass

#: Width and height of an exported image, in pixels.
IMAGE_SIZE = (360, 363)


@dataclass(frozen=True)
class Spread:
    """A measured quantity: its mean, its standard deviation, and the largest distance from the mean, in deviations."""

    mean: float
    deviation: float
    most: float = 2.0

    def draw(self, rng: np.random.Generator) -> float:
        """Return a value, at most `most` deviations from the mean."""
        return self.mean + self.deviation * float(np.clip(rng.standard_normal(), -self.most, self.most))


#: Diameter of a whole cell, in pixels.
CELL_DIAMETER: dict[CellClass, Spread] = {
    CellClass.BASOPHIL: Spread(125, 9),
    CellClass.EOSINOPHIL: Spread(131, 9),
    CellClass.ERYTHROBLAST: Spread(92, 10, most=1.6),
    CellClass.IG: Spread(138, 13),
    CellClass.LYMPHOCYTE: Spread(99, 7),
    CellClass.MONOCYTE: Spread(152, 10),
    CellClass.NEUTROPHIL: Spread(129, 8),
    CellClass.PLATELET: Spread(52, 6),
}
#: In pixels.
RED_CELL_DIAMETER = Spread(75, 4)

#: Distance of a cell's centre from the image's, in pixels, on each axis.
OFF_CENTRE = Spread(0, 3)


def rgb(red: float, green: float, blue: float) -> Colour:
    """Return one colour, 0 to 255 per channel, as float32, shape (3,)."""
    return np.array([red, green, blue], dtype=np.float32)


PLASMA = rgb(254, 228, 201)
#: About 1 image in 40 of the data set shows plasma in this colour instead.
BLUISH_PLASMA = rgb(226, 224, 237)
BLUISH_SHARE = 1 / 40
RED_CELL = rgb(206, 167, 168)
RED_CELL_DEVIATION = rgb(5, 5, 3)

#: The granules of platelets and young granulocytes.
AZUROPHIL = rgb(107, 45, 147)

#: Chromatin and other granules from densest to palest: the clusters of the nuclei's pixels lie on this line.
_VIOLETS = np.array(
    [
        [63, 23, 128],
        [68, 25, 135],
        [84, 38, 135],
        [104, 56, 141],
        [127, 83, 149],
        [157, 117, 161],
        [187, 152, 172],
    ],
    dtype=np.float32,
)


def violet(paleness: Field) -> Colour:
    """Return the colour of azurophilic matter per pixel.

    Args:
        paleness: From 0, densest, to 1, palest; values beyond count as 0 or 1. Shape (height, width).

    Returns:
        RGB from 0 to 255, float32, shape (height, width, 3).
    """
    steps = np.linspace(0, 1, len(_VIOLETS))
    return np.stack([np.interp(paleness, steps, channel) for channel in _VIOLETS.T], axis=-1).astype(np.float32)
