"""How loops, traces and checks run on TensorFlow."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf
from keras import ops

# TensorFlow 2.20 has no public function that tells whether XLA compiles a graph.
from tensorflow.python.ops import control_flow_util

from bigbird_tf.types import Tensor

__all__ = [
    "SEED_DTYPE",
    "call_on_shares",
    "call_traced_once",
    "check_in_range",
    "check_when_run",
    "compile_function",
    "compute_spec",
    "computed_once",
    "device_type",
    "draw_seed",
    "fused_kernels",
    "has_exact_bfloat16_softmax",
    "has_half_precision_products",
    "is_compiled_by_xla",
    "overwrite_at",
    "recompute_barrier",
    "replica_context",
    "run_after",
    "same_shape",
    "serial_map",
    "share_of",
    "sorted_segment_sum",
    "take",
    "write_at",
]

# Of the two numbers that random operations take.
SEED_DTYPE = "int32"


def is_compiled_by_xla() -> bool:
    """Whether what is traced goes to XLA, which has not all of TensorFlow's kernels."""
    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def fused_kernels() -> ModuleType | None:
    """Returns the module of fused kernels of attention for a GPU: there is none."""
    return None


def has_exact_bfloat16_softmax() -> bool:
    """Returns whether softmax of bfloat16 is computed in float32 inside, and rounded at the end.

    That of oneDNN is. XLA's, and TensorFlow's own without oneDNN, round each step. A graph decides
    when it is traced: a server of an export in bfloat16 should have oneDNN too.
    """
    return not is_compiled_by_xla() and _rounds_at_the_end()


@functools.cache
def _rounds_at_the_end() -> bool:
    # The kernel itself is asked, on the device that it will run on.
    with tf.init_scope():
        x = tf.cast(tf.math.sin(tf.range(1024.0)) * 5, "bfloat16")
        rounded = tf.cast(tf.nn.softmax(tf.cast(x, "float32")), "bfloat16")
        return bool(tf.reduce_all(tf.nn.softmax(x) == rounded))


# What Linux calls instructions for products of half precision, on x86 and on Arm.
_HALF_PRECISION = {"avx512_bf16", "amx_bf16", "avx512_fp16", "bf16"}


@functools.cache
def has_half_precision_products() -> bool:
    """Returns whether this machine's processor multiplies in half precision, and oneDNN uses it.

    Otherwise TensorFlow converts each number as often as it is read.
    """
    if not _rounds_at_the_end():
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return True
    return not _HALF_PRECISION.isdisjoint(flags)


def call_traced_once(function: Callable, *tensors: Any, **static: Any) -> Any:
    """Calls a function; in a TensorFlow graph all callers share one trace of it.

    Args:
        function: Defined once, not anew for each call: traces are found by it.
        *tensors: Its tensors.
        **static: Hashable arguments; a trace is for one value of each.

    Returns:
        What the function returns.
    """
    if not tf.executing_eagerly():
        return _graph_function(function)(*tensors, **static)
    return function(*tensors, **static)


def share_of(shape: tuple) -> tuple:
    """Returns the shape of a device's share of a tensor: a replica computes what it has."""
    return shape


def call_on_shares(function: Callable, tensors: Sequence, axes: Sequence[str]) -> Any:
    """Calls a function of sequences and heads: a replica computes all that it has.

    Args:
        function: What to call.
        tensors: Its tensors.
        axes: Not needed here.

    Returns:
        What the function returns.
    """
    return function(*tensors)


@functools.cache
def _graph_function(function: Callable) -> Any:
    return tf.function(function, autograph=False)


def compile_function(function: Callable, layer: keras.layers.Layer) -> Callable:
    """Returns a function that is traced once for each kind of its arguments, and runs as a graph.

    Args:
        function: Takes tensors, or structures of them, by position, and hashable arguments by name.
        layer: Whose variables it reads. When it has other ones, the function is traced anew.
    """
    compiled: Any = None
    variables: tuple[int, ...] = ()

    # In a function, or a SavedModel of a layer that has it would take the graph in as well.
    def call(*args, **kwargs):
        nonlocal compiled, variables
        if is_compiled_by_xla():
            # A trace that was made outside may have operations that XLA has not.
            return function(*args, **kwargs)
        # A graph keeps those it was traced with; LoRA and quantization add and replace some.
        now = tuple(map(id, layer.variables))
        if compiled is None or now != variables:
            compiled = tf.function(function, reduce_retracing=True, autograph=False)
            variables = now
        return compiled(*args, **kwargs)

    return call


def compute_spec(function: Callable, inputs: Tensor) -> Any:
    """Returns what a function that computes specs gives for inputs of which sizes are unknown.

    Args:
        function: Of inputs.
        inputs: A `keras.KerasTensor`, or a dictionary of such.
    """
    return function(inputs)


def serial_map(function: Callable, count: Any, shapes: Sequence, dtype: Any) -> list:
    """Calls a function with 0, 1, … one after the other, and stacks what it returns.

    One at a time is the point: parallel turns hold several chunks, and leave the cache.

    Args:
        function: Takes an int32 scalar tensor; returns a list of tensors.
        count: How many, an integer or a scalar tensor.
        shapes: Shape of each of these tensors; `None` in it where it is not known.
        dtype: Dtype of each tensor.

    Returns:
        A list of tensors `(count, *shape)`.
    """
    # `keras.ops.map` runs ten at once here, and traces the function twice.
    return tf.map_fn(
        function,
        ops.arange(count, dtype="int32"),
        fn_output_signature=[tf.TensorSpec(shape, dtype) for shape in shapes],
        parallel_iterations=1,
    )


def take(x: Tensor, indices: Tensor) -> Tensor:
    """Returns `x[indices]`: rows of `x`. Indices must be in its range.

    Args:
        x: Tensor `(n, …)`.
        indices: Integers in `[0, n)`, of any shape.
    """
    return tf.gather(x, indices)


def write_at(x: Tensor, update: Tensor, index: Tensor) -> Tensor:
    """Returns `x` with a place of its axis 2 filled: written in place, whatever the room there.

    Args:
        x: Tensor `(R, N, L, H)`, zeros at that place. A graph does not copy it if it has no other
            use for it.
        update: Tensor `(R, N, 1, H)`.
        index: int32 scalar in `[0, L)`.
    """
    update = tf.cast(update, x.dtype)
    if is_compiled_by_xla():
        return ops.slice_update(x, (0, 0, index, 0), update)
    # Updates of slices are XLA's alone, and `tf.tensor_scatter_nd_update` of TensorFlow 2.20 copies
    # `x` each time. This operation does not, but adds.
    shape = tf.shape(x)
    rows, room = shape[0] * shape[1], shape[2]
    flat = tf.raw_ops.ScatterNdNonAliasingAdd(
        input=tf.reshape(x, [rows * room, shape[3]]),
        indices=(tf.range(rows) * room + index)[:, tf.newaxis],
        updates=tf.reshape(update, [rows, shape[3]]),
    )
    return tf.ensure_shape(tf.reshape(flat, shape), x.shape)


def overwrite_at(x: Tensor, update: Tensor, index: Tensor) -> Tensor:
    """Returns `x` with a place of each row's axis 2 replaced: written in place, as by `write_at`.

    Args:
        x: Tensor `(R, N, L, H)`, finite at those places.
        update: Tensor `(R, N, 1, H)`.
        index: int32 `(R,)`, each in `[0, L)`.
    """
    shape = tf.shape(x)
    heads = shape[0] * shape[1]
    places = tf.range(heads) * shape[2] + tf.repeat(index, shape[1])
    indices = places[:, tf.newaxis]
    flat = tf.reshape(x, [heads * shape[2], shape[3]])
    updates = tf.reshape(tf.cast(update, x.dtype), [heads, shape[3]])
    if is_compiled_by_xla():
        flat = tf.tensor_scatter_nd_update(flat, indices, updates)
    else:
        # To zero first: what is there plus a difference would be rounded.
        for addend in (-tf.gather(flat, places), updates):
            flat = tf.raw_ops.ScatterNdNonAliasingAdd(input=flat, indices=indices, updates=addend)
    return tf.ensure_shape(tf.reshape(flat, shape), x.shape)


def recompute_barrier(grad_output: Tensor, x: Tensor) -> Tensor:
    """Returns `x`, but not before `grad_output` is there.

    What a backward pass computes again from what it has kept, TensorFlow would compute as soon as
    it can, in the forward pass, and keep.

    Args:
        grad_output: What flows back: a tensor of the backward pass.
        x: A tensor of the forward pass, of any shape and dtype.
    """
    with tf.control_dependencies([grad_output]):
        return tf.identity(x)


def computed_once(x: Tensor) -> Tensor:
    """Returns `x`, which XLA computes once, instead of again in every kernel that reads it.

    Args:
        x: A tensor of what XLA compiles; TensorFlow has no such kernel without it.
    """
    # TensorFlow 2.20 has no public name for XLA's barrier.
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    return gen_xla_ops.xla_optimization_barrier([x])[0]


def replica_context() -> tf.distribute.ReplicaContext | None:
    """Returns the context of the replica at work, if it is one among several.

    Returns:
        `None` without a strategy or with one of one replica, and in a strategy's scope outside of
        `strategy.run`.
    """
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def run_after(tensors: Any, function: Callable, *args: Any) -> Tensor:
    """Calls a function on tensors; its operations run once some other tensors are there.

    Args:
        tensors: A list of tensors to wait for.
        function: What to call.
        *args: Its arguments.

    Returns:
        What the function returns.
    """
    with tf.control_dependencies(tensors):
        return function(*args)


def check_when_run(tensor: Tensor, *checks: Any) -> Any:
    """Returns a tensor that is there only if all is well.

    XLA leaves the checks out.

    Args:
        tensor: Any tensor.
        *checks: Pairs of a function that returns a bool tensor, and the message if that is false.

    Raises:
        tf.errors.InvalidArgumentError: If a check fails, when the graph runs.
    """
    if isinstance(tensor, keras.KerasTensor):
        return tensor
    operations = [
        tf.debugging.assert_equal(is_well(), True, message) for is_well, message in checks
    ]
    # In eager mode there are no operations: they have raised, or all is well.
    with tf.control_dependencies([operation for operation in operations if operation is not None]):
        return tf.identity(tensor)


def same_shape(x: Tensor, y: Tensor, axes: int) -> Tensor:
    """Returns a bool tensor: whether the first axes are of the same sizes."""
    return tf.reduce_all(tf.equal(tf.shape(x)[:axes], tf.shape(y)[:axes]))


def check_in_range(ids: Tensor, size: Any, message: str) -> Tensor:
    """Returns integers, after a check that all are in `[0, size)`.

    Args:
        ids: Integers of any shape.
        size: An integer or a scalar tensor.
        message: Of the error.

    Raises:
        tf.errors.InvalidArgumentError: If one is not, when the graph runs. Not when compiled by
            XLA, which has no such checks.
    """
    if isinstance(ids, keras.KerasTensor):
        return ids
    if ids.dtype.size < 4:
        # The size may be none of their numbers.
        ids = tf.cast(ids, tf.int32)
    checks = [
        tf.debugging.assert_non_negative(ids, message),
        tf.debugging.assert_less(ids, tf.cast(size, ids.dtype), message),
    ]
    # Eager checks give None: they have raised, or all is well.
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(ids)


def draw_seed() -> Tensor | None:
    """Returns another int32 scalar each time, also each time that a graph runs."""
    # Not of a Keras seed generator: a SavedModel would have to take its variable along.
    return tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32)


def device_type() -> str:
    """Returns what computes: `"cpu"`, `"gpu"` or `"tpu"`."""
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return "tpu"
    return "gpu" if tf.config.list_logical_devices("GPU") else "cpu"


def sorted_segment_sum(x: Tensor, ids: Tensor, count: Any) -> Tensor:
    """Adds up the rows of `x` by their ids, one pass over the memory. XLA has no such kernel.

    Args:
        x: Tensor `(rows, width)`.
        ids: int32 `(rows,)`.
        count: How many sums.

    Returns:
        Tensor `(count, width)` of the dtype of `x`; half precision is added up in float32.
    """
    order = tf.argsort(ids, stable=True)
    return tf.raw_ops.SparseSegmentSumWithNumSegments(
        data=x, indices=order, segment_ids=tf.gather(ids, order), num_segments=count
    )
