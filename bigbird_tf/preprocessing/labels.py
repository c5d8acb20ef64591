"""Labels as they come, names or numbers, into what losses take."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.text_input import to_string_tensor

__all__ = ["check_label_names", "holds_strings", "label_ids"]


def check_label_names(labels: Sequence[str] | None) -> list[str] | None:
    """Returns the names as a list; raises a `ValueError` if two are the same."""
    if labels is not None and (isinstance(labels, str) or len(set(labels)) != len(labels)):
        raise ValueError(
            f"`labels` must be a sequence of different names. Received: labels={labels!r}"
        )
    return None if labels is None else list(labels)


def holds_strings(label: Any) -> bool:
    """Tells names from numbers, in tensors, arrays and nested lists."""
    if isinstance(label, (tf.Tensor, tf.RaggedTensor)):
        return label.dtype == tf.string
    if isinstance(label, (list, tuple)):
        return any(holds_strings(item) for item in label)
    dtype = getattr(label, "dtype", None)
    return isinstance(label, (str, bytes)) or (dtype is not None and dtype.kind in "OSU")


def label_ids(
    label: Any, names: list[str] | None, optional: bool = False
) -> tf.Tensor | tf.RaggedTensor:
    """Looks names of labels up.

    Args:
        label: Names: a string, a tensor, a ragged tensor or nested lists.
        names: The known names, in the order of the model's outputs.
        optional: Whether `""` is allowed and gives -1.

    Returns:
        int32, of the shape of `label`.

    Raises:
        ValueError: If `names` is `None`.
        tf.errors.InvalidArgumentError: If a label is none of the names.
    """
    if names is None:
        raise ValueError(
            "Labels that are strings need the preprocessor's `labels`, the names in the order of "
            "the model's outputs. Received: labels=None"
        )
    label = to_string_tensor("label", label)
    if isinstance(label, tf.RaggedTensor):
        return label.with_flat_values(label_ids(label.flat_values, names, optional))
    matches = tf.equal(label[..., tf.newaxis], tf.constant(names))
    is_known = tf.reduce_any(matches, axis=-1)
    allowed = is_known | (label == "") if optional else is_known
    # What is empty is shown, too, or it would be equal to what is allowed.
    refused = tf.where(allowed, "", tf.where(label == "", "''", label))
    # TensorFlow's message fails at scalars of strings.
    refused = tf.reshape(refused, [-1])
    check = tf.debugging.assert_equal(
        refused,
        tf.zeros_like(refused),
        message=f"`label` must be one of {names}.",
        summarize=10,
    )
    # Eagerly the check has raised by now, and there is nothing to wait for.
    with tf.control_dependencies([] if check is None else [check]):
        ids = tf.argmax(tf.cast(matches, tf.int32), axis=-1, output_type=tf.int32)
    return tf.where(is_known, ids, -1)
