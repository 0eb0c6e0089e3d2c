"""What every runtime of a network offers: it turns pixels into logits and features."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Reading:
    """What a network answers for n images."""

    #: One number per output of the network: float32, shape (n, k).
    logits: npt.NDArray[np.float32]
    #: Means over one of the network's maps, which the OOD score is computed from, and in newer weights files the inputs of
    #: its last layer after them: float32, shape (n, d); None where the weights file does not return them.
    features: npt.NDArray[np.float32] | None


class Network(Protocol):
    """A runtime holding one network. Not thread-safe: one object per thread at most."""

    def read(self, pixels: npt.NDArray[np.uint8]) -> Reading:
        """Return logits and features of n >= 0 images: uint8, shape (n, 128, 128, 3), RGB, 0-255."""
        ...
