"""A network in TensorFlow: for GPUs, for Keras models that a site brings, and to compare the other runtime with.

Importing TensorFlow takes seconds and about half a gigabyte per process; on a CPU, LiteRT is the faster runtime.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smearcount.models.errors import ModelInvalid, RuntimeMissing
from smearcount.models.inference.ood import OOD_LAYER
from smearcount.models.inference.runtime import Reading
from smearcount.models.inference.stderr_filter import filtered_stderr
from smearcount.models.network_input import INPUT_SIDE

if TYPE_CHECKING:
    import keras

#: Images per call. The number never changes, so that TensorFlow traces one function only.
_BATCH = 32


class KerasNetwork:
    """One network in one TensorFlow function. Not thread-safe; make one per process, after any fork."""

    def __init__(self, weights: bytes, *, outputs: int, threads: int) -> None:
        """Prepare the network.

        Args:
            weights: content of a .keras file: pixels 0-255 in, logits out.
            outputs: number of logits per image.
            threads: CPU threads; they hold for the process and cannot be changed once TensorFlow has run in it.

        Raises:
            ModelInvalid: the bytes are no such network.
            RuntimeMissing: TensorFlow is not installed.
        """
        tensorflow = require_tensorflow(threads)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.keras"
            path.write_bytes(weights)
            network = with_features(load_keras(path))
        found, self._features = (shape[1] for shape in network.output_shape)
        if found != outputs:
            raise ModelInvalid(f"the network has {found} outputs, its card says {outputs}; export the model anew")
        self._function = tensorflow.function(
            lambda pixels: network(pixels, training=False),
            input_signature=[tensorflow.TensorSpec((None, INPUT_SIDE, INPUT_SIDE, 3), tensorflow.float32)],
        )
        self._outputs = outputs
        if not np.isfinite(self.read(np.zeros((1, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)).logits).all():
            raise ModelInvalid("the network answers with no finite numbers; export the model anew")

    def read(self, pixels: npt.NDArray[np.uint8]) -> Reading:
        """Return logits and features of n >= 0 images: uint8, shape (n, 128, 128, 3), RGB, 0-255."""
        logits = np.empty((len(pixels), self._outputs), np.float32)
        features = np.empty((len(pixels), self._features), np.float32)
        for start in range(0, len(pixels), _BATCH):
            part = pixels[start : start + _BATCH]
            padded = np.zeros((_BATCH, *pixels.shape[1:]), np.float32)
            padded[: len(part)] = part
            answers = [np.asarray(answer)[: len(part)] for answer in self._function(padded)]
            logits[start : start + len(part)], features[start : start + len(part)] = answers
        return Reading(logits, features)


def require_tensorflow(threads: int | None = None) -> Any:
    """Return the module `tensorflow`, ready to compute.

    Args:
        threads: CPU threads for the whole process; they cannot be changed once TensorFlow has computed. None: one per core.

    Raises:
        RuntimeMissing: it is not installed.
    """
    try:
        with filtered_stderr():
            import keras  # noqa: F401  (TensorFlow says only later, and less clearly, that it is missing)
            import tensorflow as tf

            if threads is not None:
                _use_threads(tf, threads)
            tf.constant(0)  # makes TensorFlow write its notes on processor and GPU now, while they are filtered
    except ImportError:
        raise RuntimeMissing(
            "TensorFlow is not installed; install it with: pip install tensorflow (or make train)"
        ) from None
    return tf


def load_keras(path: Path) -> keras.Model:
    """Read a .keras or .h5 file without running any code in it.

    Raises:
        ModelInvalid: it cannot be read, or needs code of its own.
        RuntimeMissing: TensorFlow is not installed.
    """
    require_tensorflow()
    import keras

    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 (Keras lets all kinds of exceptions through, from KeyError to BadZipFile)
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelInvalid(f"{path} cannot be read as a Keras model ({first_line})") from None
    assert isinstance(network, keras.Model)  # noqa: S101 (for the type checker)
    return network


def with_features(network: keras.Model) -> keras.Model:
    """Return the network with two outputs: its logits, shape (n, k), and its features, shape (n, d), for the OOD score.

    The features of our own network are the means over the map of its layer `OOD_LAYER` and, after them, the inputs of its
    last layer; the features of any other network are the inputs of its last layer.

    Raises:
        ModelInvalid: the last layer is no dense layer on one row of features per image.
    """
    import keras

    last = network.layers[-1]
    features = getattr(last, "input", None)
    if not isinstance(last, keras.layers.Dense) or features is None or len(features.shape) != 2:
        raise ModelInvalid("the network does not end in one dense layer with an output per class")
    ours = next((layer for layer in network.layers if layer.name == OOD_LAYER), None)
    if ours is not None:
        early = keras.layers.GlobalAveragePooling2D(name="likeness_features")(ours.output)
        features = keras.layers.Concatenate(name="features")([early, features])
    return keras.Model(network.inputs, [network.outputs[0], features])


def _use_threads(tensorflow: Any, threads: int) -> None:
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow has run in this process already, as in training and export: it keeps its threads.
        return
