"""Full attention, plain or under the sparse pattern's mask. Shapes: see `sparse_products`."""

from keras import ops

from bigbird_tf.attention.pattern_index import NOT_READ, PatternIndex
from bigbird_tf.attention.sparse_products import attention_weights

__all__ = ["full_attention", "pattern_bias"]


def full_attention(query, key, value, bias, *, scale: float = 1.0, dropout=None):
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


def pattern_bias(index: PatternIndex, num_blocks, block_size: int, *, count_repeats: bool):
    """Gives the bias that makes full attention attend by the sparse pattern.

    Args:
        index: The pattern.
        num_blocks: n.
        block_size: b.
        count_repeats: Whether a key block that a row lists k times weighs k times as much, as
            `block_sparse` has it (a bias of log k); if not, it counts once, as in the
            `simulated_sparse` of Google's code.

    Returns:
        float32 tensor `(N, T, T)`; `NOT_READ` where a key is not read.
    """
    is_read = ops.cast(ops.convert_to_tensor(index.slot_bias) == 0, "float32")
    listed = ops.one_hot(index.key_blocks, num_blocks, dtype="float32")
    counts = ops.sum(listed * is_read[None, :, :, None], axis=2)
    paddings = ((0, 0), (index.num_left, index.num_right), (0, 0))
    counts = ops.pad(counts, paddings, constant_values=1.0)
    if not count_repeats:
        counts = ops.minimum(counts, 1.0)
    bias = ops.where(counts > 0, ops.log(ops.maximum(counts, 1.0)), NOT_READ)
    bias = ops.repeat(ops.repeat(bias, block_size, axis=1), block_size, axis=2)
    return ops.cast(bias, "float32")
