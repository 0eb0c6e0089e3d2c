"""The network in LiteRT (formerly TensorFlow Lite) on the CPU, by its XNNPACK kernels.

LiteRT has two APIs. Measured on two AVX2 cores, `Interpreter` is as fast as `CompiledModel`; the latter probes for GPU and
NPU plugins on every start and reports each on stderr, so `Interpreter` it is. The number of images in the network's tensor
is fixed in the weights file (`models.training.conversion` chooses it); the results are the same to the last bit for any
number.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from smearcount.models.errors import ModelInvalid
from smearcount.models.inference.runtime import Reading
from smearcount.models.inference.stderr_filter import filtered_stderr
from smearcount.models.network_input import INPUT_SIDE


class LiteRTNetwork:
    """One network in one LiteRT interpreter. Not thread-safe; make one per process, after any fork."""

    def __init__(self, weights: bytes, *, outputs: int, threads: int) -> None:
        """Prepare the network.

        Args:
            weights: content of a .tflite file: float32 NHWC pixels 0-255 in, logits and, if it has them, features out,
                for a fixed number of images.
            outputs: number of logits per image, which tells them from the features.
            threads: CPU threads used for one tensor of images.

        Raises:
            ModelInvalid: the bytes are no such network.
        """
        try:
            with filtered_stderr():
                self._interpreter = Interpreter(model_content=weights, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelInvalid(f"LiteRT cannot load the weights ({error}); export the model anew") from None
        given, answered = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_tensors(given, answered, outputs)
        self._input = given[0]["index"]
        (self._logits,) = (tensor for tensor in answered if tensor["shape"][1] == outputs)
        self._features = next((tensor for tensor in answered if tensor["shape"][1] != outputs), None)
        self._tensor = np.zeros(tuple(given[0]["shape"]), np.float32)
        # Run it once now: then the first real batch is as fast as the others, and broken weights show before any result.
        if not np.isfinite(self.read(np.zeros((1, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)).logits).all():
            raise ModelInvalid("the network answers with no finite numbers; export the model anew")

    def read(self, pixels: npt.NDArray[np.uint8]) -> Reading:
        """Return logits and features of n >= 0 images: uint8, shape (n, 128, 128, 3), RGB, 0-255."""
        logits = np.empty((len(pixels), self._logits["shape"][1]), np.float32)
        features = None if self._features is None else np.empty((len(pixels), self._features["shape"][1]), np.float32)
        size = len(self._tensor)
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            # The rest of the last tensor keeps earlier images, which do not influence these.
            self._tensor[: len(part)] = part
            self._interpreter.set_tensor(self._input, self._tensor)
            self._interpreter.invoke()
            for tensor, rows in ((self._logits, logits), (self._features, features)):
                if tensor is not None and rows is not None:
                    rows[start : start + len(part)] = self._interpreter.get_tensor(tensor["index"])[: len(part)]
        return Reading(logits, features)


def _check_tensors(given: list[dict[str, Any]], answered: list[dict[str, Any]], outputs: int) -> None:
    found = [[(np.dtype(t["dtype"]).name, *map(int, t["shape"])) for t in tensors] for tensors in (given, answered)]
    images = int(given[0]["shape"][0]) if given else 1
    logits = ("float32", images, outputs)
    features = [shape for shape in found[1] if shape != logits]
    right = (
        found[0] == [("float32", images, INPUT_SIDE, INPUT_SIDE, 3)]
        and len(found[1]) - len(features) == 1
        and len(features) <= 1
        and all(shape[:2] == logits[:2] and len(shape) == len(logits) for shape in features)
    )
    if not right:
        raise ModelInvalid(
            f"the network takes {found[0]} and returns {found[1]}, not float32 images of {INPUT_SIDE} px and {outputs} "
            "logits each; export the model anew"
        )
