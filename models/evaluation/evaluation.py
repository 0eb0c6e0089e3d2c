"""How well a classifier does on labelled images: ours, or a site's own when it validates the model.

The scores come with 95 % intervals, since a score from few images is a guess. And since a network calls anything one of its
classes, it is also shown out-of-distribution probes.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smearcount.differential.model import ModelUsed
from smearcount.models.errors import ImageRefused, ModelsError
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.dataset import LabelledFile, label_indices, labelled_files
from smearcount.models.evaluation.intervals import Intervals, intervals
from smearcount.models.evaluation.ood_scores import OodScores, score_ood_probes
from smearcount.models.evaluation.scores import Scores, score, share_of
from smearcount.models.evaluation.shift_scores import ShiftScores, score_shifts
from smearcount.models.evaluation.thresholds import ThresholdRow, threshold_rows
from smearcount.models.inference.classification import Classification
from smearcount.models.inference.classifier import Classifier
from smearcount.models.preprocessing import Pixels, decode_cell
from smearcount.models.progress import SILENT, Progress

_BATCH = 128
_DECODE_THREADS = 2


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of one model on one tree of images, how far they can be trusted, and how fast it went."""

    model: ModelUsed
    intervals: Intervals
    #: In rising order of the threshold.
    thresholds: tuple[ThresholdRow, ...]
    #: Share (0-1) of the images whose confidence reaches the threshold but whose OOD score exceeds its limit; None where the
    #: model gives no OOD scores.
    unidentified_by_ood: float | None
    #: One entry per probe.
    ood_probes: tuple[OodScores, ...]
    #: One entry per simulated foreign stain.
    shifts: tuple[ShiftScores, ...]
    #: Images that could not be classified, by the code of the reason; they are in no other figure.
    refused: dict[str, int]
    #: Images per second, of reading and decoding alone and of the network alone.
    decode_per_second: float
    network_per_second: float


def evaluate(classifier: Classifier, tree: Path, progress: Progress = SILENT) -> tuple[Evaluation, Calls]:
    """Classify every image under `tree`, which holds one folder per class, and compare with the folders' names.

    Some of the images are then turned into out-of-distribution probes, and shown in simulated foreign stains, and classified
    once more. The calls are returned
    beside the figures rather than among them: the names of files can identify a patient.

    Args:
        classifier: what calls the images; nobody else uses it meanwhile.
        tree: the folder; files that are no images are passed over, images that cannot be used are counted as refused.
        progress: told after every batch of images and every probe.

    Raises:
        ModelsError: no such folder, no images in it, or none that can be classified.
        ImageRefused: an image has changed between the two times it was read.
    """
    files = labelled_files(tree)
    passed = _classify(classifier, files, progress)
    calls = passed.calls
    if not calls.paths:
        raise ModelsError(f"none of the {len(files)} images in {tree} can be classified: {passed.refused}")
    scores = score(calls.probabilities, calls.labels, calls.identified)
    threshold = classifier.identity.threshold
    evaluation = Evaluation(
        **vars(scores),
        model=classifier.identity,
        intervals=intervals(scores.confusion),
        thresholds=threshold_rows(calls, threshold),
        unidentified_by_ood=None
        if calls.ood_scores is None
        else share_of(~calls.identified & (calls.confidences >= threshold)),
        ood_probes=score_ood_probes(classifier, calls, progress),
        shifts=score_shifts(classifier, calls, progress),
        refused=passed.refused,
        decode_per_second=len(files) / passed.decoding,
        network_per_second=len(calls.paths) / passed.classifying,
    )
    return evaluation, calls


@dataclass(frozen=True)
class _Pass:
    """One pass over all files, without those refused; decoding and network take turns, so that each is timed alone."""

    calls: Calls
    refused: dict[str, int]
    #: Seconds.
    decoding: float
    classifying: float


def _classify(classifier: Classifier, files: Sequence[LabelledFile], progress: Progress) -> _Pass:
    used: list[LabelledFile] = []
    calls: list[Classification] = []
    refused: Counter[str] = Counter()
    decoding = classifying = 0.0
    with ThreadPoolExecutor(_DECODE_THREADS) as pool:
        for start in range(0, len(files), _BATCH):
            part = files[start : start + _BATCH]
            began = time.perf_counter()
            decoded = list(pool.map(_decode, part))
            decoding += time.perf_counter() - began
            refused.update(pixels for pixels in decoded if isinstance(pixels, str))
            good = [(pixels, file) for pixels, file in zip(decoded, part, strict=True) if not isinstance(pixels, str)]
            if good:
                began = time.perf_counter()
                calls += classifier.classify(np.stack([pixels for pixels, _ in good]))
                classifying += time.perf_counter() - began
                used += [file for _, file in good]
            progress.step("classifying", start + len(part), len(files))
    return _Pass(_gathered(used, calls), dict(refused), decoding, classifying)


def _gathered(files: Sequence[LabelledFile], calls: Sequence[Classification]) -> Calls:
    ood_scores = [call.ood_score for call in calls if call.ood_score is not None]
    return Calls(
        paths=tuple(file.path for file in files),
        labels=label_indices(files),
        probabilities=np.array([call.probabilities for call in calls], dtype=np.float64),
        identified=np.array([call.identified for call in calls], dtype=np.bool_),
        # A model gives scores for all images or for none.
        ood_scores=np.array(ood_scores) if ood_scores else None,
    )


def _decode(file: LabelledFile) -> Pixels | str:
    """Return the pixels of a file, or the code of the reason why it has none."""
    try:
        return decode_cell(file.path.read_bytes())
    except ImageRefused as refusal:
        return refusal.code
    except OSError:
        return "unreadable"
