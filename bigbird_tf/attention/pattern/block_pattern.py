"""`BlockPattern`: which key blocks each query block reads. NumPy only.

Shapes use N for heads, n for blocks, r for random blocks of a row.
"""

import dataclasses
import functools

import numpy as np

from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.random_blocks import (
    TooFewBlocksError,
    begins_like_longer_ones,
    draw_random_blocks,
)
from bigbird_tf.attention.pattern.slots import UP_TO_QUERY, SlotLayout, Slots
from bigbird_tf.config_checks import check_integer

__all__ = ["BlockPattern", "random_blocks_of_all_lengths"]


@dataclasses.dataclass(frozen=True, eq=False)
class BlockPattern:
    """The key blocks that each query block reads, for each head (BigBird paper, section 2).

    Global query blocks (the first and the last ones) read everything. Each other query block, a
    *row* of the pattern, reads the global blocks, the window around itself and its random blocks,
    listed in *slots* in this order: global at the start, window, global at the end, random.

    A window slot outside of the sequence, or on a global block, is not read: the block has its own
    slot already. A random slot always counts: where it repeats a block that the row lists anyway
    (which the originals allow), that block's keys enter the softmax once more.

    In a causal pattern no query block reads everything: all blocks are rows. Of its own block, a
    query reads the tokens up to itself; no block is listed twice.

    Attributes:
        num_blocks: n.
        num_left: Global blocks at the start.
        num_right: Global blocks at the end.
        window: Blocks of the window `(before, after)` the row's own; or the window's width, an odd
            integer, with as many blocks before as after.
        random_blocks: int32 `(N, rows, r)`, the random blocks; `rows = n - num_left - num_right`,
            or n if causal.
        is_causal: Whether no query reads what comes after it.
        side_blocks: As of `SlotLayout`.
        slots: What each row lists, as kernels read it.
    """

    num_blocks: int
    num_left: int
    num_right: int
    window: int | tuple[int, int]
    random_blocks: np.ndarray
    is_causal: bool = False
    side_blocks: int | None = None
    slots: Slots = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        window = self.window
        if isinstance(window, int):
            window = (window // 2, window // 2)
        object.__setattr__(self, "window", window)
        random_blocks = np.array(self.random_blocks, np.int32)
        object.__setattr__(self, "random_blocks", random_blocks)
        layout = SlotLayout(
            self.num_left,
            self.num_right,
            *window,
            num_random=random_blocks.shape[-1],
            random_end=int(random_blocks.max(initial=0)) + 1,
            token_window=UP_TO_QUERY if self.is_causal else None,
            is_causal=self.is_causal,
            side_blocks=self.side_blocks,
        )
        slots = Slots.of(layout, self.num_blocks, random_blocks)
        object.__setattr__(self, "slots", slots)
        for array in (random_blocks, slots.key_blocks, slots.bias):
            array.flags.writeable = False  # shared by all who ask for the same pattern

    @staticmethod
    def build(
        num_blocks: int,
        num_heads: int,
        *,
        block_size: int = 64,
        num_random_blocks: int = 3,
        num_window_blocks: int | tuple[int, int] = 3,
        num_global_blocks: int | tuple[int, int] = 2,
        seed: int = 0,
        random_plan: str = "google",
        max_length: int = 4096,
        first_block: bool = False,
        is_causal: bool = False,
    ) -> "BlockPattern":
        """Builds a pattern, or returns the one that was built before with the same arguments.

        Args:
            num_blocks: Blocks of the padded sequence.
            num_heads: Attention heads; each has random blocks of its own.
            block_size: Tokens in a block.
            num_random_blocks: Random blocks of each row; 0 for none.
            num_window_blocks: Width of the sliding window in blocks, odd; or a pair, how many
                before and after a row's own block.
            num_global_blocks: Global blocks, half of them (rounded up) at the start; or a pair, how
                many at the start and at the end.
            seed: Seed of the random blocks: the layer's index.
            random_plan: Which original's rule draws them: `"google"` or `"transformers"`.
            max_length: The longest sequence in tokens, which `"transformers"` draws for.
            first_block: All random slots read block 0, as `transformers` does outside of training.
            is_causal: No query reads what comes after it; see `PatternSpec`.

        Raises:
            ValueError: If an argument is impossible.
            TooFewBlocksError: (a `ValueError`) If the sequence has too few blocks to choose the
                random ones from.
        """
        spec = PatternSpec.from_arguments(
            num_heads=num_heads,
            block_size=block_size,
            num_random_blocks=num_random_blocks,
            num_window_blocks=num_window_blocks,
            num_global_blocks=num_global_blocks,
            seed=seed,
            random_plan=random_plan,
            max_length=max_length,
            inference_random_blocks="first_block" if first_block else "seeded",
            is_causal=is_causal,
        )
        return BlockPattern.of(spec, num_blocks)

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def of(spec: PatternSpec, num_blocks: int, training: bool = False) -> "BlockPattern":
        """Builds a pattern, or returns the one that was built before with the same arguments.

        Args:
            spec: The pattern's settings.
            num_blocks: Blocks of the padded sequence.
            training: Whether a model is training, which decides on the random blocks where those of
                inference are `"first_block"`.

        Raises:
            ValueError: If `num_blocks` is no positive integer.
            TooFewBlocksError: (a `ValueError`) If the sequence has too few blocks to choose the
                random ones from.
        """
        check_integer("num_blocks", num_blocks, 1)
        num_start, num_end = spec.num_global_at(num_blocks)
        if spec.inference_random_blocks == "first_block" and not training:
            shape = spec.num_heads, num_blocks - num_start - num_end, spec.num_random_blocks
            random_blocks = np.zeros(shape, np.int32)
        else:
            random_blocks = draw_random_blocks(spec, num_blocks)
        window = spec.window_before, spec.window_after
        return BlockPattern(
            *(num_blocks, num_start, num_end, window, random_blocks),
            is_causal=spec.is_causal,
            side_blocks=spec.side_blocks,
        )

    @property
    def key_blocks(self) -> np.ndarray:
        """int32 `(N, rows, slots)`, the index table; 0 in slots that are not read."""
        return self.slots.key_blocks

    @property
    def is_read(self) -> np.ndarray:
        """bool `(rows, slots)`, whether a slot is read; the same for all heads."""
        is_read = self.slots.bias == 0
        is_read.flags.writeable = False
        return is_read

    @property
    def num_window_blocks(self) -> int:
        """Width of the window in blocks."""
        return self.slots.layout.num_window

    @property
    def num_heads(self) -> int:
        """N."""
        return self.random_blocks.shape[0]

    @property
    def num_rows(self) -> int:
        """Query blocks that do not read everything."""
        return self.random_blocks.shape[1]

    @property
    def num_slots(self) -> int:
        """Key blocks that a row lists."""
        return self.slots.layout.num_slots

    def to_dense_mask(self) -> np.ndarray:
        """Returns how often each query block lists each key block.

        Returns:
            int32 array of shape `(N, n, n)`: 0 where a key block is not read, 1 where it is, more
            where it is listed repeatedly. In dense attention, `exp(score)` is multiplied by it. Of
            a causal pattern, blocks on the diagonal are read in part: key tokens up to the query.
        """
        counts = np.zeros((self.num_heads, self.num_blocks, self.num_blocks), np.int32)
        offset = self.slots.layout.row_offset
        counts[:, :offset] = 1
        counts[:, self.num_blocks - self.num_right :] = 1
        heads, rows, slots = np.nonzero(np.broadcast_to(self.is_read, self.key_blocks.shape))
        np.add.at(counts, (heads, rows + offset, self.key_blocks[heads, rows, slots]), 1)
        return counts


@functools.lru_cache(maxsize=256)
def random_blocks_of_all_lengths(
    spec: PatternSpec, training: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the random blocks of every number of blocks, for lengths unknown at tracing.

    From the shortest sequences that are sparse to the longest ones. A shorter sequence's table is
    often the beginning of a longer one's; such tables are stored once.

    Args:
        spec: The pattern's settings.
        training: As in `BlockPattern.of`.

    Returns:
        `(tables, starts)`: int32 `(total_rows, N, r)`, and int32 `(max_blocks + 1,)`, the first
        row in `tables` for each number of blocks; -1 where they are too few for a pattern.
    """
    max_blocks = spec.num_blocks(spec.max_length)
    if spec.is_causal:
        # One for all lengths.
        random_blocks = BlockPattern.of(spec, max_blocks).random_blocks
        table = np.ascontiguousarray(np.moveaxis(random_blocks, 0, 1))
        return table, np.zeros(max_blocks + 1, np.int32)
    min_blocks = spec.longest_full_attention // spec.block_size + 1
    tables: list[np.ndarray] = []
    table_starts: list[int] = []
    starts = np.full(max_blocks + 1, -1, np.int32)
    total = 0
    start_of_longer = None
    for num_blocks in range(max_blocks, min_blocks - 1, -1):
        begins_like_others = begins_like_longer_ones(spec, num_blocks)
        if begins_like_others and start_of_longer is not None:
            # Drawn already. Drawing anew for each length is slow for long sequences.
            starts[num_blocks] = start_of_longer
            continue
        try:
            pattern = BlockPattern.of(spec, num_blocks, training)
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
        tables.append(np.zeros((0, spec.num_heads, spec.num_random_blocks), np.int32))
    return np.ascontiguousarray(np.concatenate(tables)), starts
