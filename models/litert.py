"""The network in LiteRT (formerly TensorFlow Lite) on the CPU, by its XNNPACK kernels.

Measured on two AVX2 cores: of the two APIs of LiteRT, `Interpreter` is as fast as `CompiledModel`, but that one probes for
GPU and NPU plugins on every start and reports each on stderr. The number of images in the network's tensor is fixed
in the weights file (`models.export` chooses it); the results are the same to the last bit whatever it is.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from differential.classes import CellClass
from models.errors import ModelInvalid
from models.preprocessing import INPUT_SIDE

_GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


class LiteRTNetwork:
    """One network in one LiteRT interpreter. Not thread-safe; make one per process, after any fork."""

    def __init__(self, weights: bytes, *, threads: int) -> None:
        """Prepare the network.

        Args:
            weights: content of a .tflite file: float32 NHWC pixels 0-255 in, logits out, fixed number of images.
            threads: CPU threads used for one tensor of images.

        Raises:
            ModelInvalid: the bytes are no such network.
        """
        try:
            with _without_greeting():
                self._interpreter = Interpreter(model_content=weights, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelInvalid(f"LiteRT cannot load the weights ({error}); export the model anew") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_tensors(inputs, outputs)
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._tensor = np.zeros(tuple(inputs[0]["shape"]), np.float32)
        # One run now: the first real batch is then as fast as the others, and broken weights show before any result.
        if not np.isfinite(self.logits(np.zeros((1, INPUT_SIDE, INPUT_SIDE, 3), np.uint8))).all():
            raise ModelInvalid("the network answers with no finite numbers; export the model anew")

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the logits, shape (n, 8), of images of shape (n, 128, 128, 3), values 0-255, for any n >= 0."""
        logits = np.empty((len(pixels), len(CellClass)), np.float32)
        size = len(self._tensor)
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            # The rest of the last tensor keeps earlier images: images do not influence each other.
            self._tensor[: len(part)] = part
            self._interpreter.set_tensor(self._input, self._tensor)
            self._interpreter.invoke()
            logits[start : start + len(part)] = self._interpreter.get_tensor(self._output)[: len(part)]
        return logits


def _check_tensors(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
    found = [[(np.dtype(t["dtype"]).name, *map(int, t["shape"])) for t in tensors] for tensors in (inputs, outputs)]
    images = int(inputs[0]["shape"][0]) if inputs else 1
    wanted = [[("float32", images, INPUT_SIDE, INPUT_SIDE, 3)], [("float32", images, len(CellClass))]]
    if found != wanted:
        raise ModelInvalid(f"the network takes and returns {found}, not {wanted}; export the model anew")


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep LiteRT's greeting off stderr, where it would stand between a command's own lines.

    It is written by native code without a switch to stop it, so file descriptor 2 is turned aside for the milliseconds
    that loading takes. Anything else written meanwhile is passed on afterwards.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # no stderr at all: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as aside:
        sys.stderr.flush()
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            aside.seek(0)
            rest = aside.read().replace(_GREETING, b"")
            if rest:
                os.write(2, rest)
