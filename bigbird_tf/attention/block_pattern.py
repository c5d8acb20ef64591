"""`BlockPattern`: which key blocks each query block reads. NumPy only.

Shapes use N for heads, n for blocks, r for random blocks of a row.
"""

import dataclasses
import functools

import numpy as np

from bigbird_tf.attention.random_blocks import (
    TooFewBlocksError,
    begins_like_longer_ones,
    draw_random_blocks,
    split_global_blocks,
)

__all__ = ["BlockPattern", "random_blocks_of_all_lengths"]


@dataclasses.dataclass(frozen=True, eq=False)
class BlockPattern:
    """The key blocks that each query block reads, for each head (BigBird paper, section 2).

    Global query blocks (the first and the last ones) read everything. Each other query block, a
    *row* of the pattern, reads the global blocks, the window around itself and its random blocks,
    listed in *slots* in this order: left global, window, right global, random.

    A window slot outside of the sequence, or on a global block, is not read: the block has its own
    slot already. A random slot always counts: where it repeats a block that the row lists anyway
    (which the originals allow), that block's keys enter the softmax once more.

    Attributes:
        num_blocks: n.
        num_left: Global blocks at the start.
        num_right: Global blocks at the end.
        num_window_blocks: Width of the window, odd.
        random_blocks: int32 `(N, rows, r)`, the random blocks; `rows = n - num_left - num_right`.
        key_blocks: int32 `(N, rows, slots)`, the index table; 0 in slots that are not read.
        is_read: bool `(rows, slots)`, whether a slot is read; the same for all heads.
    """

    num_blocks: int
    num_left: int
    num_right: int
    num_window_blocks: int
    random_blocks: np.ndarray
    key_blocks: np.ndarray = dataclasses.field(init=False)
    is_read: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        random_blocks = np.array(self.random_blocks, np.int32)
        object.__setattr__(self, "random_blocks", random_blocks)
        key_blocks, is_read = self._list_slots()
        object.__setattr__(self, "key_blocks", key_blocks)
        object.__setattr__(self, "is_read", is_read)
        for array in (random_blocks, key_blocks, is_read):
            array.flags.writeable = False  # shared by all who ask for the same pattern

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def build(
        num_blocks: int,
        num_heads: int,
        *,
        block_size: int = 64,
        num_random_blocks: int = 3,
        num_window_blocks: int = 3,
        num_global_blocks: int = 2,
        seed: int = 0,
        random_plan: str = "google",
        max_length: int = 4096,
        first_block: bool = False,
    ) -> "BlockPattern":
        """Builds a pattern, or gives the one that was built before with the same arguments.

        Args:
            num_blocks: Blocks of the padded sequence.
            num_heads: Attention heads; each has random blocks of its own.
            block_size: Tokens in a block.
            num_random_blocks: Random blocks of each row; 0 for none.
            num_window_blocks: Width of the sliding window in blocks, odd.
            num_global_blocks: Global blocks, half of them (rounded up) at the start.
            seed: Seed of the random blocks: the layer's index.
            random_plan: Which original's rule draws them: `"google"` or `"transformers"`.
            max_length: The longest sequence in tokens, which `"transformers"` draws for.
            first_block: All random slots read block 0, as `transformers` does outside of training.

        Raises:
            ValueError: If an argument is impossible.
            TooFewBlocksError: (a `ValueError`) If the sequence has too few blocks to choose the
                random ones from.
        """
        for name, value, least in (
            ("num_blocks", num_blocks, 1),
            ("num_heads", num_heads, 1),
            ("block_size", block_size, 1),
            ("num_random_blocks", num_random_blocks, 0),
            ("num_window_blocks", num_window_blocks, 1),
            ("num_global_blocks", num_global_blocks, 0),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be {least} or more. Received: {name}={value}")
        if num_window_blocks % 2 == 0:
            raise ValueError(
                f"`num_window_blocks` must be odd. Received: num_window_blocks={num_window_blocks}"
            )
        if random_plan not in ("google", "transformers"):
            raise ValueError(
                "`random_plan` must be 'google' or 'transformers'. Received: "
                f"random_plan={random_plan!r}"
            )
        num_left, num_right = split_global_blocks(num_global_blocks, num_blocks)
        if first_block:
            shape = (num_heads, num_blocks - num_left - num_right, num_random_blocks)
            random_blocks = np.zeros(shape, np.int32)
        else:
            random_blocks = draw_random_blocks(
                num_blocks,
                num_heads,
                num_random_blocks,
                block_size=block_size,
                num_window_blocks=num_window_blocks,
                num_global_blocks=num_global_blocks,
                seed=seed,
                random_plan=random_plan,
                max_length=max_length,
            )
        return BlockPattern(num_blocks, num_left, num_right, num_window_blocks, random_blocks)

    def _list_slots(self) -> tuple[np.ndarray, np.ndarray]:
        num_heads, num_rows, _ = self.random_blocks.shape
        end = self.num_blocks - self.num_right
        rows = np.arange(self.num_left, end)[:, None]
        half = self.num_window_blocks // 2
        window = rows + np.arange(-half, half + 1)
        shared = np.concatenate(
            [
                np.broadcast_to(np.arange(self.num_left), (num_rows, self.num_left)),
                window,
                np.broadcast_to(np.arange(end, self.num_blocks), (num_rows, self.num_right)),
            ],
            axis=1,
        )
        is_read = np.ones((num_rows, shared.shape[1] + self.random_blocks.shape[2]), bool)
        is_window = slice(self.num_left, self.num_left + self.num_window_blocks)
        is_read[:, is_window] = (window >= self.num_left) & (window < end)
        shared = np.where(is_read[:, : shared.shape[1]], shared, 0)
        shared = np.broadcast_to(shared, (num_heads, *shared.shape))
        return np.concatenate([shared, self.random_blocks], axis=2).astype(np.int32), is_read

    @property
    def num_heads(self) -> int:
        """N."""
        return self.random_blocks.shape[0]

    @property
    def num_rows(self) -> int:
        """Query blocks that are not global."""
        return self.random_blocks.shape[1]

    @property
    def num_slots(self) -> int:
        """Key blocks that a row lists."""
        return self.is_read.shape[1]

    def to_dense_mask(self) -> np.ndarray:
        """Gives how often each query block lists each key block.

        Returns:
            int32 array of shape `(N, n, n)`: 0 where a key block is not read, 1 where it is, more
            where it is listed repeatedly. In dense attention, `exp(score)` is multiplied by it.
        """
        counts = np.zeros((self.num_heads, self.num_blocks, self.num_blocks), np.int32)
        counts[:, : self.num_left] = 1
        counts[:, self.num_blocks - self.num_right :] = 1
        heads, rows, slots = np.nonzero(np.broadcast_to(self.is_read, self.key_blocks.shape))
        np.add.at(counts, (heads, rows + self.num_left, self.key_blocks[heads, rows, slots]), 1)
        return counts


@functools.lru_cache(maxsize=256)
def random_blocks_of_all_lengths(
    min_blocks: int, max_blocks: int, num_heads: int, **settings
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the random blocks of every number of blocks, for lengths unknown at tracing.

    A shorter sequence's table is often the beginning of a longer one's; such tables are stored
    once.

    Args:
        min_blocks: The smallest number of blocks.
        max_blocks: The largest.
        num_heads: N.
        **settings: As in `BlockPattern.build`.

    Returns:
        `(tables, starts)`: int32 `(total_rows, N, r)`, and int32 `(max_blocks + 1,)`, the first
        row in `tables` for each number of blocks; -1 where they are too few for a pattern.
    """
    tables: list[np.ndarray] = []
    table_starts: list[int] = []
    starts = np.full(max_blocks + 1, -1, np.int32)
    total = 0
    start_of_longer = None
    for num_blocks in range(max_blocks, min_blocks - 1, -1):
        begins_like_others = begins_like_longer_ones(num_blocks, **settings)
        if begins_like_others and start_of_longer is not None:
            # Drawn already; at 65,536 tokens, to draw for each length takes a quarter of a minute.
            starts[num_blocks] = start_of_longer
            continue
        try:
            pattern = BlockPattern.build(num_blocks, num_heads, **settings)
        except TooFewBlocksError:
            continue
        table = np.moveaxis(pattern.random_blocks, 0, 1)
        for stored, start in zip(tables, table_starts, strict=True):
            if np.array_equal(stored[: len(table)], table):
                starts[num_blocks] = start
                break
        else:
            tables.append(table)
            table_starts.append(total)
            starts[num_blocks] = total
            total += len(table)
        if begins_like_others:
            start_of_longer = starts[num_blocks]
    if not tables:
        tables.append(np.zeros((0, num_heads, settings.get("num_random_blocks", 3)), np.int32))
    return np.ascontiguousarray(np.concatenate(tables)), starts
