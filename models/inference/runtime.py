"""What every runtime of a network offers: pixels in, logits and features out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Reading:
    """What a network says of n images."""

    #: One number per output of the network: shape (n, k).
    logits: npt.NDArray[np.float32]
    #: What the outputs were computed from: shape (n, d); None where the network does not tell.
    features: npt.NDArray[np.float32] | None


class Network(Protocol):
    """A runtime holding one network. Not thread-safe: one object per thread at most."""

    def read(self, pixels: npt.NDArray[np.uint8]) -> Reading:
        """Return logits and features of images of shape (n, 128, 128, 3), values 0-255, for any n >= 0."""
        ...
