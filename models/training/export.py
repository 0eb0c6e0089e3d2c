"""From a trained network to a model that ships: a weights file, its likeness file and its card.

Needs TensorFlow (the `train` extra). Nothing is written unless the weights file agrees with the trained network.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from smearcount.differential.classes import CellClass
from smearcount.files.atomic import write_whole
from smearcount.models.card import Colour, Confusion, LikenessFile, Metrics, ModelCard, Parity, TrainingData
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.evaluation.calibration import THRESHOLD_RULE, choose_threshold, fit_temperature
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.evaluation.evaluation import Scores, score
from smearcount.models.inference.classifier import softmax
from smearcount.models.inference.colour import mean_colours
from smearcount.models.inference.keras_runtime import KerasNetwork, load_keras, require_tensorflow, with_features
from smearcount.models.inference.litert import LiteRTNetwork
from smearcount.models.inference.ood import LIMIT_RULE, choose_limit, fit_likeness
from smearcount.models.inference.runtime import Network
from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE, class_logits, possible_outputs
from smearcount.models.preprocessing import INPUT_SIDE, PREPROCESSING_VERSION, decode_cell
from smearcount.models.training.conversion import litert_bytes

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "int8"]
Runtime = Literal["litert", "keras"]
Pixels = npt.NDArray[np.uint8]

#: Images per tensor. Measured on two AVX2 cores, images/s with one thread and with two: a tensor of 1 gave 661 and 530,
#: of 4 678 and 610, of 8 636 and 588, of 32 538 and 519 (and 82 MB instead of 30).
IMAGES_PER_TENSOR = 4

#: Largest difference of any probability between the trained network and a float32 weights file.
PARITY = 1e-4
#: An int8 file rounds every number to 8 bits: this share of the images must keep its class, and the mean difference of a
#: probability must stay under this.
INT8_SAME_CLASS, INT8_MEAN_DIFFERENCE = 0.985, 0.01
_PARITY_IMAGES = 256
_SUFFIXES: dict[Runtime, str] = {"litert": "tflite", "keras": "keras"}
_THREADS = 2
#: Training images that the ranges of int8 numbers are taken from.
_CALIBRATION_IMAGES = 512

#: What the shipped weights were trained on.
ACEVEDO_2020 = TrainingData(
    text="Single cells from peripheral blood smears, May-Grünwald-Giemsa stain, photographed by a CellaVision DM96 in "
    "the Core Laboratory of the Hospital Clínic of Barcelona and labelled by clinical pathologists.",
    source="A dataset for microscopic peripheral blood cell images for development of automatic recognition systems, "
    "Mendeley Data V1 (2020)",
    doi="10.17632/snkd93bnjr.1",
    licence="CC BY 4.0",
    attribution="Acevedo A, Merino A, Alférez S, Molina Á, Boldú L, Rodellar J. Data in Brief 30 (2020) 105474. "
    "Changes: selection and cropping.",
    split="11,951 images for training, 2,561 for validation, no image in both. The images name no patient or slide, so "
    "the split is by image and every figure is optimistic for another laboratory. Temperature and threshold were "
    "fitted on the validation images that the figures are from.",
)

LIMITS = (
    "For research use until a site has validated it on its own slides.",
    "Trained on images of one laboratory, one stain and one analyzer; other colours and magnifications are untested.",
    "Knows no blasts, reactive lymphocytes, smudge cells or artefacts: such a cell lands in a wrong class or in "
    "unidentified.",
    "Expects one cell in the centre of an image of about 360 × 363 px, as the analyzer exports it.",
)

_CONFUSIONS = 8


@dataclass(frozen=True)
class Release:
    """What the exported model is called, where its training images came from, and in which form it is written."""

    name: str
    version: str
    training: TrainingData = ACEVEDO_2020
    runtime: Runtime = "litert"
    precision: Precision = "float32"
    limits: tuple[str, ...] = LIMITS

    @property
    def stem(self) -> str:
        """Name of the files without their suffix: name, major version, and what is not float32 in LiteRT."""
        forms = [form for form in (self.precision, self.runtime) if form not in {"float32", "litert"}]
        return "-".join([self.name, self.version.split(".")[0], *forms])


@dataclass(frozen=True)
class Labelled:
    """Decoded images and what they show."""

    pixels: Pixels
    #: Indices of CellClass: shape (n,).
    labels: npt.NDArray[np.int64]
    #: Index of the network's output that is right, or of the first of several: shape (n,).
    groups: npt.NDArray[np.int64]


def load_labelled(tree: Path, outputs: Sequence[CellClass]) -> Labelled:
    """Read a folder of class folders for a network whose outputs count as the classes `outputs`.

    Raises:
        ModelsError: no images there, or one of them cannot be used.
    """
    files = labelled_files(tree)
    pixels, labels = load_pixels(files, decode_cell)
    if tuple(outputs) == CLASS_OF_SUBTYPE:
        groups = [int(possible_outputs(file.path, file.label).argmax()) for file in files]
    else:
        groups = [tuple(outputs).index(file.label) for file in files]
    return Labelled(pixels, labels, np.array(groups))


def export(
    network: keras.Model,
    release: Release,
    outputs: Sequence[CellClass],
    *,
    training: Labelled | None,
    validation: Labelled,
    out_dir: Path,
) -> ModelCard:
    """Write weights, likeness file and card of a trained network into `out_dir` and return the card.

    Args:
        network: takes pixels 0-255 of the size that workers use and ends in a dense layer of logits.
        release: what it is to be called, and the form it is written in.
        outputs: the class that each of its outputs counts as.
        training: the images it was trained on: for the ranges of int8 numbers, and to know what is like them; without
            them images of another kind cannot be told.
        validation: other images: for temperature, threshold, limit and the card's figures.
        out_dir: the folder, made if needed; files of the same release in it are replaced.

    Raises:
        ModelsError: the conversion changed the results, or the network gives no usable ones.
        RuntimeMissing: TensorFlow is not installed.
    """
    require_tensorflow()
    weights, runtime = _in_its_runtime(network, release, len(outputs), training)
    reading = runtime.read(validation.pixels)
    logits = class_logits(reading.logits, outputs)
    temperature = round(fit_temperature(logits, validation.labels), 4)
    parity = check_parity(network, outputs, validation.pixels, logits, temperature, release.precision)
    probabilities = softmax(logits, temperature)
    confidences = probabilities.max(axis=1)
    threshold = choose_threshold(confidences, probabilities.argmax(axis=1) == validation.labels)
    identified = confidences >= threshold
    files = {f"{release.stem}.{_SUFFIXES[release.runtime]}": weights}
    likeness = None
    if training is not None and reading.features is not None:
        fitted = fit_likeness(_features(runtime, training.pixels), training.groups)
        unlikeness = fitted.unlikeness(reading.features)
        limit = round(choose_limit(unlikeness), 2)
        identified &= unlikeness <= limit
        name = f"{release.stem}.likeness.npz"
        files[name] = fitted.to_bytes()
        likeness = LikenessFile(
            file=name,
            sha256=hashlib.sha256(files[name]).hexdigest(),
            limit=limit,
            limit_rule=LIMIT_RULE,
            over_limit=round(float((unlikeness > limit).mean()), 4),
        )
    scores = score(probabilities, validation.labels, identified)
    try:
        card = ModelCard(
            name=release.name,
            version=release.version,
            file=next(iter(files)),
            sha256=hashlib.sha256(weights).hexdigest(),
            bytes=len(weights),
            parameters=network.count_params(),
            runtime=release.runtime,
            precision=release.precision,
            classes=tuple(CellClass),
            outputs=tuple(outputs),
            input_side=INPUT_SIDE,
            preprocessing=PREPROCESSING_VERSION,
            temperature=temperature,
            threshold=threshold,
            threshold_rule=THRESHOLD_RULE,
            likeness=likeness,
            parity=parity,
            training=release.training,
            colour=None if training is None else _colour(training.pixels),
            validation=metrics_of(scores),
            confusions=confusions_of(scores),
            limits=release.limits,
        )
    except ValidationError as error:
        raise ModelsError(f"the model cannot be described: {error.errors(include_url=False)}") from None
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(out_dir / name, content)
    write_whole(out_dir / f"{release.stem}.json", (card.model_dump_json(indent=2) + "\n").encode())
    return card


def _in_its_runtime(
    network: keras.Model, release: Release, outputs: int, training: Labelled | None
) -> tuple[bytes, Network]:
    """Return the content of the weights file and the runtime that has loaded it."""
    if release.runtime == "keras":
        weights = keras_bytes(network)
        return weights, KerasNetwork(weights, outputs=outputs, threads=_THREADS)
    weights = convert(network, release.precision, None if training is None else training.pixels)
    return weights, LiteRTNetwork(weights, outputs=outputs, threads=_THREADS)


def _features(runtime: Network, pixels: Pixels) -> npt.NDArray[np.float32]:
    features = runtime.read(pixels).features
    assert features is not None  # noqa: S101 (for the type checker: the same network gave some before)
    return features


def load_trained(path: Path) -> keras.Model:
    """Return the network that a run of ours left in a .keras file, rebuilt for images of the size that workers use.

    Raises:
        ModelInvalid: the file cannot be read, or holds another network than `build_network` describes.
        RuntimeMissing: TensorFlow is not installed.
    """
    trained = load_keras(path)

    from smearcount.models.training.network import build_network

    network = build_network(INPUT_SIDE)
    try:
        network.set_weights(trained.get_weights())
    except ValueError as error:
        raise ModelInvalid(f"{path} holds no weights of this network ({error}); train it anew") from None
    return network


def keras_bytes(network: keras.Model) -> bytes:
    """Return the network as the content of a .keras file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        network.save(path)
        return path.read_bytes()


def convert(network: keras.Model, precision: Precision = "float32", typical: Pixels | None = None) -> bytes:
    """Return the network as the content of a .tflite file with a fixed number of images, so that XNNPACK takes all.

    Args:
        network: takes pixels 0-255 of the size that workers use and ends in a dense layer of logits.
        precision: float32; or int8 for weights and everything computed, with float32 numbers in and out.
        typical: images that show which numbers occur, shape (n, 128, 128, 3); for int8 alone.

    Raises:
        ModelInvalid: the network does not end in a dense layer.
    """
    shape = (IMAGES_PER_TENSOR, INPUT_SIDE, INPUT_SIDE, 3)
    if precision == "float32":
        return litert_bytes(with_features(network), shape)
    assert typical is not None  # noqa: S101 (a caller's mistake)
    return litert_bytes(with_features(network), shape, _in_tensors(typical))


def _colour(pixels: Pixels) -> Colour:
    colours = mean_colours(pixels)
    red, green, blue = colours.mean(axis=0).round(1).tolist()
    red_spread, green_spread, blue_spread = colours.std(axis=0).round(1).tolist()
    return Colour(mean=(red, green, blue), spread=(red_spread, green_spread, blue_spread))


def _in_tensors(pixels: Pixels) -> list[npt.NDArray[np.float32]]:
    chosen = _spread(len(pixels), _CALIBRATION_IMAGES)
    chosen = chosen[: len(chosen) // IMAGES_PER_TENSOR * IMAGES_PER_TENSOR]
    return list(pixels[chosen].reshape(-1, IMAGES_PER_TENSOR, *pixels.shape[1:]).astype(np.float32))


def _spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` positions, evenly over n: the images are sorted by class, so of every class some."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def check_parity(
    network: keras.Model,
    outputs: Sequence[CellClass],
    pixels: Pixels,
    logits: npt.NDArray[np.float32],
    temperature: float,
    precision: Precision = "float32",
) -> Parity:
    """Compare the trained network with the weights file's class logits, shape (n, 8), of the same n images.

    Raises:
        ModelsError: they differ by more than the precision explains.
    """
    chosen = _spread(len(pixels), _PARITY_IMAGES)
    answers = network.predict(pixels[chosen].astype(np.float32), batch_size=32, verbose=0)
    expected = softmax(class_logits(answers, outputs), temperature)
    found = softmax(logits[chosen], temperature)
    differences = np.abs(expected - found)
    if not np.isfinite(differences).all():
        raise ModelsError("the converted network answers with no finite numbers")
    same = int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
    largest, mean = float(differences.max()), float(differences.mean())
    alike = {
        "float32": largest < PARITY,
        "int8": same >= INT8_SAME_CLASS * len(chosen) and mean < INT8_MEAN_DIFFERENCE,
    }
    if not alike[precision]:
        raise ModelsError(
            f"the converted network differs from the trained one: {same} of {len(chosen)} images in the same class, "
            f"probabilities by up to {largest:.2g}, {mean:.2g} on average"
        )
    return Parity(
        images=len(chosen), same_class=same, largest_difference=round(largest, 6), mean_difference=round(mean, 6)
    )


def metrics_of(scores: Scores) -> Metrics:
    """Return the scores that a card states, rounded to four decimals."""

    def rounded(share: float | None) -> float | None:
        return None if share is None else round(share, 4)

    return Metrics(
        images=scores.images,
        accuracy=round(scores.accuracy, 4),
        macro_recall=round(scores.macro_recall, 4),
        recall={label: round(of_class.recall or 0.0, 4) for label, of_class in scores.classes.items()},
        expected_calibration_error=round(scores.expected_calibration_error, 4),
        unidentified=round(scores.unidentified, 4),
        errors_among_unidentified=rounded(scores.errors_among_unidentified),
        errors_unidentified=rounded(scores.errors_unidentified),
        accuracy_of_identified=rounded(scores.accuracy_of_identified),
    )


def confusions_of(scores: Scores) -> tuple[Confusion, ...]:
    """Return the most frequent wrong calls, most frequent first."""
    pairs = [
        Confusion(truth=truth, called=called, images=images)
        for truth, row in zip(CellClass, scores.confusion, strict=True)
        for called, images in zip(CellClass, row, strict=True)
        if truth != called and images
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.images)[:_CONFUSIONS])
