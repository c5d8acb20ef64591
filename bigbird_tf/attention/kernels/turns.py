"""The turns of a kernel: some heads at a time, one turn after the other.

Shapes use the letters of `chunked`.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from bigbird_tf.nn.backend import serial_map
from bigbird_tf.types import Tensor

__all__ = ["map_turns"]


def map_turns(
    function: Callable,
    tensors: Any,
    biases: tuple[Tensor, ...],
    key_blocks: Tensor,
    heads: int,
    in_float32: bool,
    num_outputs: int,
) -> Any:
    """Applies a function to some heads at a time, one turn after the other; or once to all.

    Args:
        function: Takes the tensors of a turn, `(G, T, H)` each, a list of their biases,
            `(1 or G, 1, 1 or K, T)` each, and their table `(G, rows, S)`; returns a list of
            tensors `(G, T, H)`.
        tensors: Tensors `(B, N, T, H)`; their last sizes may differ.
        biases: That of keys, float32 `(B, T)`; and others of that shape or `(B, K, T)`.
        key_blocks: int32 `(N, rows, S)`.
        heads: G, or 0 for all heads of all sequences at once.
        in_float32: Whether the function gets float32, and returns it, where tensors are not.
        num_outputs: How many tensors the function returns: the first one of the shape of the first
            of `tensors`, and so on.

    Returns:
        A list of tensors `(B, N, T, H)`.
    """
    batch, num_heads, length, _ = ops.shape(tensors[0])
    widths = [x.shape[-1] for x in tensors]
    if in_float32:
        function = _in_float32(function, tensors[0].dtype)
    if not heads:
        flat = [ops.reshape(x, (-1, length, x.shape[-1])) for x in tensors]
        of_rows = [_per_row(ops.repeat(bias, num_heads, axis=0)) for bias in biases]
        outputs = function(*flat, of_rows, ops.tile(key_blocks, (batch, 1, 1)))
        return _as_given(outputs, num_heads, length, widths)
    num_groups = num_heads // heads
    grouped = [ops.reshape(x, (-1, heads, length, x.shape[-1])) for x in tensors]
    tables = ops.reshape(key_blocks, (num_groups, heads, -1, key_blocks.shape[-1]))

    def turn(number):
        of_row = [_per_row(bias[number // num_groups][None]) for bias in biases]
        # By number: to hand a map whole tensors would copy every one of them.
        return function(*(x[number] for x in grouped), of_row, tables[number % num_groups])

    known = length if isinstance(length, int) else None
    shapes = [(heads, known, width) for width in widths[:num_outputs]]
    outputs = serial_map(turn, ops.shape(grouped[0])[0], shapes, tensors[0].dtype)
    return _as_given(outputs, num_heads, length, widths)


def _as_given(outputs: Any, num_heads: int, length: Any, widths: list[int]) -> list[Tensor]:
    return [
        ops.reshape(x, (-1, num_heads, length, width))
        for x, width in zip(outputs, widths, strict=False)
    ]


def _in_float32(function: Callable, dtype: Any) -> Callable:
    """Returns a function of a turn that gets float32, and of which the results are converted."""

    def converted(*arguments):
        *tensors, biases, table = arguments
        outputs = function(*(ops.cast(x, "float32") for x in tensors), biases, table)
        return [ops.cast(x, dtype) for x in outputs]

    return converted


def _per_row(bias: Tensor) -> Tensor:
    """Returns a bias `(G, T)` or `(G, K, T)` with an axis for rows, and one for queries."""
    return bias[:, None, None] if len(bias.shape) == 2 else bias[:, None]
