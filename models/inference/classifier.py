"""From pixels to classes, whatever runs the network.

A runtime turns pixels into logits and features (`models.inference.runtime.Network`). The steps after it are the same for all
runtimes: sub-types summed up to classes, temperature, softmax, threshold, and the limit of the OOD score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.models.card import load_card, verified_files
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.models.inference.classification import Classification, classifications, softmax
from smearcount.models.inference.ood import OodModel
from smearcount.models.inference.runtime import Network
from smearcount.models.inference.subtypes import class_logits
from smearcount.models.inference.trust import Seen, TrustModel, read_likeness, softened
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.settings import ModelSettings

_CLASSES = tuple(CellClass)


class Classifier(Protocol):
    """Classifies cell images. Not thread-safe: one object per thread at most."""

    @property
    def identity(self) -> ModelUsed:
        """The model and the threshold that the classifications come from."""
        ...

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Return a classification for each of n >= 0 images.

        Args:
            pixels: uint8, shape (n, 128, 128, 3), RGB, 0-255, as `decode_cell` returns them.

        Raises:
            ModelsError: the array has another shape or type.
        """
        ...


@dataclass(frozen=True)
class NetworkClassifier:
    """A network with everything that turns its numbers into calls."""

    network: Network
    identity: ModelUsed
    #: The logits are divided by it before the softmax.
    temperature: float
    #: The class that each output of the network counts as.
    outputs: Sequence[CellClass] = _CLASSES
    #: Gives the OOD scores; None where the model has none.
    ood_model: OodModel | None = None
    #: A cell with a higher OOD score is unidentified.
    ood_limit: float = float("inf")
    #: Gives the confidences; None where the softmax does, in models of earlier versions.
    trust: TrustModel | None = None

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Return a classification for each of n >= 0 images; none depends on the other images.

        Args:
            pixels: uint8, shape (n, 128, 128, 3), RGB, 0-255, as `decode_cell` returns them.

        Raises:
            ModelsError: the array has another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (INPUT_SIDE, INPUT_SIDE, 3):
            raise ModelsError(
                f"the classifier takes uint8 images of shape (n, {INPUT_SIDE}, {INPUT_SIDE}, 3), "
                f"not {pixels.dtype} of shape {pixels.shape}"
            )
        reading = self.network.read(pixels)
        logits = class_logits(reading.logits, self.outputs)
        ood_scores = looks = None
        if self.ood_model is not None and reading.features is not None:
            ood_scores = self.ood_model.scores(reading.features[:, : self.ood_model.width])
        if self.trust is None or reading.features is None or ood_scores is None:
            probabilities = softmax(logits, self.temperature)
        else:
            seen = Seen.of(pixels, reading.features, ood_scores, self.trust.appearance)
            probabilities = softened(logits, self.trust.confidences(logits / self.temperature, seen))
            looks = list(zip(seen.colour_distances.tolist(), seen.sharpness.tolist(), strict=True))
        return classifications(probabilities, self.identity.threshold, ood_scores, self.ood_limit, looks)


def load_classifier(settings: ModelSettings, *, threads: int) -> Classifier:
    """Load the model that the settings name, in the runtime that its card names.

    Load it in the process that uses it: no runtime promises to survive a fork.

    Args:
        settings: which model card, and the threshold where it is not the card's.
        threads: CPU threads for one batch. One per process, and a process per core, gives the most images per second.

    Raises:
        ModelInvalid: the card or its weights are missing, damaged or made for another version.
        RuntimeMissing: the card's runtime is not installed.
    """
    card = load_card(settings.model)
    weights, ood_model = verified_files(settings, card)
    identity = card.identity(settings.threshold)
    network = _RUNTIMES[card.runtime](weights, len(card.outputs), threads)
    if card.ood is None or ood_model is None:
        return NetworkClassifier(network, identity, card.temperature, card.outputs)
    known, trust = read_likeness(ood_model)
    return NetworkClassifier(network, identity, card.temperature, card.outputs, known, card.ood.limit, trust)


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
