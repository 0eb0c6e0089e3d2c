"""What training minimises: the probability that goes to none of the right outputs, with label smoothing.

An image whose sub-type nobody named has several right outputs; only their sum counts then (the marginal likelihood).
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

#: Under which a checkpoint knows the loss.
LOSS_NAME = "set_crossentropy"


def set_crossentropy(smoothing: float) -> Callable[[Any, Any], tf.Tensor]:
    """Return the loss, for Keras: from possible outputs, 0 or 1 of shape (n, k), and logits (n, k) to losses (n,).

    With one right output each it is the cross-entropy with label smoothing of Szegedy et al. 2016.
    """
    import tensorflow as tf

    def loss(possible: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        log_probabilities = tf.nn.log_softmax(logits)
        of_right = tf.reduce_logsumexp(tf.where(possible > 0, log_probabilities, -1e9), axis=-1)
        of_any = tf.reduce_mean(log_probabilities, axis=-1)
        return -(1 - smoothing) * of_right - smoothing * of_any

    loss.__name__ = LOSS_NAME
    return loss
