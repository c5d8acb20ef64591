"""A rolling cache: the keys and values that tokens to come can still read under a causal pattern.

Those are the blocks at the start, global ones and those that random blocks are drawn from, which
have a place each; and the blocks of the window, which take turns in the places behind them. So the
cache is as large after a million tokens as after some thousand, and a new token reads the blocks
that its row of the pattern lists, as in the chunked kernel.

Shapes use R for rows that decode, N for heads, b for block size, C for blocks of the cache, S for
slots of a row of the pattern, H for head size.
"""

from typing import Any

from keras import ops

from bigbird_tf.attention.kernels.reference import full_attention
from bigbird_tf.attention.pattern.pattern_at_length import slots_of_rows
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.nn.backend import take
from bigbird_tf.types import Tensor

__all__ = ["attend_to_cache", "cache_blocks", "cache_place", "roll"]


def cache_blocks(spec: PatternSpec) -> int:
    """Returns C: the blocks that stay, and those of the window; no more than there can be."""
    most = spec.random_pool.stop + spec.num_window_blocks
    return min(most, spec.num_blocks(spec.max_length))


def cache_place(position: Tensor, spec: PatternSpec) -> Tensor:
    """Returns where in the cache tokens are, from their positions; int32 of any shape."""
    block = _block_place(position // spec.block_size, spec)
    return block * spec.block_size + position % spec.block_size


def roll(x: Tensor, lengths: Tensor, spec: PatternSpec) -> Tensor:
    """Returns of a prompt's keys or values what goes into the cache.

    Args:
        x: Tensor `(R, N, T, H)`; T is a multiple of b.
        lengths: int32 `(R,)`, one at least: how many tokens of each row are real; padding is
            behind them.
        spec: The causal pattern.

    Returns:
        Tensor `(R, N, C * b, H)`. Where nothing real belongs, there is anything finite: no token
        reads a place before one has written there.
    """
    rows, num_heads, length = ops.shape(x)[:3]
    count, num_blocks = cache_blocks(spec), length // spec.block_size
    place = ops.arange(count, dtype="int32")
    last = (lengths[:, None] - 1) // spec.block_size
    # Of the blocks that take turns at a place, the last.
    turn = last - (last - place) % spec.num_window_blocks
    block = ops.where(place < spec.random_pool.stop, place, turn)
    block = ops.clip(block, 0, num_blocks - 1)
    return _gather(x, ops.broadcast_to(block[:, None], (rows, num_heads, count)), spec)


def attend_to_cache(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    position: Tensor,
    spec: PatternSpec,
    *,
    scale: float = 1.0,
) -> Tensor:
    """Computes the attention of one token of each row to the blocks that its row lists.

    Args:
        query: Tensor `(R, N, 1, H)`.
        keys: Tensor `(R, N, C * b, H)`, the new token's among them.
        values: Tensor of the same shape.
        position: int32 `(R,)`, the new token's position in its row.
        spec: The causal pattern.
        scale: What scores are multiplied by.

    Returns:
        Tensor `(R, N, 1, H)`.
    """
    slots = slots_of_rows(spec, position // spec.block_size)
    places = ops.transpose(_block_place(slots.key_blocks, spec), (1, 0, 2))
    partial = slots.layout.partial_bias(spec.block_size, position % spec.block_size, ops)
    bias = slots.bias[:, :, None] + partial
    bias = ops.reshape(bias, (-1, 1, 1, slots.layout.num_slots * spec.block_size))
    keys, values = (_gather(x, places, spec) for x in (keys, values))
    return full_attention(query, keys, values, bias, scale=scale)[0]


def _block_place(block: Tensor, spec: PatternSpec) -> Tensor:
    first = spec.random_pool.stop
    return ops.where(block < first, block, first + (block - first) % spec.num_window_blocks)


def _gather(x: Tensor, blocks: Any, spec: PatternSpec) -> Tensor:
    """Returns blocks of `(R, N, T, H)`, by int32 `(R, N, K)`: `(R, N, K * b, H)`."""
    rows, num_heads, length, head_size = ops.shape(x)
    first = ops.arange(rows * num_heads, dtype="int32") * (length // spec.block_size)
    ids = ops.reshape(blocks, (-1, blocks.shape[-1])) + first[:, None]
    x = take(ops.reshape(x, (-1, spec.block_size * head_size)), ops.reshape(ids, (-1,)))
    return ops.reshape(x, (-1, num_heads, blocks.shape[-1] * spec.block_size, head_size))
