"""From pixels to classes, whatever runs the network.

A runtime is anything that turns pixels into logits (`Network`). What follows is the same for all of them: temperature,
softmax, threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from differential.classes import CellClass
from models.card import ModelCard, load_card, verified_weights
from models.errors import ModelsError, RuntimeMissing
from models.preprocessing import INPUT_SIDE
from models.settings import ModelSettings

_CLASSES = tuple(CellClass)


@dataclass(frozen=True)
class Classification:
    """What the network calls one cell."""

    #: The most probable class, also where it is too improbable to be counted.
    cell_class: CellClass
    #: Probability of that class, 0-1.
    confidence: float
    #: Probability of every class, in the order of CellClass; they sum to 1.
    probabilities: tuple[float, ...]
    #: False where the confidence is under the threshold: the cell is counted as unidentified.
    identified: bool


@dataclass(frozen=True)
class ModelIdentity:
    """What a stored result must name so that it can be traced and repeated."""

    name: str
    version: str
    #: SHA-256 of the weights file, hexadecimal.
    sha256: str
    #: Version of the preprocessing.
    preprocessing: str
    #: The threshold in force: the settings' or else the card's.
    threshold: float


class Network(Protocol):
    """A runtime holding one network. Not thread-safe: one object per thread at most."""

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the logits, shape (n, 8), of images of shape (n, 128, 128, 3), values 0-255, for any n >= 0."""
        ...


class Classifier(Protocol):
    """Classifies cell images. Not thread-safe: one object per thread at most."""

    @property
    def identity(self) -> ModelIdentity:
        """The model and the threshold that the classifications come from."""
        ...

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Classify images of shape (n, 128, 128, 3), RGB, 0-255, as `decode_cell` returns them, for any n >= 0."""
        ...


@dataclass(frozen=True)
class NetworkClassifier:
    """A network with the temperature and threshold that belong to it."""

    network: Network
    identity: ModelIdentity
    temperature: float

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Classify images of shape (n, 128, 128, 3), RGB, 0-255; a cell's result does not depend on its neighbours.

        Raises:
            ModelsError: the array has another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (INPUT_SIDE, INPUT_SIDE, 3):
            raise ModelsError(
                f"the classifier takes uint8 images of shape (n, {INPUT_SIDE}, {INPUT_SIDE}, 3), "
                f"not {pixels.dtype} of shape {pixels.shape}"
            )
        return classifications(softmax(self.network.logits(pixels), self.temperature), self.identity.threshold)


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the probabilities, shape (n, k), that logits of shape (n, k) stand for, divided by `temperature` first."""
    scaled = logits.astype(np.float64) / temperature
    # The largest becomes exp(0): nothing overflows, and the quotient is the same.
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def classifications(probabilities: npt.NDArray[np.float64], threshold: float) -> list[Classification]:
    """Turn probabilities, shape (n, 8), into calls; a confidence of exactly `threshold` is still identified."""
    calls = []
    for row in probabilities.tolist():
        confidence = max(row)
        calls.append(Classification(_CLASSES[row.index(confidence)], confidence, tuple(row), confidence >= threshold))
    return calls


def load_classifier(settings: ModelSettings, *, threads: int) -> Classifier:
    """Load the model that `settings` names, in the runtime its card names.

    Load it in the process that uses it: no runtime promises to survive a fork.

    Args:
        settings: which model card, and the threshold where it is not the card's.
        threads: CPU threads for one batch. One per process, and a process per core, gives the most images per second.

    Raises:
        ModelInvalid: the card or its weights are missing, damaged or made for another version.
        RuntimeMissing: the card's runtime is not installed.
    """
    card = load_card(settings.model)
    network = _RUNTIMES[card.runtime](verified_weights(settings.model, card), threads)
    return NetworkClassifier(network, identity_of(card, settings.threshold), card.temperature)


def identity_of(card: ModelCard, threshold: float | None = None) -> ModelIdentity:
    """Return what results of the card's model are traced by, with `threshold` in place of the card's if given."""
    return ModelIdentity(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        preprocessing=card.preprocessing,
        threshold=card.threshold if threshold is None else threshold,
    )


def _litert(weights: bytes, threads: int) -> Network:
    try:
        from models.litert import LiteRTNetwork  # noqa: PLC0415  (who only asks for a card need not load a runtime)
    except ImportError as error:
        raise RuntimeMissing(
            f"LiteRT cannot be loaded ({error}); install it with: pip install ai-edge-litert"
        ) from None
    return LiteRTNetwork(weights, threads=threads)


#: How each runtime a card can name is started, from the weights and a number of threads.
_RUNTIMES: dict[str, Callable[[bytes, int], Network]] = {"litert": _litert}
