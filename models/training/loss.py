"""The loss of training: cross-entropy with label smoothing, for images that may have several right outputs.

An image whose sub-type is not known has several right outputs. Only the sum of their probabilities counts then (the marginal
likelihood).
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

#: Name of the loss in a checkpoint.
LOSS_NAME = "set_crossentropy"


def set_crossentropy(smoothing: float) -> Callable[[Any, Any], tf.Tensor]:
    """Return the loss as a function for Keras.

    It takes the right outputs, 1 or 0, shape (n, k), and logits, shape (n, k), and returns losses, shape (n,):
    -(1 - s) ln(sum of p over the right outputs) - s mean(ln p), where p is the softmax of the logits and s the smoothing.
    With one right output each, this is the cross-entropy with label smoothing of Szegedy et al. 2016.

    Args:
        smoothing: s, 0-1.
    """
    import tensorflow as tf

    def loss(possible: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        log_probabilities = tf.nn.log_softmax(logits)
        of_right = tf.reduce_logsumexp(tf.where(possible > 0, log_probabilities, -1e9), axis=-1)
        of_any = tf.reduce_mean(log_probabilities, axis=-1)
        return -(1 - smoothing) * of_right - smoothing * of_any

    loss.__name__ = LOSS_NAME
    return loss
