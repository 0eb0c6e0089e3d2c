"""How well a classifier does on labelled images: ours, or a site's own when it validates the model."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from differential.classes import DISPLAY_NAMES, CellClass
from differential.errors import SmearcountError
from models.calibration import expected_calibration_error
from models.classifier import Classifier, ModelIdentity, load_classifier
from models.dataset import LabelledFile, labelled_files
from models.errors import ImageRefused, ModelsError
from models.preprocessing import Pixels, decode_cell
from models.settings import ModelSettings

_BATCH = 128
_DECODE_THREADS = 2


@dataclass(frozen=True)
class ClassScores:
    """One class: shares are 0-1, None where nothing of the class was seen or called."""

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """Calls against labels. Accuracy, recall, precision and confusion count every image, whatever its confidence."""

    images: int
    accuracy: float
    #: Mean recall over the classes that have images: a rare class weighs as much as a common one.
    macro_recall: float
    classes: dict[CellClass, ClassScores]
    #: Images by label (row) and call (column), both in the order of CellClass.
    confusion: tuple[tuple[int, ...], ...]
    expected_calibration_error: float
    #: Share of the images under the threshold.
    unidentified: float
    #: Share of wrong calls among these; None where there are none.
    errors_among_unidentified: float | None
    #: Share of right calls among the others; None where there are none.
    accuracy_of_identified: float | None


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of one model on one tree of images, and how fast it went."""

    model: ModelIdentity
    #: Images that could not be classified, by the code of the reason; they are in no other figure.
    refused: dict[str, int]
    #: Images per second, of reading and decoding alone and of the network alone.
    decode_per_second: float
    network_per_second: float


def score(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.integer], threshold: float) -> Scores:
    """Score probabilities, shape (n, 8), against labels, shape (n,), as indices of CellClass; n >= 1."""
    calls, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = calls == labels
    counted = confidences >= threshold
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
        unidentified=float(1 - counted.mean()),
        errors_among_unidentified=_share((~correct)[~counted]),
        accuracy_of_identified=_share(correct[counted]),
    )


def _class_scores(confusion: npt.NDArray[np.int64], index: int) -> ClassScores:
    right, seen, called = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassScores(
        images=seen,
        precision=right / called if called else None,
        recall=right / seen if seen else None,
        f1=2 * right / (seen + called) if seen + called else None,
    )


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def evaluate(classifier: Classifier, tree: Path) -> Evaluation:
    """Classify every image under `tree`, which holds one folder per class, and compare with the folders' names.

    Raises:
        ModelsError: no such folder, no images in it, or none that can be classified.
    """
    files = labelled_files(tree)
    order = list(CellClass)
    probabilities: list[tuple[float, ...]] = []
    labels: list[int] = []
    refused: Counter[str] = Counter()
    decoding = classifying = 0.0
    with ThreadPoolExecutor(_DECODE_THREADS) as pool, _progress() as bar:
        task = bar.add_task("classifying", total=len(files))
        for start in range(0, len(files), _BATCH):
            part = files[start : start + _BATCH]
            began = time.perf_counter()
            decoded = list(pool.map(_decode, part))
            decoding += time.perf_counter() - began
            refused.update(pixels for pixels in decoded if isinstance(pixels, str))
            good = [(pixels, file) for pixels, file in zip(decoded, part, strict=True) if not isinstance(pixels, str)]
            began = time.perf_counter()
            if good:
                calls = classifier.classify(np.stack([pixels for pixels, _ in good]))
                probabilities += [call.probabilities for call in calls]
            classifying += time.perf_counter() - began
            labels += [order.index(file.label) for _, file in good]
            bar.advance(task, len(part))
    if not labels:
        raise ModelsError(f"none of the {len(files)} images in {tree} can be classified: {dict(refused)}")
    scores = score(np.array(probabilities), np.array(labels), classifier.identity.threshold)
    return Evaluation(
        **vars(scores),
        model=classifier.identity,
        refused=dict(refused),
        decode_per_second=len(files) / decoding,
        network_per_second=len(labels) / classifying,
    )


def _decode(file: LabelledFile) -> Pixels | str:
    """Return the pixels of a file, or the code of the reason why it has none."""
    try:
        return decode_cell(file.path.read_bytes())
    except ImageRefused as refusal:
        return refusal.code


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _print_table(console: Console, evaluation: Evaluation) -> None:
    model = evaluation.model
    console.print(f"{model.name} {model.version} ({model.sha256[:12]}), {model.preprocessing}", highlight=False)
    shares = Table("class", title="Per class", title_justify="left")
    for heading in ("images", "recall", "precision", "F1"):
        shares.add_column(heading, justify="right")
    counts = Table("labelled", title="Images by label (rows) and call (columns)", title_justify="left")
    for cell_class in CellClass:
        counts.add_column(cell_class[:5], justify="right")
    for (cell_class, scores), row in zip(evaluation.classes.items(), evaluation.confusion, strict=True):
        percentages = (_percent(share) for share in (scores.recall, scores.precision, scores.f1))
        shares.add_row(DISPLAY_NAMES[cell_class], str(scores.images), *percentages)
        counts.add_row(cell_class, *(str(count) if count else "." for count in row))
    console.print(shares)
    console.print(counts)
    facts = {
        "accuracy": _percent(evaluation.accuracy),
        "macro recall": _percent(evaluation.macro_recall),
        "calibration error": _percent(evaluation.expected_calibration_error),
        "unidentified": f"{_percent(evaluation.unidentified)} of the images (confidence under {model.threshold:g}), "
        f"of which {_percent(evaluation.errors_among_unidentified)} would have been wrong",
        "identified": f"{_percent(evaluation.accuracy_of_identified)} of them right",
        "speed": f"decoding {evaluation.decode_per_second:,.0f} images/s, network {evaluation.network_per_second:,.0f}",
    }
    if evaluation.refused:
        facts["refused"] = ", ".join(f"{count} {code}" for code, count in evaluation.refused.items())
    for name, text in facts.items():
        console.print(f"{name:18} {text}", highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare a model with labelled images: `python -m models.evaluation DIR [--model CARD] [--format table|json]`."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation", description=main.__doc__)
    parser.add_argument("images", type=Path, help="folder with one folder of images per class")
    parser.add_argument("--model", type=Path, help="model card; default: SMEARCOUNT_MODEL or the shipped model")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the network; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        settings = ModelSettings()
        if options.model:
            settings = settings.model_copy(update={"model": options.model})
        evaluation = evaluate(load_classifier(settings, threads=options.threads), options.images)
    except (SmearcountError, ValidationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.format == "json":
        print(json.dumps(asdict(evaluation), indent=2))
    else:
        _print_table(Console(), evaluation)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
