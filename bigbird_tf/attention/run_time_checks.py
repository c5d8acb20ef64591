"""Checks of what is known only when the graph runs."""

import keras

__all__ = ["after_checks", "same_shape"]


def after_checks(tensor, *checks):
    """Gives a tensor that is there only if all is well.

    Only on TensorFlow: graphs of other backends have no such checks. XLA leaves them out, too.

    Args:
        tensor: Any tensor.
        *checks: Pairs of a function that gives a bool tensor, and the message if that is false.

    Raises:
        tf.errors.InvalidArgumentError: If a check fails, when the graph runs.
    """
    if keras.backend.backend() != "tensorflow" or isinstance(tensor, keras.KerasTensor):
        return tensor
    import tensorflow as tf

    operations = [
        tf.debugging.assert_equal(is_well(), True, message) for is_well, message in checks
    ]
    # In eager mode there are no operations: they have raised, or all is well.
    with tf.control_dependencies([operation for operation in operations if operation is not None]):
        return tf.identity(tensor)


def same_shape(x, y, axes: int):
    """Gives a bool tensor: whether the first axes are of the same sizes. On TensorFlow only."""
    import tensorflow as tf

    return tf.reduce_all(tf.equal(tf.shape(x)[:axes], tf.shape(y)[:axes]))
