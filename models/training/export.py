"""From a trained network to a model that ships: a weights file, its likeness file and its card.

Needs TensorFlow (the `train` extra). Nothing is written unless the weights file agrees with the trained network.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.files.atomic import replace_file
from smearcount.models.card import Colour, Confidence, ModelCard, OodFile, Parity, ShiftFigures
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.evaluation.calibration import (
    REVIEW_RULE,
    THRESHOLD_RULE,
    choose_threshold,
    choose_threshold_by_review,
    fit_temperature,
)
from smearcount.models.evaluation.scores import score
from smearcount.models.evaluation.shift_scores import score_shift
from smearcount.models.evaluation.trust_fit import (
    CHOSEN_ON,
    CONFIDENCE_RULE,
    VALIDATION_STEP,
    Grouped,
    Known,
    features_of,
    fit_trust,
    unseen_shifts,
)
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.classifier import NetworkClassifier
from smearcount.models.inference.keras_runtime import KerasNetwork, load_keras, require_tensorflow
from smearcount.models.inference.litert import LiteRTNetwork
from smearcount.models.inference.ood import LIMIT_RULE, OOD_LAYER, OodModel, choose_limit
from smearcount.models.inference.runtime import Network, Reading
from smearcount.models.inference.subtypes import class_logits
from smearcount.models.inference.trust import CLUES, Seen, TrustModel, likeness_bytes, softened
from smearcount.models.network_input import INPUT_SIDE, PREPROCESSING_VERSION
from smearcount.models.progress import SILENT, Progress
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
        training: the images that it was trained on, which give the ranges of int8 numbers, the OOD model and the confidence;
            without them the model gives no OOD scores, and its confidence is the softmax's.
        validation: other images, which temperature, threshold, limit and the card's figures are from.
        out_dir: the folder, made if needed; files of the same release in it are replaced, the card last.

    Raises:
        ModelsError: the conversion changed the results, or the network gives no usable ones.
        RuntimeMissing: TensorFlow is not installed.
        OSError: the files cannot be written.
    """
    (card,) = export_forms(network, [release], outputs, training=training, validation=validation, out_dir=out_dir)
    return card


def export_forms(
    network: keras.Model,
    releases: Sequence[Release],
    outputs: Sequence[CellClass],
    *,
    training: Labelled | None,
    validation: Labelled,
    out_dir: Path,
    progress: Progress = SILENT,
) -> tuple[ModelCard, ...]:
    """Write a trained network in several forms and return their cards.

    OOD model and confidence are fitted once, with the first form; each form gets a temperature, a threshold, a limit and
    figures of its own. Nothing is written unless all forms agree with the trained network.

    Args:
        network: see `export`.
        releases: at least one; the first should be float32.
        outputs: see `export`.
        training: see `export`.
        validation: see `export`.
        out_dir: see `export`.
        progress: told how far each step is, and the seconds it took.

    Raises:
        ModelsError: the conversion changed the results, or the network gives no usable ones.
        RuntimeMissing: TensorFlow is not installed.
        OSError: the files cannot be written.
    """
    require_tensorflow()
    known = Known(validation.pixels, validation.labels)
    fitted: _Fitted | None = None
    written = []
    for release in releases:
        with _timed(f"{release.stem}: converting", progress):
            weights, runtime = _in_its_runtime(network, release, len(outputs), training)
        with _timed(f"{release.stem}: validation images", progress):
            reading = runtime.read(validation.pixels)
            logits = class_logits(reading.logits, outputs)
            temperature = round(fit_temperature(logits, validation.labels), 4)
            parity = check_parity(network, outputs, validation.pixels, logits, temperature, release.precision)
        if fitted is None and training is not None and reading.features is not None:
            with _timed(f"{release.stem}: unlikeness and confidence", progress):
                fitted = _fit(network, runtime, outputs, temperature, training, known, progress)
        with _timed(f"{release.stem}: figures", progress):
            form = _Form(release, weights, runtime, reading, logits, temperature, parity)
            written.append(_described(form, network, outputs, fitted, known))
    out_dir.mkdir(parents=True, exist_ok=True)
    for card, files in written:
        for name, content in files.items():
            replace_file(out_dir / name, content)
        replace_file(out_dir / f"{Path(card.file).stem}.json", (card.model_dump_json(indent=2) + "\n").encode())
    return tuple(card for card, _ in written)


@dataclass(frozen=True, eq=False)
class _Form:
    """One form of a network, and what it makes of the validation images."""

    release: Release
    weights: bytes
    runtime: Network
    reading: Reading
    #: Of the classes: shape (n, 8).
    logits: npt.NDArray[np.float32]
    temperature: float
    parity: Parity


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What is fitted once for all forms of a network."""

    ood_model: OodModel
    trust: TrustModel
    #: Validation images in simulated stains that nothing is fitted to, by name.
    tested: tuple[tuple[str, Known], ...]
    #: Mean and spread of the training images' colour.
    colour: Colour


def _fit(
    network: keras.Model,
    runtime: Network,
    outputs: Sequence[CellClass],
    temperature: float,
    training: Labelled,
    validation: Known,
    progress: Progress,
) -> _Fitted:
    features = features_of(runtime.read(training.pixels))
    # The features of an early layer come first; a network of another kind has those of its last layer alone.
    early = next((layer for layer in network.layers if layer.name == OOD_LAYER), None)
    width = features.shape[1] if early is None else int(early.output.shape[-1])
    classes = [outputs[group] for group in np.unique(training.groups)]
    order = list(CellClass)
    confidence = fit_trust(
        runtime.read,
        lambda reading: class_logits(reading.logits, outputs).astype(np.float64) / temperature,
        Grouped(training.pixels, training.groups, features),
        validation,
        np.array([order.index(one) for one in classes], np.int64),
        width,
        progress,
    )
    return _Fitted(
        confidence.ood_model,
        confidence.trust,
        tuple(unseen_shifts(validation, VALIDATION_STEP)),
        colour_of(training.pixels),
    )


def _described(
    form: _Form, network: keras.Model, outputs: Sequence[CellClass], fitted: _Fitted | None, validation: Known
) -> tuple[ModelCard, dict[str, bytes]]:
    """Choose threshold and limit of one form; return its card and the contents of its files by their names."""
    release, weights = form.release, form.weights
    files = {f"{release.stem}.{_SUFFIXES[release.runtime]}": weights}
    temperature = form.temperature
    if fitted is None:
        probabilities = softmax(form.logits, temperature)
        threshold = choose_threshold(probabilities.max(axis=1), probabilities.argmax(axis=1) == validation.labels)
        identified = probabilities.max(axis=1) >= threshold
        rule, ood, confidence = THRESHOLD_RULE, None, None
    else:
        name = f"{release.stem}.likeness.npz"
        trust = fitted.trust
        files[name] = likeness_bytes(fitted.ood_model, trust)
        features = features_of(form.reading)
        ood_scores = fitted.ood_model.scores(features[:, : fitted.ood_model.width])
        limit = round(choose_limit(ood_scores), 2)
        within = ood_scores <= limit
        seen = Seen.of(validation.pixels, features, ood_scores, trust.appearance)
        probabilities = softened(form.logits, trust.confidences(form.logits / temperature, seen))
        threshold = choose_threshold_by_review(probabilities.max(axis=1), within)
        identified = (probabilities.max(axis=1) >= threshold) & within
        rule = REVIEW_RULE
        over_limit = round(float((~within).mean()), 4)
        ood = OodFile(file=name, sha256=_sha256(files[name]), limit=limit, limit_rule=LIMIT_RULE, over_limit=over_limit)
        used = ModelUsed(release.name, release.version, _sha256(weights), PREPROCESSING_VERSION, threshold)
        classifier = NetworkClassifier(form.runtime, used, temperature, outputs, fitted.ood_model, limit, trust)
        confidence = Confidence(
            rule=CONFIDENCE_RULE,
            chosen_on=CHOSEN_ON,
            weights=dict(zip((*CLUES, "constant"), trust.weights.round(4).tolist(), strict=True)),
            shifts=tuple(_shift_figures(classifier, shift, images) for shift, images in fitted.tested),
        )
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
            threshold_rule=rule,
            likeness=ood,
            confidence=confidence,
            parity=form.parity,
            training=release.training,
            colour=None if fitted is None else fitted.colour,
            validation=metrics_of(scores),
            confusions=confusions_of(scores),
            limits=release.limits,
        )
    except ValidationError as error:
        raise ModelsError(f"the model cannot be described: {error.errors(include_url=False)}") from None
    return card, files


def _shift_figures(classifier: NetworkClassifier, name: str, images: Known) -> ShiftFigures:
    scores = asdict(score_shift(classifier, name, images))
    return ShiftFigures.model_validate(
        {key: round(one, 4) if isinstance(one, float) else one for key, one in scores.items()}
    )


@contextmanager
def _timed(step: str, progress: Progress) -> Iterator[None]:
    started = time.monotonic()
    yield
    progress.line(f"{step}: {time.monotonic() - started:.0f} s")


def _in_its_runtime(
    network: keras.Model, release: Release, outputs: int, training: Labelled | None
) -> tuple[bytes, Network]:
    """Return the content of the weights file and the runtime that has loaded it."""
    if release.runtime == "keras":
        weights = keras_bytes(network)
        return weights, KerasNetwork(weights, outputs=outputs, threads=_THREADS)
    weights = convert(network, release.precision, None if training is None else training.pixels)
    return weights, LiteRTNetwork(weights, outputs=outputs, threads=_THREADS)


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
