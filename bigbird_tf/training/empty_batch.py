"""Batches without examples, which a replica gets when the last global batch is small."""

from typing import Any

import keras

from bigbird_tf.nn.backend import replica_context
from bigbird_tf.types import Tensor

__all__ = ["with_known_lengths"]


def with_known_lengths(data: Any) -> Any:
    """Returns a batch without examples with lengths of one where they were unknown.

    `tf.distribute` makes such tensors of shape `(0, 0)` if their length is not known. A model can
    compute on no sequences of one token, but not on sequences of none.

    Args:
        data: A structure of tensors with the batch first, as in a `train_step`.

    Returns:
        The structure; other batches as they were.
    """
    if replica_context() is None:
        return data
    return keras.tree.map_structure(_with_known_length, data)


def _with_known_length(x: Tensor) -> Any:
    import tensorflow as tf

    if not isinstance(x, tf.Tensor) or x.shape.rank in (None, 0) or None not in x.shape[1:]:
        return x
    shape = tf.shape(x)
    is_missing = tf.logical_and(shape == 0, shape[0] == 0)
    missing = tf.concat([[0], tf.cast(is_missing[1:], tf.int32)], axis=0)
    padded = tf.pad(x, tf.stack([tf.zeros_like(missing), missing], axis=1))
    return tf.ensure_shape(padded, x.shape)
