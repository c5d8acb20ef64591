"""How loops, traces and checks run on JAX: what goes into a compiled function is XLA's."""

import functools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.sharding import PartitionSpec
from keras import ops

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
SEED_DTYPE = "uint32"


def is_compiled_by_xla() -> bool:
    """Returns whether what is being traced goes to XLA: here it always does."""
    return True


def fused_kernels() -> ModuleType | None:
    """Returns the module of fused kernels of attention for a GPU; `None` if JAX cannot run them."""
    # Pallas takes a while to import, and few need it.
    try:
        from bigbird_tf.nn.backend import pallas_attention
    except ImportError:
        # JAX 0.11 says that Pallas will do without Triton one day.
        return None
    return pallas_attention


def has_exact_bfloat16_softmax() -> bool:
    """Returns whether softmax of bfloat16 is computed in float32 inside: XLA rounds each step."""
    return False


def has_half_precision_products() -> bool:
    """Returns whether products of half precision need no detour: XLA decides by itself."""
    return True


def call_traced_once(function: Callable, *tensors: Any, **static: Any) -> Any:
    """Calls a function.

    Args:
        function: What to call.
        *tensors: Its tensors.
        **static: Hashable arguments.

    Returns:
        What the function returns.
    """
    return function(*tensors, **static)


def _partition(num_sequences: int, num_heads: int) -> tuple:
    """Returns the mesh of the Keras distribution in force, and its axes for sequences and heads.

    No axes where the devices do not divide them, and nothing where there are no axes.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return None, (), ()
    mesh = distribution.device_mesh
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    by_head = tuple(name for name in sizes if name != distribution.batch_dim_name)
    by_sequence = tuple(name for name in sizes if name == distribution.batch_dim_name)
    if num_sequences % math.prod(sizes[name] for name in by_sequence):
        by_sequence = ()
    if num_heads % math.prod(sizes[name] for name in by_head):
        by_head = ()
    return (mesh.backend_mesh if by_sequence or by_head else None), by_sequence, by_head


def share_of(shape: tuple) -> tuple:
    """Returns the shape of a device's share of a tensor under `keras.distribution`.

    Args:
        shape: `(B, N, …)`.
    """
    mesh, *axes = _partition(*shape[:2])
    if mesh is None:
        return shape
    counts = [math.prod(mesh.shape[name] for name in names) for names in axes]
    return (shape[0] // counts[0], shape[1] // counts[1], *shape[2:])


def call_on_shares(function: Callable, tensors: Sequence, axes: Sequence[str]) -> Any:
    """Calls a function of sequences and heads on each device's share of them.

    A loop over sequences and heads is nothing that XLA's partitioner could share out: it would
    gather all of them on every device.

    Args:
        function: What to call; it treats each sequence and head alike, and apart from others.
        tensors: Its tensors; the first is `(B, N, …)`.
        axes: For each tensor, the letters of its first axes: `"BN"`, `"B"`, `"N"` or `""`.

    Returns:
        What the function returns: tensors `(B, N, …)`.
    """
    mesh, by_sequence, by_head = _partition(*tensors[0].shape[:2])
    if mesh is None or not isinstance(tensors[0], jax.core.Tracer):
        return function(*tensors)
    names = {"B": by_sequence or None, "N": by_head or None}
    specs = [PartitionSpec(*(names[letter] for letter in letters)) for letters in axes]
    outputs = PartitionSpec(names["B"], names["N"])
    return jax.shard_map(
        function, mesh=mesh, in_specs=tuple(specs), out_specs=outputs, check_vma=False
    )(*tensors)


def compile_function(function: Callable, layer: keras.layers.Layer) -> Callable:
    """Returns a function that is compiled once for each kind of its arguments.

    Args:
        function: Takes tensors, or structures of them, by position, and hashable arguments by name.
        layer: Whose variables it reads.
    """

    @functools.partial(jax.jit, static_argnums=2)
    def compiled(values, args, static):
        # As arguments: what a compiled function closes over becomes a constant of it.
        mapping = list(zip(layer.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*args, **dict(static))

    def call(*args, **static):
        values = [variable.value for variable in layer.variables]
        return compiled(values, args, tuple(sorted(static.items())))

    return call


# Inputs with a length of their own, by how their names begin: whose it is.
_LENGTHS = {
    "decoder_": "decoder",
    "global_input_ids": "global tokens",
    "global_attention_mask": "global tokens",
}


def compute_spec(function: Callable, inputs: Tensor) -> Any:
    """Returns what a function that computes specs gives for inputs of which sizes are unknown.

    JAX cannot compare or divide sizes that it does not know. So two different sizes are tried: what
    they change in the outputs is unknown there, too.

    Args:
        function: Of inputs.
        inputs: A `keras.KerasTensor`, or a dictionary of such, whose axes stand for the same; but
            those that `_LENGTHS` names have another length.
    """
    tensors = keras.tree.flatten(inputs)
    if all(None not in x.shape for x in tensors):
        return function(inputs)
    by_name = inputs if isinstance(inputs, dict) else {"": inputs}

    def axes(name, x):
        whose = next((of for start, of in _LENGTHS.items() if name.startswith(start)), "")
        return [(len(x.shape), axis, whose if axis > 0 else "") for axis in range(len(x.shape))]

    known: dict[tuple[int, int, str], int] = {}
    for name, x in by_name.items():
        pairs = zip(axes(name, x), x.shape, strict=True)
        known |= {axis: n for axis, n in pairs if n not in (None, 1)}

    def trial(size):
        def made(name, x):
            pairs = zip(axes(name, x), x.shape, strict=True)
            shape = [known.get(axis, size) if n is None else n for axis, n in pairs]
            return keras.KerasTensor(shape, dtype=x.dtype, name=x.name)

        if not isinstance(inputs, dict):
            return function(made("", inputs))
        return function({name: made(name, x) for name, x in inputs.items()})

    def merged(x, y):
        shape = [n if n == m else None for n, m in zip(x.shape, y.shape, strict=True)]
        return keras.KerasTensor(shape, dtype=x.dtype)

    return keras.tree.map_structure(merged, trial(2), trial(3))


def serial_map(function: Callable, count: Any, shapes: Sequence, dtype: Any) -> list:
    """Calls a function with 0, 1, … one after the other, and stacks what it returns.

    Args:
        function: Takes an int32 scalar tensor; returns a list of tensors.
        count: How many, an integer.
        shapes, dtype: Of the results; not needed here.

    Returns:
        A list of tensors `(count, *shape)`.
    """
    return jax.lax.map(function, jnp.arange(count, dtype="int32"))


def take(x: Tensor, indices: Tensor) -> Tensor:
    """Returns `x[indices]`: rows of `x`. Indices must be in its range.

    Args:
        x: Tensor `(n, …)`.
        indices: Integers in `[0, n)`, of any shape.
    """
    # JAX's default mode also checks for indices out of range, which is slow on a TPU.
    return jnp.take(x, indices, axis=0, mode="clip")


def write_at(x: Tensor, update: Tensor, index: Tensor) -> Tensor:
    """Returns `x` with a place of its axis 2 filled: written in place, whatever the room there.

    Args:
        x: Tensor `(R, N, L, H)`, zeros at that place. A graph does not copy it if it has no other
            use for it.
        update: Tensor `(R, N, 1, H)`.
        index: int32 scalar in `[0, L)`.
    """
    return ops.slice_update(x, (0, 0, index, 0), ops.cast(update, x.dtype))


def overwrite_at(x: Tensor, update: Tensor, index: Tensor) -> Tensor:
    """Returns `x` with a place of each row's axis 2 replaced: written in place, as by `write_at`.

    Args:
        x: Tensor `(R, N, L, H)`, finite at those places.
        update: Tensor `(R, N, 1, H)`.
        index: int32 `(R,)`, each in `[0, L)`.
    """
    rows, num_heads = x.shape[:2]
    row, head = jnp.arange(rows)[:, None], jnp.arange(num_heads)[None]
    return x.at[row, head, index[:, None]].set(update[:, :, 0].astype(x.dtype))


def recompute_barrier(grad_output: Tensor, x: Tensor) -> Tensor:
    """Returns `x`: XLA decides by itself when to compute.

    Args:
        grad_output: What flows back: a tensor of the backward pass.
        x: A tensor of the forward pass, of any shape and dtype.
    """
    return x


def computed_once(x: Tensor) -> Tensor:
    """Returns `x`, which XLA computes once, instead of again in every kernel that reads it.

    Args:
        x: A tensor.
    """
    return jax.lax.optimization_barrier(x)


def replica_context() -> None:
    """Returns the context of a replica of a `tf.distribute` strategy: there is none."""
    return None


def run_after(tensors: Any, function: Callable, *args: Any) -> Tensor:
    """Calls a function on tensors: XLA decides by itself on the order.

    Args:
        tensors: A list of tensors to wait for.
        function: What to call.
        *args: Its arguments.

    Returns:
        What the function returns.
    """
    return function(*args)


def check_when_run(tensor: Tensor, *checks: Any) -> Any:
    """Returns a tensor. Compiled functions have no checks, and shapes are always known here.

    Args:
        tensor: Any tensor.
        *checks: Pairs of a function that returns a bool tensor, and the message if that is false.

    Raises:
        ValueError: If a check fails, outside of compiled functions.
    """
    if isinstance(tensor, keras.KerasTensor):
        return tensor
    for is_well, message in checks:
        value = is_well()
        if not isinstance(value, jax.core.Tracer) and not value:
            raise ValueError(message)
    return tensor


def same_shape(x: Tensor, y: Tensor, axes: int) -> bool:
    """Returns whether the first axes are of the same sizes."""
    return x.shape[:axes] == y.shape[:axes]


def check_in_range(ids: Tensor, size: Any, message: str) -> Tensor:
    """Returns integers, after a check that all are in `[0, size)`.

    Args:
        ids: Integers of any shape.
        size: An integer.
        message: Of the error.

    Raises:
        ValueError: If one is not. Not in compiled functions, which have no such checks.
    """
    if isinstance(ids, keras.KerasTensor):
        return ids
    if ids.dtype.itemsize < 4:
        # The size may be none of their numbers.
        ids = ops.cast(ids, "int32")
    return check_when_run(ids, (lambda: ops.all((ids >= 0) & (ids < size)), message))


def draw_seed() -> Tensor | None:
    """Returns another int32 scalar each time."""
    return keras.random.randint((), 0, 2**31 - 1)


def device_type() -> str:
    """Returns what computes: `"cpu"`, `"gpu"` or `"tpu"`; within `keras.device`, that device."""
    # A device, the name of a platform, or `None`. What is traced under one is not used for others.
    default = jax.config.jax_default_device
    platform = getattr(default, "platform", default) or jax.default_backend()
    return {"cpu": "cpu", "tpu": "tpu"}.get(platform, "gpu")


def sorted_segment_sum(x: Tensor, ids: Tensor, count: Any) -> Tensor:
    """Adds up the rows of `x` by their ids.

    Args:
        x: Tensor `(rows, width)`.
        ids: int32 `(rows,)`.
        count: How many sums.

    Returns:
        Tensor `(count, width)`.
    """
    return jax.ops.segment_sum(x, ids, count)
