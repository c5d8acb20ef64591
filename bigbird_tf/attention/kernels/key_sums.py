"""Segment sums: gradients of gathered key blocks, added up to gradients of the key blocks.

Three ways to the same sum; a plan says which. Shapes use G for heads, R for rows, n for blocks, b
for block size, H for head size, S for slots of a row.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird_tf.attention.pattern.slots import SlotLayout
from bigbird_tf.nn.backend import sorted_segment_sum
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["sums_by_product", "sums_by_slot", "sums_by_sorting"]

# Up to this many columns, a product with a 0/1 matrix is less work than a scatter.
_LARGEST_PRODUCT = 1024


def sums_by_sorting(parts: Any, ids: Tensor, num_blocks: Any) -> Tensor:
    """Adds up in the order of the key blocks' ids.

    That is one pass over the memory, by a kernel that XLA does not have.

    Args:
        parts: Tensor `(G, rows, S * b, H)`: the gradient of the key block in each slot of a row.
        ids: int32 `(G, rows, S)`, the key blocks' ids.
        num_blocks: n.

    Returns:
        Tensor `(G, n * b, H)` of the parts' dtype; half precision is added up in float32.
    """
    group, _, num_slots = ops.shape(ids)
    *_, width, head_size = parts.shape
    block_size = width // num_slots
    ids = ops.reshape(ids + _offsets(group, num_blocks), (-1,))
    parts = ops.reshape(parts, (-1, block_size * head_size))
    return ops.reshape(sorted_segment_sum(parts, ids, group * num_blocks), (group, -1, head_size))


def sums_by_slot(parts: Any, ids: Tensor, num_blocks: Any, layout: SlotLayout) -> Tensor:
    """Adds up by what a slot is for, with hardly any scatter.

    Global blocks were read by all rows (a sum), window blocks by their neighbours (shifted sums);
    the random ones alone are added by index.

    Args:
        parts, ids, num_blocks: As `sums_by_sorting`'s.
        layout: What each slot is for.

    Returns:
        Tensor `(G, n * b, H)`, float32 at least.
    """
    group, num_rows, num_slots = ops.shape(ids)
    *_, width, head_size = parts.shape
    parts = ops.reshape(parts, (group, num_rows, num_slots, width // num_slots * head_size))
    groups = {name: at_least_float32(parts[:, :, span]) for name, span in layout.groups.items()}
    num_start, num_end, num_before = layout.num_start, layout.num_end, layout.window_before

    total: Tensor = 0.0
    for slot in range(layout.num_window):
        # Row i read block i + row_offset + slot - num_before. Rows at the edges read less (their
        # weights in slots that are not read are zero), so what falls outside is cut off.
        before = layout.row_offset + slot
        after = num_end + layout.num_window - 1 - slot
        total += ops.pad(groups["window"][:, :, slot], ((0, 0), (before, after), (0, 0)))
    total = total[:, num_before : num_before + num_blocks]

    middle = ops.zeros_like(total[:, num_start : num_blocks - num_end])
    global_sums = [ops.sum(groups[name], axis=1) for name in ("global_start", "global_end")]
    total += ops.concatenate([global_sums[0], middle, global_sums[1]], axis=1)

    if layout.num_random:
        total += _sums_onto_random_blocks(
            ops.reshape(groups["random"], (group, -1, parts.shape[-1])),
            ops.reshape(ids[:, :, layout.groups["random"]], (group, -1)),
            num_blocks,
            layout.random_end,
        )
    return ops.reshape(total, (group, -1, head_size))


def _sums_onto_random_blocks(parts: Any, ids: Tensor, num_blocks: Any, end: int | None) -> Tensor:
    """Adds up gradients `(G, rows * S, b * H)` by ids `(G, rows * S)`: `(G, n, b * H)`."""
    group, width = ops.shape(ids)[0], parts.shape[-1]
    end = num_blocks if end is None or not isinstance(num_blocks, int) else min(end, num_blocks)
    if isinstance(end, int) and end <= _LARGEST_PRODUCT:
        # The originals' random blocks are among the first few of a sequence: a small product.
        sums = ops.matmul(_is_column(ids, end, parts.dtype), parts)
        return ops.pad(sums, ((0, 0), (0, num_blocks - end), (0, 0)))
    ids = ops.reshape(ids + _offsets(group, num_blocks)[:, 0], (-1,))
    sums = ops.segment_sum(ops.reshape(parts, (-1, width)), ids, group * num_blocks)
    return ops.reshape(sums, (group, num_blocks, width))


def sums_by_product(
    parts: Any, ids: Tensor, num_blocks: Any, layout: SlotLayout, first_row: int = 0
) -> Tensor:
    """Adds up by one product with a 0/1 matrix, which a TPU is fastest at.

    It has a column for each key block that some row may have read, so some rows at a time of a long
    sequence take no more than as many of a short one.

    Args:
        parts, ids, num_blocks: As `sums_by_sorting`'s.
        layout: What each slot is for.
        first_row: Which row of the pattern the first one is.

    Returns:
        Tensor `(G, n * b, H)`, float32 at least.
    """
    group, num_rows, num_slots = ops.shape(ids)
    *_, width, head_size = parts.shape
    parts = ops.reshape(parts, (group, num_rows * num_slots, width // num_slots * head_size))
    columns, ranges = _columns(ids, num_blocks, layout, first_row)
    count = sum(size for _, size in ranges)
    is_reader = _is_column(ops.reshape(columns, (group, -1)), count, parts.dtype)
    sums: Tensor = 0.0
    for addend in _bfloat16_addends(parts):
        sums += at_least_float32(ops.matmul(is_reader, addend))
    if len(ranges) == 1:
        return ops.reshape(sums, (group, -1, head_size))
    total: Tensor = 0.0
    column = 0
    for begin, size in ranges:
        # What is outside of the sequence was read by none.
        outside = max(-begin, 0), max(begin + size - num_blocks, 0)
        of_range = sums[:, column + outside[0] : column + size - outside[1]]
        before, after = begin + outside[0], num_blocks - (begin + size - outside[1])
        total += ops.pad(of_range, ((0, 0), (before, after), (0, 0)))
        column += size
    return ops.reshape(total, (group, -1, head_size))


def _columns(
    ids: Tensor, num_blocks: Any, layout: SlotLayout, first_row: int
) -> tuple[Tensor, list[tuple[Any, Any]]]:
    """Returns the column of each slot's key block, `(G, rows, S)`, and the columns' ranges.

    Args:
        ids, num_blocks, layout, first_row: As `sums_by_product`'s.

    Returns:
        `(columns, ranges)`; a range is its first key block and how many there are: the first blocks
        of the sequence, those of the rows' windows, the last ones. Or all of them, if that is less.
    """
    num_rows = ids.shape[1]
    everything = ids, [(0, num_blocks)]
    if not isinstance(num_rows, int) or not isinstance(num_blocks, int):
        return everything
    random_end = layout.random_end if layout.num_random else 0
    if random_end is None:
        return everything
    num_first = max(layout.num_start, random_end)
    window = layout.row_offset + first_row - layout.window_before, num_rows + layout.num_window - 1
    last = num_blocks - layout.num_end, layout.num_end
    if num_first + window[1] + last[1] >= num_blocks:
        return everything
    moves = {
        "global_start": 0,
        "window": num_first - window[0],
        "global_end": num_first + window[1] - last[0],
        "random": 0,
    }
    move = np.concatenate(
        [np.full(span.stop - span.start, moves[name]) for name, span in layout.groups.items()]
    )
    # Slots that are not read get a column that is not theirs. Nothing flows back through them.
    return ids + move.astype("int32"), [(0, num_first), window, last]


def _bfloat16_addends(x: Tensor) -> list[Tensor]:
    """Splits float32 into three tensors with as many digits as bfloat16, that add up to it.

    A TPU rounds what it multiplies to bfloat16. Other dtypes stay whole.
    """
    if keras.backend.standardize_dtype(x.dtype) != "float32":
        return [x]

    def first_digits(x):
        # Veltkamp's splitting: what is left are 8 digits.
        scaled = x * (2.0**16 + 1.0)
        return scaled - (scaled - x)

    first = first_digits(x)
    second = first_digits(x - first)
    return [first, second, x - first - second]


def _is_column(ids: Tensor, count: Any, dtype: Any) -> Tensor:
    """Returns `(G, count, readers)`: 1 where a reader's id is the column, else 0."""
    columns = ops.arange(count, dtype="int32")
    return ops.cast(ops.equal(ids[:, None], columns[:, None]), dtype)


def _offsets(group: int, num_blocks: Any) -> Tensor:
    """Returns `(G, 1, 1)`, to tell the blocks of one head from those of another."""
    return ops.reshape(ops.arange(group, dtype="int32") * num_blocks, (-1, 1, 1))
