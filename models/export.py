"""From trained weights to a model that ships: a .tflite file and its card.

Needs TensorFlow (the `train` extra). Nothing is written unless the converted network agrees with the trained one.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from differential.classes import CellClass
from differential.errors import SmearcountError
from models.calibration import THRESHOLD_RULE, choose_threshold, fit_temperature
from models.card import Confusion, Metrics, ModelCard, TrainingData
from models.classifier import softmax
from models.dataset import labelled_files, load_pixels
from models.errors import ModelInvalid, ModelsError, RuntimeMissing
from models.evaluation import Scores, score
from models.litert import LiteRTNetwork
from models.preprocessing import INPUT_SIDE, PREPROCESSING_VERSION, decode_cell

if TYPE_CHECKING:
    import keras

#: Images per tensor. Measured on two AVX2 cores, images/s with one thread and with two: a tensor of 1 gave 661 and 530,
#: of 4 678 and 610, of 8 636 and 588, of 32 538 and 519 (and 82 MB instead of 30).
IMAGES_PER_TENSOR = 4

#: Largest difference of any probability between the trained and the converted network.
PARITY = 1e-4
_PARITY_IMAGES = 256

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
    """What the exported model is called and where its training images came from."""

    name: str
    version: str
    training: TrainingData = ACEVEDO_2020

    @property
    def stem(self) -> str:
        """Name of the files without their suffix: the name and the major version."""
        return f"{self.name}-{self.version.split('.')[0]}"


def export(network_path: Path, validation_dir: Path, release: Release, out_dir: Path) -> ModelCard:
    """Write `<name>-<major>.tflite` and its card `<name>-<major>.json` into `out_dir` and return the card.

    Raises:
        ModelsError: no validation images, weights of another network, or the conversion changed the results.
        RuntimeMissing: TensorFlow is not installed.
    """
    network = load_network(network_path)
    weights = convert(network)
    pixels, labels = load_pixels(labelled_files(validation_dir), decode_cell)
    logits = LiteRTNetwork(weights, threads=2).logits(pixels)
    temperature = round(fit_temperature(logits, labels), 4)
    check_parity(network, pixels, logits, temperature)
    probabilities = softmax(logits, temperature)
    threshold = choose_threshold(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    scores = score(probabilities, labels, threshold)
    try:
        card = ModelCard(
            name=release.name,
            version=release.version,
            file=f"{release.stem}.tflite",
            sha256=hashlib.sha256(weights).hexdigest(),
            bytes=len(weights),
            parameters=network.count_params(),
            runtime="litert",
            precision="float32",
            classes=tuple(CellClass),
            input_side=INPUT_SIDE,
            preprocessing=PREPROCESSING_VERSION,
            temperature=temperature,
            threshold=threshold,
            threshold_rule=THRESHOLD_RULE,
            training=release.training,
            validation=metrics_of(scores),
            confusions=confusions_of(scores),
            limits=LIMITS,
        )
    except ValidationError as error:
        raise ModelsError(f"the model cannot be described: {error.errors(include_url=False)}") from None
    out_dir.mkdir(parents=True, exist_ok=True)
    _write(out_dir / card.file, weights)
    _write(out_dir / f"{release.stem}.json", (card.model_dump_json(indent=2) + "\n").encode())
    return card


def load_network(path: Path) -> keras.Model:
    """Return the network of a .keras file, rebuilt for images of the one size that the workers use.

    Raises:
        ModelInvalid: the file cannot be read, or holds another network than `build_network` describes.
        RuntimeMissing: TensorFlow is not installed.
    """
    try:
        import keras
        import tensorflow as tf  # noqa: F401  (Keras says only later, and less clearly, that it is missing)
    except ImportError:
        raise RuntimeMissing(
            "TensorFlow is not installed; it comes with: make train, or pip install tensorflow"
        ) from None

    from models.network import build_network

    try:
        trained = keras.saving.load_model(path, compile=False)
        network = build_network(INPUT_SIDE)
        network.set_weights(trained.get_weights())
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{path} holds no weights of this network ({error}); train it anew") from None
    return network


def convert(network: keras.Model) -> bytes:
    """Return the network as the content of a .tflite file with a fixed number of images, so that XNNPACK takes all."""
    import tensorflow as tf

    function = tf.function(
        lambda pixels: network(pixels, training=False),
        input_signature=[tf.TensorSpec((IMAGES_PER_TENSOR, INPUT_SIDE, INPUT_SIDE, 3), tf.float32, name="pixels")],
    )
    # Given the Keras 3 model beside the function, the converter leaves the weights out (71 KB, NaN); without it they are
    # frozen into the graph.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    return bytes(converter.convert())


def check_parity(
    network: keras.Model, pixels: npt.NDArray[np.uint8], logits: npt.NDArray[np.float32], temperature: float
) -> float:
    """Return the largest difference of any probability between the trained network and the converted one's `logits`.

    Raises:
        ModelsError: it is not under `PARITY`.
    """
    chosen = np.unique(np.linspace(0, len(pixels) - 1, _PARITY_IMAGES).astype(int))
    expected = network.predict(pixels[chosen].astype(np.float32), batch_size=32, verbose=0)
    difference = float(np.abs(softmax(expected, temperature) - softmax(logits[chosen], temperature)).max())
    if not difference < PARITY:  # also for NaN
        raise ModelsError(
            f"the converted network differs from the trained one by up to {difference:.2g} in probability"
        )
    return difference


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


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, so that nobody reads half of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert trained weights into a model that smearcount can use, with its card."""
    parser = argparse.ArgumentParser(prog="python -m models.export", description=main.__doc__)
    parser.add_argument("network", type=Path, help="trained weights (network.keras of a run of models.training)")
    parser.add_argument("--validation", type=Path, required=True, help="folder with one folder of images per class")
    parser.add_argument("--name", required=True, help="name of the model, such as smearcount")
    parser.add_argument("--version", required=True, help="its version, such as 1.0.0")
    parser.add_argument("--out", type=Path, required=True, help="folder for the .tflite file and the card")
    parser.add_argument(
        "--training-data", type=Path, help="JSON with the fields of the card's `training`, for other training images"
    )
    options = parser.parse_args(arguments)
    try:
        training = ACEVEDO_2020
        if options.training_data:
            training = _training_data(options.training_data)
        card = export(
            options.network, options.validation, Release(options.name, options.version, training), options.out
        )
    except SmearcountError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    validation = card.validation
    print(
        f"{options.out / card.file}: {card.bytes:,} bytes, accuracy {validation.accuracy:.2%}, "
        f"macro recall {validation.macro_recall:.2%}, temperature {card.temperature:g}, threshold {card.threshold:g}, "
        f"unidentified {validation.unidentified:.2%}"
    )
    return 0


def _training_data(path: Path) -> TrainingData:
    try:
        return TrainingData.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelsError(f"{path} does not describe training images ({error})") from None


if __name__ == "__main__":
    raise SystemExit(main())
