"""The network that smearcount began with, kept so that the shipped one can be compared with it on the same images.

Built and trained as its author did: two convolutions on 300 × 300 px, no augmentation, Adam as it comes, and a stop when
validation no longer improves. Its author reports 87.5 % on validation.

The analyzer's images are 360 × 363 px and go in resized. Training images may come with their outer 24 px cut off (312 × 315
px), validation images whole, so both are cut to the central 312 × 312 px before they are resized: otherwise a cell would be
shown larger in training than in validation. The network therefore sees a cell 1.15 times as large as its author's did.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation.dataset import LabelledFile, label_indices, labelled_files
from smearcount.models.inference.keras_runtime import require_tensorflow
from smearcount.models.inference.stderr_filter import filtered_stderr
from smearcount.models.progress import SILENT, Progress
from smearcount.models.training.checkpoints import Checkpoints, Row, seed_dropout
from smearcount.models.training.conversion import keras_bytes, litert_bytes

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

#: Side of the network's input, in pixels.
SIDE = 300
#: Side of the central square that is resized to it, in pixels of the image file.
CUT_SIDE = 312
BATCH = 32

_SEED = 20260101
#: Training stops when validation accuracy has not risen for so many epochs.
_PATIENCE = 2
#: What TensorFlow decodes; it knows no TIFF.
_FORMATS = ("JPEG", "PNG", "BMP")
_TIMED_SECONDS = 2.0
#: File of the result, in the run's folder.
_RESULT = "result.json"


@dataclass(frozen=True)
class SeedResult:
    """How good the finished network is and what it costs."""

    #: Of the epoch with the highest validation accuracy, on the validation images (0-1).
    accuracy: float
    #: Mean recall over the classes that have images.
    macro_recall: float
    parameters: int
    #: Size of the LiteRT file with float32 weights, in units of 10^6 bytes.
    megabytes: float
    #: In LiteRT on all cores, in tensors of `BATCH` images, without reading and decoding.
    images_per_second: float
    #: Epochs trained, and the seconds they took with their validation, interruptions not counted.
    epochs: int
    seconds: float


def build_seed_network() -> keras.Model:
    """Return the untrained network.

    Input: float32, shape (batch, 300, 300, 3), RGB, 0-255. Output: logits, shape (batch, 8), in the order of CellClass.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="pixels"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.2),
            # Before Flatten, as its author wrote it: the layer acts on each of the 73 × 73 positions by itself.
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(len(CellClass), name="logits"),
        ],
        name="seed",
    )


def train_seed(
    images_dir: Path, run_dir: Path, *, validation_dir: Path, epochs: int = 10, progress: Progress = SILENT
) -> SeedResult:
    """Train on the class folders in `images_dir`, validate on those in `validation_dir` and return what came out.

    A run that was cut off goes on after its last finished epoch; a finished one returns its result at once.

    Args:
        images_dir: one folder of images per class.
        run_dir: keeps checkpoints of the last and of the best epoch and the log (see `models.training.checkpoints`), and
            at the end the network (`network.keras`, `network.tflite`) and `result.json`.
        validation_dir: one folder of other images per class.
        epochs: at most so many, at least 1.
        progress: told after every batch, and in a line after every epoch.

    Raises:
        ModelsError: no images there, one that cannot be read, or `run_dir` holds another run or a damaged one.
        RuntimeMissing: TensorFlow is not installed.
    """
    if epochs < 1:
        raise ModelsError(f"{epochs} epochs train nothing; give at least 1")
    run = Checkpoints(run_dir, _recipe(epochs))
    if run.is_finished:
        return _read_result(run_dir / _RESULT)
    tf = require_tensorflow()
    files, validation_files = labelled_files(images_dir), labelled_files(validation_dir)
    _check_images([*files, *validation_files])
    try:
        _train_epochs(run, files, validation_files, epochs, progress)
        return _finish(run, validation_files)
    except tf.errors.InvalidArgumentError:
        _name_the_damaged([*files, *validation_files])
        raise


def _train_epochs(
    run: Checkpoints,
    files: Sequence[LabelledFile],
    validation_files: Sequence[LabelledFile],
    epochs: int,
    progress: Progress,
) -> None:
    """Train what is left to train."""
    validation = _pixels_and_labels(validation_files)
    network = _start_or_resume(run)
    while not _is_over(run.rows, epochs):
        started = time.monotonic()
        done = len(run.rows)
        seed_dropout(network, _SEED, done)
        history = network.fit(
            _pixels_and_labels(
                _shuffled(files, done)
            ),  # each epoch has an order of its own, which a resumed run finds again
            validation_data=validation,
            initial_epoch=done,
            epochs=done + 1,
            callbacks=[_reporting(progress, f"epoch {done + 1}/{epochs}", -(-len(files) // BATCH))],
            shuffle=False,  # Keras cannot shuffle a data set, and warns when asked to
            verbose=0,
        ).history
        row: Row = {"epoch": done + 1}
        row |= {name: round(history[of_keras][-1], 4) for name, of_keras in _LOGGED.items()}
        row["seconds"] = round(time.monotonic() - started, 1)
        run.finish_epoch(network, row, keep={_best_epoch([*run.rows, row])})
        progress.line(" ".join(f"{name} {value}" for name, value in row.items()))


def _reporting(progress: Progress, stage: str, steps: int) -> keras.callbacks.Callback:
    """Return what tells Keras to report every batch."""
    import keras

    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: progress.step(stage, batch + 1, steps, f"loss {logs['loss']:.3f}")
    )


#: Columns of the log between epoch and seconds, and what Keras calls them.
_LOGGED = {
    "loss": "loss",
    "accuracy": "accuracy",
    "validation_loss": "val_loss",
    "validation_accuracy": "val_accuracy",
}


def _start_or_resume(run: Checkpoints) -> Any:
    import keras

    keras.utils.set_random_seed(_SEED)
    if run.rows:
        return run.load(len(run.rows))
    network = build_seed_network()
    network.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # compiling for XLA pays on a GPU only
    )
    return network


def _finish(run: Checkpoints, validation_files: Sequence[LabelledFile]) -> SeedResult:
    """Score the best epoch's network, convert and time it, and write the run's results."""
    network = run.load(_best_epoch(run.rows))
    calls = network.predict(_pixels_and_labels(validation_files), verbose=0).argmax(axis=1)
    labels = label_indices(validation_files)
    recalls = [float((calls[labels == label] == label).mean()) for label in np.unique(labels)]
    weights = litert_bytes(network, (BATCH, SIDE, SIDE, 3))
    result = SeedResult(
        accuracy=round(float((calls == labels).mean()), 4),
        macro_recall=round(statistics.mean(recalls), 4),
        parameters=network.count_params(),
        megabytes=round(len(weights) / 1e6, 2),
        images_per_second=round(_images_per_second(weights), 1),
        epochs=len(run.rows),
        seconds=round(sum(row["seconds"] or 0.0 for row in run.rows), 1),
    )
    run.finish(
        {
            "network.tflite": weights,
            "network.keras": keras_bytes(network),
            _RESULT: (json.dumps(asdict(result), indent=2) + "\n").encode(),
        }
    )
    return result


def _pixels_and_labels(files: Sequence[LabelledFile]) -> tf.data.Dataset:
    """Return batches of pixels, float32, shape (n, 300, 300, 3), RGB, 0-255, and labels, shape (n,), indices of CellClass.

    Each epoch decodes the files anew, ahead of the network: as float32, twelve thousand images would take 13 GB.
    """
    import tensorflow as tf

    def read(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        top = (tf.shape(image)[0] - CUT_SIDE) // 2
        left = (tf.shape(image)[1] - CUT_SIDE) // 2
        cut = tf.ensure_shape(image[top : top + CUT_SIDE, left : left + CUT_SIDE], (CUT_SIDE, CUT_SIDE, 3))
        return tf.image.resize(cut, (SIDE, SIDE), method="bilinear"), label

    listed = tf.data.Dataset.from_tensor_slices(([str(file.path) for file in files], label_indices(files)))
    return listed.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2)


def _shuffled(files: Sequence[LabelledFile], epoch: int) -> list[LabelledFile]:
    return [files[index] for index in np.random.default_rng([_SEED, epoch]).permutation(len(files))]


def _images_per_second(weights: bytes) -> float:
    from ai_edge_litert.interpreter import Interpreter

    with filtered_stderr():
        interpreter = Interpreter(model_content=weights, num_threads=os.cpu_count())
        interpreter.allocate_tensors()
    pixels = np.random.default_rng(_SEED).uniform(0, 255, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()  # the first run still packs the weights
    durations: list[float] = []
    while not durations or sum(durations) < _TIMED_SECONDS:
        started = time.perf_counter()
        interpreter.invoke()
        durations.append(time.perf_counter() - started)
    return BATCH / statistics.median(durations)


def _is_over(rows: Sequence[Row], epochs: int) -> bool:
    return len(rows) >= epochs or len(rows) - _best_epoch(rows) >= _PATIENCE


def _best_epoch(rows: Sequence[Row]) -> int:
    """Number of the first epoch with the highest validation accuracy, from 1; 0 before the first."""
    return max(range(1, len(rows) + 1), key=lambda epoch: rows[epoch - 1]["validation_accuracy"] or 0.0, default=0)


def _check_images(files: Sequence[LabelledFile]) -> None:
    """Refuse, by their headers, files that TensorFlow would fail on in the middle of an epoch."""
    for file in files:
        try:
            with Image.open(file.path, formats=_FORMATS) as image:
                smaller = min(image.size)
        except (UnidentifiedImageError, OSError) as error:
            raise ModelsError(
                f"{file.path} cannot be read as {', '.join(_FORMATS)} ({error}); take it out of the folder"
            ) from None
        if smaller < CUT_SIDE:
            raise ModelsError(
                f"{file.path} is {image.width} × {image.height} px; this network needs {CUT_SIDE} px on each side"
            )


def _name_the_damaged(files: Sequence[LabelledFile]) -> None:
    """Find the file that made an epoch fail and raise for it: TensorFlow does not say which one it is."""
    import tensorflow as tf

    for file in files:
        try:
            tf.io.decode_image(file.path.read_bytes(), channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            raise ModelsError(f"{file.path} is damaged: it cannot be decoded; take it out of the folder") from None


def _recipe(epochs: int) -> dict[str, object]:
    return {"network": "seed", "seed": _SEED, "batch": BATCH, "epochs": epochs, "patience": _PATIENCE}


def _read_result(path: Path) -> SeedResult:
    try:
        return SeedResult(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ModelsError(f"{path} is damaged ({error}); delete it, and the run states its result anew") from None
