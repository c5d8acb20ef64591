"""`Slots`: a pattern's rows as kernels read them.

Each query block that is not global is a *row*. Its *slots* list the key blocks that it reads, in
named groups; `slot_groups` is the one place that says which group lists what. Shapes use N for
heads, n for blocks, b for block size, S for slots of a row.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from bigbird_tf.types import Tensor

__all__ = ["NOT_READ", "UP_TO_QUERY", "SlotLayout", "Slots", "slot_groups", "small_table"]

# A window of tokens that ends at the query: all that its blocks have before it.
UP_TO_QUERY = (2**30, 0)
# Added to the scores of slots that are not read: far below padding, so that they are nothing even
# beside padded keys.
NOT_READ = -1e9


@dataclasses.dataclass(frozen=True)
class SlotLayout:
    """What each slot of a row is for. Hashable: known before any tensor.

    Attributes:
        num_start, num_end: Global blocks at the start and at the end. Queries of these read
            everything (but see `is_causal`), and they stand in a slot of every row.
        window_before, window_after: Blocks of the window before and after the row's own.
        num_random: Random blocks of a row.
        random_end: Every random block's number is below this; `None` if that is not known.
        token_window: `None` where a window block is read as a whole. `(before, after)`: a query
            reads the keys of the window from `before` tokens before it to `after` tokens after it
            only, so that window blocks are read in part: `(b, 0)` with a window of one block
            before is causal.
        is_causal: Whether no query reads everything: all blocks are rows, and a row reads the
            global and random blocks that lie before its window.
        side_blocks: Of `num_start`, the blocks that are beside the sequence, where its other global
            blocks give way to the window: what is near a query is in its window, and nowhere else.
            `None` where the window gives way to all global blocks.
    """

    num_start: int
    num_end: int
    window_before: int
    window_after: int
    num_random: int
    random_end: int | None = None
    token_window: tuple[int, int] | None = None
    is_causal: bool = False
    side_blocks: int | None = None

    @property
    def row_offset(self) -> int:
        """The block of the first row. Queries of those before it read everything."""
        return 0 if self.is_causal else self.num_start

    @property
    def num_window(self) -> int:
        """Blocks of the window."""
        return self.window_before + 1 + self.window_after

    @property
    def groups(self) -> dict[str, slice]:
        """Which slots are whose, by the groups' names, in their order."""
        slices, start = {}, 0
        for name, count in (
            ("global_start", self.num_start),
            ("window", self.num_window),
            ("global_end", self.num_end),
            ("random", self.num_random),
        ):
            slices[name] = slice(start, start + count)
            start += count
        return slices

    @property
    def num_slots(self) -> int:
        """S."""
        return self.num_start + self.num_window + self.num_end + self.num_random

    def partial_bias(self, block_size: int, queries: Any = None, xp: Any = np) -> Any:
        """Returns what is added to scores inside of blocks that are read in part.

        Args:
            block_size: b.
            queries: int32 `(Q,)`, which tokens of their blocks the queries are; `None` for all b.
            xp: `numpy` or `keras.ops`.

        Returns:
            float32 `(Q, S, b)`, for each query of a block and each key of a slot: 0 where it is
            read, `NOT_READ` where not. `None` if all blocks are read as a whole.
        """
        if self.token_window is None:
            return None
        before, after = self.token_window
        token = np.arange(block_size, dtype="int32")
        queries = token if queries is None else queries
        blocks = np.arange(-self.window_before, self.window_after + 1, dtype="int32")
        distance = (blocks * block_size)[:, None] + token - queries[:, None, None]
        is_read = xp.logical_and(distance >= -before, distance <= after)
        bias = xp.where(is_read, np.float32(0), np.float32(NOT_READ))
        window = self.groups["window"]
        return xp.pad(bias, ((0, 0), (window.start, self.num_slots - window.stop), (0, 0)))


def slot_groups(
    layout: SlotLayout, num_blocks: Any, random_blocks: Tensor, xp: Any = np, rows: Any = None
) -> dict[str, tuple]:
    """Lists the key blocks of rows, group by group.

    A window slot outside of the sequence, or on a global block, is not read: the block has a slot
    of its own already. All other slots are read, however often they list the same block.

    In a causal layout all slots of the window that are inside of the sequence are read, and the
    others give way: a global block is read where it lies before the window, and there are as many
    random blocks as there are others before it. With `side_blocks`, global blocks of the sequence
    give way to the window in the same manner.

    Args:
        layout: The layout.
        num_blocks: n, an integer, or an int32 scalar tensor where `xp` is `keras.ops`.
        random_blocks: int32 `(N, rows, r)`.
        xp: `numpy` or `keras.ops`.
        rows: int32 `(rows,)`, the blocks that these rows are; `None` for all of the layout's.

    Returns:
        By the groups' names: `(key_blocks, is_read)`, int32 `(1 or N, rows, slots)` and bool
        `(rows, slots)`. Block 0 stands where a slot is not read.
    """
    end = num_blocks - layout.num_end
    if rows is None:
        rows = xp.arange(end - layout.row_offset, dtype="int32") + layout.row_offset
    row = rows[:, None]
    start_of_all = row * 0
    window = row + np.arange(-layout.window_before, layout.window_after + 1, dtype="int32")
    is_read = xp.logical_and(window >= layout.row_offset, window < end)
    global_start = start_of_all + np.arange(layout.num_start, dtype="int32")
    if layout.is_causal:
        before = row - layout.window_before
        is_before = global_start < before
        is_drawn = np.arange(layout.num_random, dtype="int32") < before - layout.num_start
        return {
            "global_start": (xp.where(is_before, global_start, 0)[None], is_before),
            "window": (xp.where(is_read, window, 0)[None], is_read),
            "global_end": (start_of_all[None, :, :0], is_read[:, :0]),
            "random": (random_blocks, is_drawn),
        }
    global_end = start_of_all + end + np.arange(layout.num_end, dtype="int32")
    is_start, is_end = (xp.ones_like(x, dtype="bool") for x in (global_start, global_end))
    if layout.side_blocks is not None:
        is_read = xp.logical_and(window >= layout.side_blocks, window < num_blocks)
        is_beside = global_start < layout.side_blocks
        is_start = xp.logical_or(is_beside, global_start < row - layout.window_before)
        is_end = global_end > row + layout.window_after
    return {
        "global_start": (global_start[None], is_start),
        "window": (xp.where(is_read, window, 0)[None], is_read),
        "global_end": (global_end[None], is_end),
        "random": (random_blocks, xp.ones_like(random_blocks[0], dtype="bool")),
    }


def small_table(table: np.ndarray) -> Tensor:
    """Returns a table of block numbers as an int32 tensor, kept in fewer bytes."""
    # Saved graphs have the tables of every layer, and few have as many blocks as a byte counts.
    smallest = np.min_scalar_type(table.max(initial=0))
    return ops.cast(ops.convert_to_tensor(table.astype(smallest)), "int32")


class Slots(NamedTuple):
    """The slots of a pattern's rows; arrays, or tensors if the length is unknown at tracing.

    Attributes:
        key_blocks: int32 `(N, rows, S)`.
        bias: float32 `(rows, S)`, 0 where a slot is read and `NOT_READ` where not.
        layout: What each slot is for.
    """

    key_blocks: Any
    bias: Any
    layout: SlotLayout

    @classmethod
    def of(
        cls,
        layout: SlotLayout,
        num_blocks: Any,
        random_blocks: Tensor,
        xp: Any = np,
        rows: Any = None,
    ) -> "Slots":
        """Lists the slots of rows; arguments as those of `slot_groups`."""
        groups = slot_groups(layout, num_blocks, random_blocks, xp, rows)
        num_heads = random_blocks.shape[0]
        # What all heads share is put together first: saved graphs have this for every layer.
        shared = xp.concatenate([groups[name][0] for name in groups if name != "random"], axis=2)
        key_blocks = xp.concatenate(
            [xp.tile(shared, (num_heads, 1, 1)), groups["random"][0]], axis=2
        )
        is_read = xp.concatenate([read for _, read in groups.values()], axis=1)
        bias = xp.where(is_read, np.float32(0), np.float32(NOT_READ))
        return cls(xp.asarray(key_blocks, "int32") if xp is np else key_blocks, bias, layout)

    @classmethod
    def of_unknown_length(
        cls, num_blocks: Any, tables: np.ndarray, starts: np.ndarray, layout: SlotLayout
    ) -> "Slots":
        """Lists the slots for a number of blocks that is a tensor.

        Args:
            num_blocks: int32 scalar tensor, n.
            tables, starts: As `random_blocks_of_all_lengths` returns them.
            layout: The layout.
        """
        num_rows = num_blocks - layout.row_offset - layout.num_end
        start = ops.take(ops.convert_to_tensor(starts), num_blocks)
        random = ops.take(small_table(tables), start + ops.arange(num_rows), axis=0)
        return cls.of(layout, num_blocks, ops.transpose(random, (1, 0, 2)), ops)
