"""How well a classifier does on labelled images: ours, or a site's own when it validates the model.

A score from few images is a guess, so each has a 95 % interval; and whatever a network is shown, it calls it something, so
it is shown images of another kind as well.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from smearcount.differential.classes import CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.models.errors import ImageRefused, ModelsError
from smearcount.models.evaluation.calibration import expected_calibration_error, risk_coverage
from smearcount.models.evaluation.dataset import LabelledFile, label_indices, labelled_files, load_pixels
from smearcount.models.evaluation.ood_probes import KINDS, Kind
from smearcount.models.inference.classifier import Classification, Classifier, ModelIdentity
from smearcount.models.preprocessing import Pixels, decode_cell

_BATCH = 128
_DECODE_THREADS = 2

#: Thresholds that are tabulated beside the one in force.
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

#: Images that each kind of strangers is made from, and the seed it is made with.
_STRANGERS = 64
_STRANGERS_SEED = 20260101


@dataclass(frozen=True)
class ClassScores:
    """One class: shares are 0-1, None where nothing of the class was seen or called."""

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """Calls against labels. Accuracy, recall, precision and confusion count every image, identified or not."""

    images: int
    accuracy: float
    #: Mean recall over the classes that have images, also known as balanced accuracy: a rare class weighs as much as a
    #: common one.
    macro_recall: float
    classes: dict[CellClass, ClassScores]
    #: Images by label (row) and call (column), both in the order of CellClass.
    confusion: tuple[tuple[int, ...], ...]
    expected_calibration_error: float
    #: Share of the images left unidentified.
    unidentified: float
    #: Share of wrong calls among these; None where there are none.
    errors_among_unidentified: float | None
    #: Share of all wrong calls that are among these; None where no call is wrong.
    errors_unidentified: float | None
    #: Share of right calls among the others; None where there are none.
    accuracy_of_identified: float | None


@dataclass(frozen=True)
class ShareInterval:
    """A 95 % interval of a share, 0-1: what the chance of drawing these images rather than others explains."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassIntervals:
    """The intervals of one class's scores, None where the score is."""

    precision: ShareInterval | None
    recall: ShareInterval | None
    f1: ShareInterval | None


@dataclass(frozen=True)
class Intervals:
    """The 95 % intervals of `Scores`."""

    accuracy: ShareInterval
    macro_recall: ShareInterval
    classes: dict[CellClass, ClassIntervals]


@dataclass(frozen=True)
class ThresholdRow:
    """What one threshold costs and brings; shares are 0-1."""

    threshold: float
    #: True for the threshold in force, with everything else that leaves a cell unidentified; the other rows look at the
    #: confidence alone.
    in_force: bool
    #: Share of the cells left for review.
    review: float
    #: Share of all wrong calls that are among these; None where no call is wrong.
    errors_in_review: float | None
    #: Share of wrong calls among the cells counted; None where none is counted.
    errors_counted: float | None


@dataclass(frozen=True)
class StrangerScores:
    """What became of images of another kind; the best model leaves all but the mild ones unidentified."""

    name: str
    family: str
    images: int
    #: Share left unidentified, 0-1.
    unidentified: float
    #: The others, by what they were called, most frequent first; no class without images.
    called: dict[CellClass, int]


@dataclass(frozen=True, eq=False)
class Calls:
    """What n labelled images were called, in the order of their files."""

    paths: tuple[Path, ...]
    #: Indices of CellClass: shape (n,).
    labels: npt.NDArray[np.int64]
    #: As the classifier gives them, after its temperature: shape (n, 8).
    probabilities: npt.NDArray[np.float64]
    #: shape (n,)
    identified: npt.NDArray[np.bool_]
    #: How unlike the training images, shape (n,); None where the model cannot tell.
    unlikeness: npt.NDArray[np.float64] | None

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """Indices of CellClass: shape (n,)."""
        called: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return called

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        """Probability of the class called: shape (n,)."""
        confidences: npt.NDArray[np.float64] = self.probabilities.max(axis=1)
        return confidences

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each call is the label: shape (n,)."""
        correct: npt.NDArray[np.bool_] = self.called == self.labels
        return correct


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of one model on one tree of images, how far they can be trusted, and how fast it went."""

    model: ModelIdentity
    intervals: Intervals
    #: In rising order of the threshold.
    thresholds: tuple[ThresholdRow, ...]
    #: Share of the images that are confident enough, but unlike the training images; None where the model cannot tell.
    unlike: float | None
    strangers: tuple[StrangerScores, ...]
    #: Images that could not be classified, by the code of the reason; they are in no other figure.
    refused: dict[str, int]
    #: Images per second, of reading and decoding alone and of the network alone.
    decode_per_second: float
    network_per_second: float


def score(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.integer], identified: npt.NDArray[np.bool_]
) -> Scores:
    """Score the calls of n >= 1 images.

    Args:
        probabilities: of every class, in the order of CellClass: shape (n, 8).
        labels: the right classes, as indices of CellClass: shape (n,).
        identified: whether each image is counted rather than left for review: shape (n,).
    """
    calls, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = calls == labels
    confusion = np.zeros((len(CellClass), len(CellClass)), dtype=np.int64)
    np.add.at(confusion, (labels, calls), 1)
    classes = {label: _class_scores(confusion, index) for index, label in enumerate(CellClass)}
    recalls = [scores.recall for scores in classes.values() if scores.recall is not None]
    return Scores(
        images=len(labels),
        accuracy=float(correct.mean()),
        macro_recall=float(np.mean(recalls)),
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        expected_calibration_error=expected_calibration_error(confidences, correct),
        unidentified=float((~identified).mean()),
        errors_among_unidentified=_share((~correct)[~identified]),
        errors_unidentified=_share((~identified)[~correct]),
        accuracy_of_identified=_share(correct[identified]),
    )


def _class_scores(confusion: npt.NDArray[np.int64], index: int) -> ClassScores:
    right, seen, called = _counts(confusion, index)
    return ClassScores(
        images=seen,
        precision=right / called if called else None,
        recall=right / seen if seen else None,
        f1=2 * right / (seen + called) if seen + called else None,
    )


def _counts(confusion: npt.NDArray[np.int64], index: int) -> tuple[int, int, int]:
    """Return how many images of a class were called rightly, how many there are, and how many were called it."""
    return int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def intervals(confusion: Sequence[Sequence[int]]) -> Intervals:
    """Return the 95 % intervals of the scores that belong to a confusion, shape (8, 8), of at least one image."""
    counts = np.array(confusion)
    classes = {label: _class_intervals(counts, index) for index, label in enumerate(CellClass)}
    return Intervals(
        accuracy=_exact(int(counts.trace()), int(counts.sum())),
        macro_recall=_of_macro_recall(counts, [of_class.recall for of_class in classes.values()]),
        classes=classes,
    )


def _class_intervals(confusion: npt.NDArray[np.int64], index: int) -> ClassIntervals:
    right, seen, called = _counts(confusion, index)
    return ClassIntervals(
        precision=_exact(right, called) if called else None,
        recall=_exact(right, seen) if seen else None,
        f1=_of_f1(right, seen + called - right) if seen + called else None,
    )


def _exact(count: int, total: int) -> ShareInterval:
    """Return the exact binomial interval of `count` among `total` >= 1."""
    percent = clopper_pearson(count, total)
    return ShareInterval(percent.low / 100, percent.high / 100)


def _of_f1(right: int, concerned: int) -> ShareInterval:
    """Return the interval of a class's F1 from the images `concerned`, labelled or called so, and those of them `right`.

    F1 = 2 j / (1 + j), j being the share of right ones among those concerned: it rises with j, so the bounds of j,
    which is a binomial share, are its own. The percentiles of a bootstrap were the wrong answer here: of 200 images,
    five of them in the class, they held the true F1 47 times in 100; this interval 99 times.
    """
    of_share = _exact(right, concerned)
    low, high = (2 * bound / (1 + bound) for bound in (of_share.low, of_share.high))
    return ShareInterval(low, high)


def _of_macro_recall(confusion: npt.NDArray[np.int64], recalls: Sequence[ShareInterval | None]) -> ShareInterval:
    """Return the interval of the mean recall, from the classes' own intervals.

    The distances from each recall to its bounds add up like standard deviations. Zou, Huang, Zhang: A note on
    confidence interval estimation for a linear function of binomial proportions, Computational Statistics & Data
    Analysis 53 (2009) 1080-1085; there with Wilson's interval, here with the exact one. Where every call is right it
    keeps its width, as a bootstrap does not.
    """
    seen = [(index, interval) for index, interval in enumerate(recalls) if interval is not None]
    recall = np.array([confusion[index, index] / confusion[index].sum() for index, _ in seen])
    low, high = (np.array(bounds) for bounds in zip(*((each.low, each.high) for _, each in seen), strict=True))
    mean = float(recall.mean())
    below, above = (float(np.sqrt(((recall - bounds) ** 2).sum()) / len(seen)) for bounds in (low, high))
    return ShareInterval(max(0.0, mean - below), min(1.0, mean + above))


def threshold_rows(calls: Calls, threshold: float) -> tuple[ThresholdRow, ...]:
    """Return what some thresholds, and the one in force with `Calls.identified`, cost and bring."""
    others = np.array([each for each in _THRESHOLDS if each != threshold])
    curve = risk_coverage(calls.confidences, calls.correct, others)
    rows = [
        ThresholdRow(
            threshold=float(others[i]),
            in_force=False,
            review=float(1 - curve.coverage[i]),
            errors_in_review=None if calls.correct.all() else float(curve.caught[i]),
            errors_counted=float(curve.risk[i]) if curve.coverage[i] else None,
        )
        for i in range(len(others))
    ]
    rows.append(
        ThresholdRow(
            threshold=threshold,
            in_force=True,
            review=float((~calls.identified).mean()),
            errors_in_review=_share((~calls.identified)[~calls.correct]),
            errors_counted=_share((~calls.correct)[calls.identified]),
        )
    )
    return tuple(sorted(rows, key=lambda row: row.threshold))


def evaluate(classifier: Classifier, tree: Path) -> tuple[Evaluation, Calls]:
    """Classify every image under `tree`, which holds one folder per class, and compare with the folders' names.

    Some of the images are then turned into images of another kind and classified once more. The calls come back beside
    the figures and are no part of them: the names of files can identify a patient.

    Raises:
        ModelsError: no such folder, no images in it, or none that can be classified.
    """
    files = labelled_files(tree)
    passed = _classify(classifier, files)
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
        unlike=None if calls.unlikeness is None else _share(~calls.identified & (calls.confidences >= threshold)),
        strangers=show_strangers(classifier, calls),
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


def _classify(classifier: Classifier, files: Sequence[LabelledFile]) -> _Pass:
    used: list[LabelledFile] = []
    calls: list[Classification] = []
    refused: Counter[str] = Counter()
    decoding = classifying = 0.0
    with ThreadPoolExecutor(_DECODE_THREADS) as pool, _progress("classifying", len(files)) as advance:
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
            advance(len(part))
    return _Pass(_gathered(used, calls), dict(refused), decoding, classifying)


def _gathered(files: Sequence[LabelledFile], calls: Sequence[Classification]) -> Calls:
    unlikeness = [call.unlikeness for call in calls if call.unlikeness is not None]
    return Calls(
        paths=tuple(file.path for file in files),
        labels=label_indices(files),
        probabilities=np.array([call.probabilities for call in calls], dtype=np.float64),
        identified=np.array([call.identified for call in calls], dtype=np.bool_),
        # a model can tell for every image or for none
        unlikeness=np.array(unlikeness) if unlikeness else None,
    )


def _decode(file: LabelledFile) -> Pixels | str:
    """Return the pixels of a file, or the code of the reason why it has none."""
    try:
        return decode_cell(file.path.read_bytes())
    except ImageRefused as refusal:
        return refusal.code
    except OSError:
        return "unreadable"


def show_strangers(classifier: Classifier, calls: Calls) -> tuple[StrangerScores, ...]:
    """Turn some of the images into every kind of strangers and see what they are called.

    Raises:
        ImageRefused: an image has changed since it was classified.
    """
    order = list(CellClass)
    files = [LabelledFile(calls.paths[i], order[calls.labels[i]]) for i in _spread(calls.labels)]
    pixels, _ = load_pixels(files, decode_cell, threads=_DECODE_THREADS)
    scores = []
    with _progress("images of another kind", len(KINDS)) as advance:
        for kind in KINDS:
            # seeded by its name: another kind beside it changes nothing
            rng = np.random.default_rng([_STRANGERS_SEED, *kind.name.encode()])
            scores.append(_stranger_scores(kind, classifier.classify(kind.make(pixels.copy(), rng))))
            advance(1)
    return tuple(scores)


def _stranger_scores(kind: Kind, calls: Sequence[Classification]) -> StrangerScores:
    called = Counter(call.cell_class for call in calls if call.identified)
    return StrangerScores(
        name=kind.name,
        family=kind.family,
        images=len(calls),
        unidentified=1 - called.total() / len(calls),
        called=dict(called.most_common()),
    )


def _spread(labels: npt.NDArray[np.int64]) -> list[int]:
    """Return the positions of at most `_STRANGERS` images: as many of every class, spread over its images."""
    seen = np.unique(labels)
    each = _STRANGERS // len(seen)
    positions: list[int] = []
    for label in seen:
        of_class = np.flatnonzero(labels == label)
        chosen = np.linspace(0, len(of_class) - 1, min(each, len(of_class))).astype(int)
        positions += of_class[chosen].tolist()
    return positions


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show a bar on a terminal; yields what to call with the number done since."""
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
