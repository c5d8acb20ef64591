"""What Keras has no name for: how loops and traces run on the backend at hand."""

import functools

import keras
from keras import ops

__all__ = [
    "at_least_float32",
    "call_traced_once",
    "has_exact_bfloat16_softmax",
    "is_compiled_by_xla",
    "map_in_order",
    "once_there",
]


def at_least_float32(x):
    """Casts half precision to float32."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def is_compiled_by_xla() -> bool:
    """Tells whether what is being traced goes to XLA, which has not all of TensorFlow's kernels."""
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    # TensorFlow asks itself so, and has no public name for it.
    from tensorflow.python.ops import control_flow_util

    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def has_exact_bfloat16_softmax() -> bool:
    """Tells whether softmax of bfloat16 is computed in float32 inside, and rounded at the end.

    That of oneDNN is. XLA's, and TensorFlow's own without oneDNN, round each step. A graph decides
    when it is traced: a server of an export in bfloat16 should have oneDNN too.
    """
    return not is_compiled_by_xla() and _rounds_at_the_end()


@functools.cache
def _rounds_at_the_end() -> bool:
    import tensorflow as tf

    # The kernel itself is asked, on the device that it will run on.
    with tf.init_scope():
        x = tf.cast(tf.math.sin(tf.range(1024.0)) * 5, "bfloat16")
        rounded = tf.cast(tf.nn.softmax(tf.cast(x, "float32")), "bfloat16")
        return bool(tf.reduce_all(tf.nn.softmax(x) == rounded))


def call_traced_once(function, *tensors, **static):
    """Calls a function; in a TensorFlow graph all callers share one trace of it.

    Args:
        function: Defined once, not anew for each call: traces are found by it.
        *tensors: Its tensors.
        **static: Hashable arguments; a trace is for one value of each.

    Returns:
        What the function returns.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return _graph_function(function)(*tensors, **static)
    return function(*tensors, **static)


@functools.cache
def _graph_function(function):
    import tensorflow as tf

    return tf.function(function, autograph=False)


def map_in_order(function, count, shape, dtype, num_outputs):
    """Calls a function with 0, 1, … one after the other, and stacks what it gives.

    One at a time is the point: parallel turns hold several chunks, and leave the cache.

    Args:
        function: Takes an int32 scalar tensor; gives a list of tensors.
        count: How many, an integer or a scalar tensor.
        shape: Shape of each tensor; `None` where it is not known.
        dtype: Dtype of each tensor.
        num_outputs: How many tensors the function gives.

    Returns:
        A list of tensors `(count, *shape)`.
    """
    numbers = ops.arange(count, dtype="int32")
    if keras.backend.backend() != "tensorflow":
        return ops.map(function, numbers)
    import tensorflow as tf

    # `keras.ops.map` runs ten at once here, and traces the function twice.
    spec = tf.TensorSpec(shape, dtype)
    return tf.map_fn(
        function, numbers, fn_output_signature=[spec] * num_outputs, parallel_iterations=1
    )


def once_there(upstream, x):
    """Gives `x`, but not before `upstream` is there.

    What a backward pass computes again from what it has kept, TensorFlow would compute as soon as
    it can, in the forward pass, and keep.

    Args:
        upstream: What flows back: a tensor of the backward pass.
        x: A tensor of the forward pass, of any shape and dtype.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    with tf.control_dependencies([upstream]):
        return tf.identity(x)
