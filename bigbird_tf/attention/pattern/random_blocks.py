"""Which random key blocks each query block reads, drawn exactly as the originals draw them.

NumPy only. Every table is drawn with NumPy's legacy generator seeded with the layer's index, so it
is the same in training and inference, on every machine. Shapes use N for heads, n for blocks, r for
random blocks of a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird_tf.attention.pattern.pattern_spec import PatternSpec

__all__ = ["TooFewBlocksError", "begins_like_longer_ones", "draw_random_blocks"]

# Both originals draw from the first tokens only, at the lengths they were trained at.
_FIXED_PLAN_TOKENS = 1024
_FIXED_PLAN_LENGTHS = {
    "google": (1024, 2048, 3072, 4096),
    "transformers": (1024, 3072, 4096),
}
_GOOGLE_TABLE_LENGTH = 4096


class TooFewBlocksError(ValueError):
    """A sequence has too few blocks to choose the random ones from."""


def draw_random_blocks(spec: PatternSpec, num_blocks: int) -> np.ndarray:
    """Draws the table of random blocks of one layer.

    With the window and global blocks of the published models the draws are those of the originals:
    a fixed plan at lengths 1024, 2048 (`"google"` only), 3072 and 4096, a general plan at all
    others. For other patterns each row draws without repetition from all blocks that it does not
    read anyway; of causal ones, from those of `PatternSpec.random_pool` before its window.

    Args:
        spec: The pattern's settings.
        num_blocks: n, blocks of the padded sequence.

    Returns:
        int32 array of shape `(N, rows, r)`; a row for each query block that is not global, or for
        all of a causal pattern. There, 0 stands where a row has no more blocks to choose from.

    Raises:
        TooFewBlocksError: If the plan leaves a row fewer blocks to choose from than it needs.
        ValueError: If `"transformers"` is to draw a fixed plan for less than the sequence.
    """
    if spec.is_causal:
        return _draw_from_pool(spec, num_blocks)
    num_start, num_end = spec.num_global_at(num_blocks)
    num_rows = num_blocks - num_start - num_end
    shape = spec.num_heads, num_rows, spec.num_random_blocks
    if spec.num_random_blocks == 0 or num_rows == 0:
        return np.zeros(shape, np.int32)
    rng = np.random.RandomState(spec.seed)
    if not spec.is_published:
        table = np.zeros(shape, np.int32)
        candidates = np.arange(num_start, num_blocks - num_end, dtype=np.int32)
        for row in range(num_rows):
            block = row + num_start
            is_window = (candidates >= block - spec.window_before) & (
                candidates <= block + spec.window_after
            )
            for head in range(spec.num_heads):
                drawn = rng.permutation(candidates[~is_window])
                _fill(table[head, row], drawn[: spec.num_random_blocks], block)
        return table
    block_size, plan = spec.block_size, spec.random_plan
    if num_blocks * block_size in _FIXED_PLAN_LENGTHS[plan]:
        table_length = _GOOGLE_TABLE_LENGTH if plan == "google" else spec.max_length
        table_blocks = -(-table_length // block_size)
        if table_blocks < num_blocks:
            raise ValueError(
                "`max_length` must be the longest sequence in tokens or more, since "
                "random_plan='transformers' draws for all of it. Received: "
                f"max_length={spec.max_length}, a sequence of {num_blocks * block_size} tokens"
            )
        return _draw_fixed_plan(rng, num_blocks, *shape[::2], block_size, table_blocks)
    return _draw_general_plan(rng, num_blocks, *shape[::2])


def begins_like_longer_ones(spec: PatternSpec, num_blocks: int) -> bool:
    """Whether a table is the beginning of that of every longer sequence of which this holds.

    In the general plan, all rows of sequences that are not very short draw from the same few blocks
    at the start, row by row.

    Args:
        spec: The pattern's settings.
        num_blocks: n.
    """
    if spec.is_causal:
        return True
    return (
        spec.is_published
        and num_blocks > 2 * spec.num_random_blocks + 5
        and num_blocks * spec.block_size not in _FIXED_PLAN_LENGTHS[spec.random_plan]
    )


def _draw_from_pool(spec: PatternSpec, num_blocks: int) -> np.ndarray:
    """Draws for a causal pattern. A row's numbers are drawn after those of the rows before it."""
    pool = np.array(spec.random_pool, np.int32)
    shape = num_blocks, spec.num_heads, len(pool)
    numbers = np.random.RandomState(spec.seed).random_sample(shape)
    is_before = pool < np.arange(num_blocks)[:, None, None] - spec.window_before
    order = np.argsort(np.where(is_before, numbers, np.inf), axis=-1)
    drawn = pool[order[..., : spec.num_random_blocks]]
    is_drawn = np.arange(spec.num_random_blocks) < is_before.sum(axis=-1, keepdims=True)
    return np.moveaxis(np.where(is_drawn, drawn, 0), 0, 1).astype(np.int32)


def _fill(slots: np.ndarray, drawn: Sequence[int] | np.ndarray, block: int) -> None:
    """Writes a row's blocks. A single one fills all slots, as it does in the originals."""
    if len(drawn) not in (1, len(slots)):
        raise TooFewBlocksError(
            f"The sequence is too short for its random blocks: query block {block} needs "
            f"{len(slots)}, and {len(drawn)} may be chosen. Use fewer random blocks "
            "(`num_random_blocks`), smaller blocks (`block_size`), or full attention for such "
            "lengths (`full_attention_up_to`)."
        )
    slots[:] = drawn


def _draw_fixed_plan(
    rng: np.random.RandomState,
    num_blocks: Any,
    num_heads: int,
    num_random_blocks: int,
    block_size: int,
    table_blocks: int,
) -> np.ndarray:
    """Draws for a table of `table_blocks` blocks, head by head, and keeps the first rows."""
    num_rows = num_blocks - 2
    table = np.zeros((num_heads, table_blocks - 2, num_random_blocks), np.int32)
    last = table_blocks - 1
    if 2 * block_size < _FIXED_PLAN_TOKENS:
        last = _FIXED_PLAN_TOKENS // block_size - 1
    blocks = np.arange(1, min(last, table_blocks - 2) + 1, dtype=np.int32)
    for head in range(num_heads):
        for block in range(1, table_blocks - 1):
            if block <= 2:
                free = blocks[blocks >= block + 2]
            elif block >= table_blocks - 3 or block - 2 > last:
                free = blocks
            elif block + 1 == last:
                free = blocks[blocks <= block - 2]
            else:
                free = blocks[(blocks <= block - 2) | (blocks >= block + 2)]
            _fill(table[head, block - 1], rng.permutation(free)[:num_random_blocks], block)
    return table[:, :num_rows]


def _draw_general_plan(
    rng: np.random.RandomState, num_blocks: Any, num_heads: int, num_random_blocks: int
) -> np.ndarray:
    """Draws row by row, heads innermost, from one or two ranges of key blocks."""
    r = num_random_blocks
    if num_blocks > 2 * r + 5:
        first_end, first_count = 2 * r + 5, r
    elif num_blocks > r + 5:
        first_end, first_count = r + 5, r // 2
    else:
        first_end, first_count = num_blocks, r
    # The table has a row for every block; those of the two global blocks are dropped at the end,
    # though draws are made for the last one, and so count for what follows.
    table = np.zeros((num_heads, num_blocks, r), np.int32)

    def draw(rows, start, end, slots):
        count = slots.stop - slots.start
        if count == 0:
            return
        key_blocks = np.arange(start, end, dtype=np.int32)
        for block in rows:
            refused = {0, block - 1, block, block + 1, end - 1}
            if block == 1:
                refused.add(end - 2)
            if block == end - 2:
                refused.add(1)
            for head in range(num_heads):
                drawn = [b for b in rng.permutation(key_blocks).tolist() if b not in refused]
                # What the last, global block draws is never read.
                if block < num_blocks - 1:
                    _fill(table[head, block, slots], drawn[:count], block)

    first_rows, other_rows = range(1, first_end), range(first_end, num_blocks)
    first_slots, other_slots = slice(0, first_count), slice(first_count, r)
    draw(first_rows, 0, first_end, first_slots)
    draw(first_rows, first_end, num_blocks, other_slots)
    draw(other_rows, 0, first_end, first_slots)
    draw(other_rows, first_end, num_blocks, other_slots)
    return table[:, 1:-1]
