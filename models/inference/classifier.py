"""From pixels to classes, whatever runs the network.

A runtime is anything that turns pixels into logits and features (`Network`). What follows is the same for all of them:
sub-types summed up to classes, temperature, softmax, threshold, and the limit of unlikeness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.card import ModelCard, load_card, verified_likeness, verified_weights
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.models.inference.ood import Likeness
from smearcount.models.inference.runtime import Network
from smearcount.models.inference.subtypes import class_logits
from smearcount.models.preprocessing import INPUT_SIDE
from smearcount.models.settings import ModelSettings

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
    #: False where the confidence is under the threshold or the unlikeness over its limit: the cell counts as unidentified.
    identified: bool
    #: How unlike the training images it is, about 1 for one of them; None where the model cannot tell.
    unlikeness: float | None = None


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
    """A network with everything that belongs to it."""

    network: Network
    identity: ModelIdentity
    temperature: float
    #: The class that each output of the network counts as.
    outputs: Sequence[CellClass] = _CLASSES
    #: How to tell images of another kind; None where the model cannot.
    likeness: Likeness | None = None
    #: An image more unlike the training images than this is unidentified.
    limit: float = float("inf")

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
        reading = self.network.read(pixels)
        probabilities = softmax(class_logits(reading.logits, self.outputs), self.temperature)
        unlikeness = None
        if self.likeness is not None and reading.features is not None:
            unlikeness = self.likeness.unlikeness(reading.features)
        return classifications(probabilities, self.identity.threshold, unlikeness, self.limit)


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the probabilities, shape (n, k), that logits of shape (n, k) stand for, divided by `temperature` first."""
    scaled = logits.astype(np.float64) / temperature
    # The largest becomes exp(0): nothing overflows, and the quotient is the same.
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def classifications(
    probabilities: npt.NDArray[np.float64],
    threshold: float,
    unlikeness: npt.NDArray[np.float64] | None = None,
    limit: float = float("inf"),
) -> list[Classification]:
    """Turn probabilities, shape (n, 8), and unlikeness, shape (n,), into calls.

    A confidence of exactly `threshold` and an unlikeness of exactly `limit` are still identified.
    """
    strangeness: Sequence[float | None] = [None] * len(probabilities) if unlikeness is None else unlikeness.tolist()
    calls = []
    for row, strange in zip(probabilities.tolist(), strangeness, strict=True):
        confidence = max(row)
        identified = confidence >= threshold and (strange is None or strange <= limit)
        calls.append(Classification(_CLASSES[row.index(confidence)], confidence, tuple(row), identified, strange))
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
    weights, likeness = _verified_files(settings, card)
    identity = identity_of(card, settings.threshold)
    network = _RUNTIMES[card.runtime](weights, len(card.outputs), threads)
    if card.likeness is None or likeness is None:
        return NetworkClassifier(network, identity, card.temperature, card.outputs)
    return NetworkClassifier(
        network, identity, card.temperature, card.outputs, Likeness.from_bytes(likeness), card.likeness.limit
    )


def check_model(settings: ModelSettings) -> ModelCard:
    """Return the card of the model that `settings` names, once all its files are known to be the right ones.

    Quicker than loading it; for commands that start others, so that they refuse once and at once.

    Raises:
        ModelInvalid: the card or a file it names is missing, damaged, exchanged or made for another version.
    """
    card = load_card(settings.model)
    _verified_files(settings, card)
    return card


def _verified_files(settings: ModelSettings, card: ModelCard) -> tuple[bytes, bytes | None]:
    """Return the content of the weights file and of the likeness file, if the model has one."""
    weights = verified_weights(settings.model, card, settings.model_sha256)
    return weights, None if card.likeness is None else verified_likeness(settings.model, card.likeness)


def identity_of(card: ModelCard, threshold: float | None = None) -> ModelIdentity:
    """Return what results of the card's model are traced by, with `threshold` in place of the card's if given."""
    return ModelIdentity(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        preprocessing=card.preprocessing,
        threshold=card.threshold if threshold is None else threshold,
    )


def _litert(weights: bytes, outputs: int, threads: int) -> Network:
    try:
        from smearcount.models.inference.litert import LiteRTNetwork  # noqa: PLC0415  (who only asks for a card need not load a runtime)
    except ImportError as error:
        raise RuntimeMissing(
            f"LiteRT cannot be loaded ({error}); install it with: pip install ai-edge-litert"
        ) from None
    return LiteRTNetwork(weights, outputs=outputs, threads=threads)


def _keras(weights: bytes, outputs: int, threads: int) -> Network:
    from smearcount.models.inference.keras_runtime import KerasNetwork  # noqa: PLC0415  (takes seconds and half a GB: only when asked for)

    return KerasNetwork(weights, outputs=outputs, threads=threads)


#: How each runtime a card can name is started: from the weights, the number of outputs and a number of threads.
_RUNTIMES: dict[str, Callable[[bytes, int, int], Network]] = {"litert": _litert, "keras": _keras}
