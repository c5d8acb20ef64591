"""Full attention, plain or under the sparse pattern's bias: the reference of all kernels.

Shapes use B for batch, N for heads, n for blocks, b for block size, T = n * b for length, H for
head size.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from bigbird_tf.attention.kernels.attention_weights import attention_weights
from bigbird_tf.attention.pattern.slots import NOT_READ, SlotLayout, Slots
from bigbird_tf.types import Tensor

__all__ = ["causal_bias", "full_attention", "pattern_bias"]


def full_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    *,
    scale: float = 1.0,
    dropout: Callable | None = None,
) -> tuple[Tensor, Tensor]:
    """Computes attention of all queries to all keys (`original_full`).

    Args:
        query: Tensor `(B, N, Tq, H)`.
        key: Tensor `(B, N, Tk, H)`.
        value: Tensor `(B, N, Tk, H)`.
        bias: float32 tensor that broadcasts to `(B, N, Tq, Tk)`, added to the scores.
        scale: What scores are multiplied by, before that.
        dropout: A function that drops weights, or `None`.

    Returns:
        `(context, weights)`: `(B, N, Tq, H)` and `(B, N, Tq, Tk)` of the query's dtype; the weights
        as they are before dropout.
    """
    weights = ops.cast(attention_weights(query * scale, key, bias), query.dtype)
    dropped = weights if dropout is None else dropout(weights)
    return ops.matmul(dropped, value), weights


def pattern_bias(slots: Slots, num_blocks: Any, block_size: int, *, count_repeats: bool) -> Tensor:
    """Returns the bias that makes full attention attend by the sparse pattern.

    Args:
        slots: What each row of the pattern lists.
        num_blocks: n.
        block_size: b.
        count_repeats: Whether a key that a row lists k times weighs k times as much, as
            `block_sparse` has it (a bias of log k); if not, it counts once, as in the
            `simulated_sparse` of Google's code.

    Returns:
        float32 tensor `(N, T, T)`; `NOT_READ` where a key is not read.
    """
    layout = slots.layout
    is_read = ops.cast(ops.convert_to_tensor(slots.bias) == 0, "float32")
    listed = ops.one_hot(slots.key_blocks, num_blocks, dtype="float32") * is_read[None, :, :, None]
    partial = layout.partial_bias(block_size)
    if partial is None:
        counts = _with_global_rows(ops.sum(listed, axis=2), layout)
        counts = ops.repeat(ops.repeat(counts, block_size, axis=1), block_size, axis=2)
    else:
        # By token: of each row `(N, rows, n)` to `(N, rows * b, n * b)`.
        of_tokens = (partial == 0).astype("float32")
        counts = ops.einsum("hrsn,qsk->hrqnk", listed, of_tokens)
        counts = ops.reshape(counts, (listed.shape[0], -1, num_blocks * block_size))
        counts = _with_global_rows(counts, layout, block_size)
    if not count_repeats:
        counts = ops.minimum(counts, 1.0)
    bias = ops.where(counts > 0, ops.log(ops.maximum(counts, 1.0)), NOT_READ)
    return ops.cast(bias, "float32")


def causal_bias(length: Any) -> Tensor:
    """Returns the bias that keeps queries from what comes after them.

    Args:
        length: T, an integer or a scalar tensor.

    Returns:
        float32 tensor `(T, T)`; `NOT_READ` where the key comes after the query.
    """
    position = ops.arange(length, dtype="int32")
    return ops.where(position[None, :] > position[:, None], NOT_READ, 0.0)


def _with_global_rows(counts: Tensor, layout: SlotLayout, size: int = 1) -> Tensor:
    """Puts rows that read everything around the others, `size` for each block."""
    paddings = ((0, 0), (layout.row_offset * size, layout.num_end * size), (0, 0))
    return ops.pad(counts, paddings, constant_values=1.0)
