"""`PatternIndex`: a block pattern as tensors. Shapes: see `sparse_products`."""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from bigbird_tf.attention.block_pattern import BlockPattern

__all__ = ["NOT_READ", "PatternIndex"]

# Added to the scores of slots that are not read: far below padding, so that they are nothing even
# beside padded keys.
NOT_READ = -1e9


class PatternIndex(NamedTuple):
    """A `BlockPattern` as the products use it; arrays, or tensors if the length is dynamic.

    Attributes:
        key_blocks: int32 `(N, rows, S)`.
        slot_bias: float32 `(rows, S)`, 0 where a slot is read and `NOT_READ` where not.
        num_left, num_right, num_window: Global blocks at the start and the end, and the window's
            width, in blocks. The first slots of a row are these; random ones follow.
    """

    key_blocks: Any
    slot_bias: Any
    num_left: int
    num_right: int
    num_window: int

    @classmethod
    def of(cls, pattern: BlockPattern) -> "PatternIndex":
        """Gives the index of a pattern whose length is known."""
        slot_bias = np.where(pattern.is_read, np.float32(0), np.float32(NOT_READ))
        return cls(
            pattern.key_blocks,
            slot_bias,
            pattern.num_left,
            pattern.num_right,
            pattern.num_window_blocks,
        )

    @classmethod
    def of_dynamic_length(
        cls, num_blocks, tables, starts, *, num_left: int, num_right: int, num_window: int
    ) -> "PatternIndex":
        """Gives the index for a number of blocks that is a tensor.

        Args:
            num_blocks: int32 scalar tensor, n.
            tables, starts: As `random_blocks_of_all_lengths` gives them.
            num_left, num_right, num_window: As the attributes.
        """
        num_heads, num_random = tables.shape[1:]
        num_rows = num_blocks - num_left - num_right
        start = ops.take(ops.convert_to_tensor(starts), num_blocks)
        row = ops.arange(num_rows)
        # Saved graphs have the tables of every layer, and few have as many blocks as a byte counts.
        smallest = np.min_scalar_type(tables.max(initial=0))
        tables = ops.cast(ops.convert_to_tensor(tables.astype(smallest)), "int32")
        random = ops.take(tables, start + row, axis=0)
        random = ops.transpose(random, (1, 0, 2))

        half = num_window // 2
        window = row[:, None] + np.arange(num_left - half, num_left + half + 1, dtype="int32")
        end = num_blocks - num_right
        is_read = ops.logical_and(window >= num_left, window < end)
        zeros = ops.zeros_like(row)[:, None]
        shared = ops.concatenate(
            [
                zeros + np.arange(num_left, dtype="int32"),
                ops.where(is_read, window, 0),
                zeros + end + np.arange(num_right, dtype="int32"),
            ],
            axis=1,
        )
        shared = ops.tile(shared[None], (num_heads, 1, 1))
        window_bias = ops.where(is_read, 0.0, NOT_READ)
        slot_bias = ops.concatenate(
            [
                ops.cast(zeros, "float32") * np.zeros(num_left, "float32"),
                ops.cast(window_bias, "float32"),
                ops.cast(zeros, "float32") * np.zeros(num_right + num_random, "float32"),
            ],
            axis=1,
        )
        key_blocks = ops.concatenate([shared, random], axis=2)
        return cls(key_blocks, slot_bias, num_left, num_right, num_window)
