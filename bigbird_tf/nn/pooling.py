"""Vectors of whole texts, made of the vectors of their tokens."""

from keras import ops

from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["POOLING_MODES", "pool_tokens", "scale_to_length_one"]

POOLING_MODES = ("mean", "cls", "max")


def pool_tokens(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """Pools the vectors of real tokens.

    Args:
        hidden: Tensor `(B, T, D)`.
        mask: Tensor `(B, T)`, `True` for real tokens.
        mode: `"mean"`, `"max"`, or `"cls"`, the first real token.

    Returns:
        Tensor `(B, D)`, in float32 at least; zeros where no token is real.
    """
    wide = at_least_float32(hidden)
    is_real = ops.cast(mask, "bool")
    if mode == "max":
        found = ops.max(ops.where(is_real[..., None], wide, -1e30), axis=1)
        return ops.where(ops.any(is_real, axis=1, keepdims=True), found, 0.0)
    count = ops.cumsum(ops.cast(is_real, "int32"), axis=1)
    if mode == "cls":
        is_real = ops.logical_and(is_real, ops.equal(count, 1))
        count = ops.ones_like(count)
    total = ops.sum(ops.where(is_real[..., None], wide, 0.0), axis=1)
    return total / ops.cast(ops.maximum(count[:, -1:], 1), total.dtype)


def scale_to_length_one(x: Tensor) -> Tensor:
    """Divides the rows of `(B, D)` by their lengths; a row of zeros stays one."""
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, 1e-24))
