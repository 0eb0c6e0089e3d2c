"""What a classifier makes of out-of-distribution probes: images of another kind, which it should leave unidentified."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.dataset import LabelledFile, load_pixels
from smearcount.models.evaluation.ood_probes import PROBES, Family, Probe
from smearcount.models.inference.classification import Classification
from smearcount.models.inference.classifier import Classifier
from smearcount.models.preprocessing import Pixels, decode_cell
from smearcount.models.progress import SILENT, Progress

_DECODE_THREADS = 2

#: Images that each probe is made from, and the seed it is made with.
_PROBE_IMAGES = 64
_PROBE_SEED = 20260101


@dataclass(frozen=True)
class OodScores:
    """What became of the images of one probe; the best model leaves all but the mild ones unidentified."""

    #: Of the probe.
    name: str
    family: Family
    images: int
    #: Share left unidentified, 0-1.
    unidentified: float
    #: The others, by what they were called, most frequent first; no class without images.
    called: dict[CellClass, int]


def score_ood_probes(classifier: Classifier, calls: Calls, progress: Progress = SILENT) -> tuple[OodScores, ...]:
    """Turn some of the images into every probe and count what the classifier calls them.

    Args:
        classifier: the one that made the calls.
        calls: at least one; at most 64 of the images are used, as many of every class, read again from their files.
        progress: told after each probe.

    Returns:
        One entry per probe, in the order of `PROBES`; the same images always give the same ones.

    Raises:
        ImageRefused: an image has changed since it was classified.
    """
    pixels, _ = sample(calls, _PROBE_IMAGES)
    scores = []
    for number, probe in enumerate(PROBES):
        progress.step("images of another kind", number, len(PROBES))
        # Seeded by its name, so that another probe beside it changes nothing.
        rng = np.random.default_rng([_PROBE_SEED, *probe.name.encode()])
        scores.append(_ood_scores(probe, classifier.classify(probe.make(pixels.copy(), rng))))
    progress.step("images of another kind", len(PROBES), len(PROBES))
    return tuple(scores)


def _ood_scores(probe: Probe, calls: Sequence[Classification]) -> OodScores:
    called = Counter(call.cell_class for call in calls if call.identified)
    return OodScores(
        name=probe.name,
        family=probe.family,
        images=len(calls),
        unidentified=1 - called.total() / len(calls),
        called=dict(called.most_common()),
    )


def sample(calls: Calls, most: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Read some of the images that were called again: as many of every class, spread evenly.

    Returns:
        The pixels, uint8, shape (n, 128, 128, 3), and the labels as indices of CellClass, int64, shape (n,); n is at most `most`.

    Raises:
        ImageRefused: an image has changed since it was classified.
    """
    order = list(CellClass)
    files = [LabelledFile(calls.paths[i], order[calls.labels[i]]) for i in spread(calls.labels, most)]
    return load_pixels(files, decode_cell, threads=_DECODE_THREADS)


def spread(labels: npt.NDArray[np.int64], most: int) -> list[int]:
    """Return the positions of at most `most` of n labels, shape (n,): as many of every class, spread evenly."""
    seen = np.unique(labels)
    each = most // len(seen)
    positions: list[int] = []
    for label in seen:
        of_class = np.flatnonzero(labels == label)
        chosen = np.linspace(0, len(of_class) - 1, min(each, len(of_class))).astype(int)
        positions += of_class[chosen].tolist()
    return positions
