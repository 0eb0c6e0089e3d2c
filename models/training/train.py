"""Training, from scratch or on from trained weights: one seed, one cosine cycle, a checkpoint after every epoch.

The recipe: AdamW with weight decay, label smoothing, an exponential mean of the weights, and random turns, mirrors,
scales, shifts, surroundings, stains, lights and cameras (see `models.augmentation`). The first epochs run on smaller
images, where an epoch costs half.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smearcount.models.augmentation.augmentation import decode_with_margin
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.inference.keras_runtime import require_tensorflow
from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE, class_logits, possible_outputs
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import decode_cell
from smearcount.models.progress import SILENT, Progress
from smearcount.models.training.checkpoints import Checkpoints, Row, seed_dropout
from smearcount.models.training.conversion import keras_bytes
from smearcount.models.training.weight_averaging import use_mean_weights


@dataclass(frozen=True)
class Recipe:
    """Everything but the images that decides about the weights."""

    seed: int = 20260101
    #: SHA-256 of the .keras file whose weights training begins with; None begins from scratch.
    start: str | None = None
    batch: int = 64
    #: Epochs on images of each side, in this order.
    phases: tuple[tuple[int, int], ...] = ((16, 96), (44, INPUT_SIDE))
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.05
    weight_mean: float = 0.998
    #: Epochs between two measurements of the accuracy on the validation images; it is also measured after the last epoch.
    validate_every: int = 5

    @classmethod
    def onwards(cls, start: Path) -> Recipe:
        """Return the recipe for training on from the weights in a .keras file, which takes a third of the time."""
        sha256 = hashlib.sha256(start.read_bytes()).hexdigest()
        return cls(
            start=sha256, phases=((8, 96), (12, INPUT_SIDE)), learning_rate=2e-3, warmup_epochs=0.5, validate_every=4
        )

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return sum(epochs for epochs, _ in self.phases)

    def side_of(self, epoch: int) -> int:
        """Side of the images in `epoch` (from 0)."""
        for epochs, side in self.phases:
            if epoch < epochs:
                return side
            epoch -= epochs
        raise ValueError(f"the recipe has {self.epochs} epochs")

    def rate_at(self, progress: float) -> float:
        """Learning rate after `progress` epochs: linear warm-up, then half a cosine down to 0."""
        if progress < self.warmup_epochs:
            return self.learning_rate * progress / self.warmup_epochs
        share = (progress - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return float(self.learning_rate * 0.5 * (1 + np.cos(np.pi * min(share, 1.0))))


def train(
    images_dir: Path,
    run_dir: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    validation_dir: Path | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Train on the class folders in `images_dir` and return the path of the finished weights (a .keras file).

    A run that was cut off goes on from its last finished epoch and gives the same batches as an uninterrupted one.

    Args:
        images_dir: one folder of images per class.
        run_dir: keeps recipe, checkpoints and log (see `models.training.checkpoints`), and at the end `network.keras`.
        recipe: how to train.
        start: the .keras file that the recipe names; None if it names none.
        validation_dir: one folder of other images per class, to measure the accuracy on.
        progress: told after every batch, and in a line after every epoch.

    Raises:
        ModelsError: no images there, `start` is not the file that the recipe names or not our network, or `run_dir`
            holds a run of another recipe or a damaged one.
        ImageRefused: one of the images cannot be used; the message names it.
        RuntimeMissing: TensorFlow is not installed.
    """
    tensorflow = require_tensorflow()
    import keras

    run = Checkpoints(run_dir, {"network": "smearcount", **asdict(recipe)})
    finished = run_dir / "network.keras"
    if run.is_finished:
        return finished
    files = labelled_files(images_dir)
    images, _ = load_pixels(files, decode_with_margin)
    targets = np.stack([possible_outputs(file.path, file.label) for file in files])
    keras.utils.set_random_seed(recipe.seed)
    network = _start_or_resume(run, recipe, start)
    validation = None
    if validation_dir is not None:
        validation = load_pixels(labelled_files(validation_dir), decode_cell)
    restained = _restained(_central(images), recipe.seed)
    gpus = tensorflow.config.list_physical_devices("GPU")
    progress.line(f"training on {len(images):,} images with {'a GPU' if gpus else 'the CPU'}, {recipe.epochs} epochs")
    for epoch in range(len(run.rows), recipe.epochs):
        started = time.monotonic()
        loss = _train_epoch(network, images, targets, recipe, epoch, progress)
        row: Row = {"epoch": epoch + 1, "side": recipe.side_of(epoch), "loss": round(loss, 4)}
        if validation is not None:
            due = (epoch + 1) % recipe.validate_every == 0 or epoch + 1 == recipe.epochs
            row["validation_accuracy"] = round(_accuracy(network, restained, *validation, recipe), 4) if due else None
        row["seconds"] = round(time.monotonic() - started, 1)
        run.finish_epoch(network, row)
        progress.line(" ".join(f"{key} {value}" for key, value in row.items() if value is not None))
    use_mean_weights(network, restained, seed=recipe.seed)
    run.finish({finished.name: keras_bytes(network)})
    return finished


def _start_or_resume(run: Checkpoints, recipe: Recipe, start: Path | None) -> Any:
    import keras

    from smearcount.models.training.loss import LOSS_NAME, set_crossentropy
    from smearcount.models.training.network import build_network

    if run.rows:
        return run.load(len(run.rows), {LOSS_NAME: set_crossentropy(recipe.label_smoothing)})
    network = build_network() if start is None else _network_with_weights(start, recipe)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            use_ema=True,
            ema_momentum=recipe.weight_mean,
        ),
        loss=set_crossentropy(recipe.label_smoothing),
        jit_compile=False,  # XLA on a CPU takes ten times as long for this network (measured)
    )
    return network


def _network_with_weights(start: Path, recipe: Recipe) -> Any:
    import keras

    from smearcount.models.training.network import build_network

    if hashlib.sha256(start.read_bytes()).hexdigest() != recipe.start:
        raise ModelsError(f"{start} is not the file that the recipe begins with")
    network = build_network()
    try:
        network.set_weights(keras.models.load_model(start, compile=False).get_weights())
    except (ValueError, OSError) as error:
        raise ModelsError(f"{start} does not hold our network: {str(error).splitlines()[0]}") from error
    return network


def _train_epoch(
    network: Any,
    images: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float32],
    recipe: Recipe,
    epoch: int,
    progress: Progress,
) -> float:
    """Train one epoch (from 0) and return the mean loss of its batches."""
    import tensorflow as tf

    side = recipe.side_of(epoch)
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(images))
    steps = len(order) // recipe.batch
    losses = []
    seed_dropout(network, recipe.seed, epoch)
    batches = _augmented_batches(images, order, recipe, epoch, side)
    stage = f"epoch {epoch + 1}/{recipe.epochs} at {side} px"
    for step, (indices, pictures) in enumerate(batches):
        network.optimizer.learning_rate = recipe.rate_at(epoch + step / steps)
        losses.append(float(network.train_on_batch(pictures, tf.constant(targets[indices]))))
        network.reset_metrics()  # train_on_batch reports a running mean: start it anew each step
        progress.step(stage, step + 1, steps, f"loss {np.mean(losses[-50:]):.3f}")
    return float(np.mean(losses))


def _augmented_batches(
    images: npt.NDArray[np.uint8], order: npt.NDArray[np.int64], recipe: Recipe, epoch: int, side: int
) -> Iterator[tuple[npt.NDArray[np.int64], Any]]:
    import tensorflow as tf

    from smearcount.models.augmentation.augmentation import augment

    augment_graph = tf.function(augment, reduce_retracing=True)
    for step in range(len(order) // recipe.batch):
        indices = order[step * recipe.batch : (step + 1) * recipe.batch]
        seed = tf.constant([recipe.seed % 2**31 + epoch, step * 1000], tf.int32)
        yield indices, augment_graph(tf.constant(images[indices]), seed, side, INPUT_SIDE)


def _accuracy(
    network: Any,
    restained: npt.NDArray[np.uint8],
    validation_images: npt.NDArray[np.uint8],
    validation_labels: npt.NDArray[np.int64],
    recipe: Recipe,
) -> float:
    """Return the accuracy (0-1) of the network as it would be used now; the state of its training stays as it was."""
    kept = [variable.numpy().copy() for variable in network.variables]
    use_mean_weights(network, restained, seed=recipe.seed)
    correct = 0
    for start in range(0, len(validation_images), 4 * recipe.batch):
        chosen = slice(start, start + 4 * recipe.batch)
        logits = class_logits(network.predict_on_batch(validation_images[chosen].astype(np.float32)), CLASS_OF_SUBTYPE)
        correct += int((logits.argmax(axis=1) == validation_labels[chosen]).sum())
    for variable, value in zip(network.variables, kept, strict=True):
        variable.assign(value)
    return correct / len(validation_images)


def _central(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the part of training images that the network sees in use: shape (n, INPUT_SIDE, INPUT_SIDE, 3)."""
    margin = (images.shape[1] - INPUT_SIDE) // 2
    return images[:, margin : margin + INPUT_SIDE, margin : margin + INPUT_SIDE]


def _restained(images: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Return the images as other laboratories may show them, from which the batch statistics are gathered.

    With statistics of the images as they are, the same weights made 33 errors on the validation images instead of 30, and
    were right on 47 % of the cells of a foreign laboratory instead of 66 %.
    """
    import tensorflow as tf

    from smearcount.models.augmentation.stains import restain

    size = 128
    restained = np.empty_like(images)
    for start in range(0, len(images), size):
        part = tf.constant(images[start : start + size].astype(np.float32))
        restained[start : start + size] = np.asarray(
            restain(part, tf.constant([seed % 2**31, start], tf.int32))
        ).round()
    return restained
