"""From a trained network to a model that ships: a weights file, its likeness file and its card.

Needs TensorFlow (the `train` extra). Nothing is written unless the weights file agrees with the trained network.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from smearcount.differential.classes import CellClass
from smearcount.files.atomic import replace_file
from smearcount.models.card import ModelCard, OodFile
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.evaluation.calibration import THRESHOLD_RULE, choose_threshold, fit_temperature
from smearcount.models.evaluation.scores import score
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.keras_runtime import KerasNetwork, load_keras, require_tensorflow
from smearcount.models.inference.litert import LiteRTNetwork
from smearcount.models.inference.ood import LIMIT_RULE, choose_limit, fit_ood_model
from smearcount.models.inference.runtime import Network
from smearcount.models.inference.subtypes import class_logits
from smearcount.models.network_input import INPUT_SIDE, PREPROCESSING_VERSION
from smearcount.models.training.card_figures import colour_of, confusions_of, metrics_of
from smearcount.models.training.conversion import convert, keras_bytes
from smearcount.models.training.labelled import Labelled
from smearcount.models.training.parity import check_parity
from smearcount.models.training.release import Release, Runtime

if TYPE_CHECKING:
    import keras

_SUFFIXES: dict[Runtime, str] = {"litert": "tflite", "keras": "keras"}
_THREADS = 2


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
        network: takes RGB pixels 0-255 of the size that workers use, shape (n, 128, 128, 3), and ends in a dense layer of
            k logits.
        release: what it is to be called, and the form it is written in.
        outputs: the class that each of its k outputs counts as; every class occurs.
        training: the images that it was trained on, which give the ranges of int8 numbers and the OOD model; without
            them the model gives no OOD scores.
        validation: other images, which temperature, threshold, limit and the card's figures are from.
        out_dir: the folder, made if needed; files of the same release in it are replaced, the card last.

    Raises:
        ModelsError: the conversion changed the results, or the network gives no usable ones.
        RuntimeMissing: TensorFlow is not installed.
        OSError: the files cannot be written.
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
    ood = None
    if training is not None and reading.features is not None:
        name = f"{release.stem}.likeness.npz"
        files[name], ood, ood_scores = _ood_file(name, runtime, training, reading.features)
        identified &= ood_scores <= ood.limit
    scores = score(probabilities, validation.labels, identified)
    try:
        card = ModelCard(
            name=release.name,
            version=release.version,
            file=next(iter(files)),
            sha256=_sha256(weights),
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
            likeness=ood,
            parity=parity,
            training=release.training,
            colour=None if training is None else colour_of(training.pixels),
            validation=metrics_of(scores),
            confusions=confusions_of(scores),
            limits=release.limits,
        )
    except ValidationError as error:
        raise ModelsError(f"the model cannot be described: {error.errors(include_url=False)}") from None
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_file(out_dir / name, content)
    replace_file(out_dir / f"{release.stem}.json", (card.model_dump_json(indent=2) + "\n").encode())
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


def _ood_file(
    name: str, runtime: Network, training: Labelled, validation_features: npt.NDArray[np.float32]
) -> tuple[bytes, OodFile, npt.NDArray[np.float64]]:
    """Fit the OOD model, choose its limit, and describe its file.

    Args:
        name: of the file.
        runtime: the network as workers will run it.
        training: the images that the model is fitted to.
        validation_features: of the n images that the limit is chosen on, shape (n, d).

    Returns:
        The file's content, what the card says of it, and the OOD scores of the n images, shape (n,).
    """
    features = runtime.read(training.pixels).features
    assert features is not None  # noqa: S101 (for the type checker: the same network gave some before)
    fitted = fit_ood_model(features, training.groups)
    content, ood_scores = fitted.to_bytes(), fitted.scores(validation_features)
    limit = round(choose_limit(ood_scores), 2)
    over_limit = round(float((ood_scores > limit).mean()), 4)
    ood = OodFile(file=name, sha256=_sha256(content), limit=limit, limit_rule=LIMIT_RULE, over_limit=over_limit)
    return content, ood, ood_scores


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
