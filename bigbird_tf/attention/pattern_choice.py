"""`PatternChoice`: which pattern a layer attends by, at which length."""

import dataclasses

from keras import ops

from bigbird_tf.attention.block_pattern import BlockPattern, random_blocks_of_all_lengths
from bigbird_tf.attention.pattern_index import PatternIndex
from bigbird_tf.attention.random_blocks import TooFewBlocksError, split_global_blocks
from bigbird_tf.config import longest_full_attention
from bigbird_tf.nn.backend import check_when_run

__all__ = ["PatternChoice"]


@dataclasses.dataclass(frozen=True)
class PatternChoice:
    """A layer's settings that decide between full and sparse attention, and on the pattern.

    Attributes:
        num_heads, block_size, num_random_blocks, num_window_blocks, num_global_blocks, random_plan,
        inference_random_blocks, full_attention_up_to, max_length, seed: As the arguments of
            `BlockSparseAttention`.
    """

    num_heads: int
    block_size: int
    num_random_blocks: int
    num_window_blocks: int
    num_global_blocks: int
    random_plan: str
    inference_random_blocks: str
    full_attention_up_to: int | None
    max_length: int
    seed: int

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention is used."""
        return longest_full_attention(
            self.full_attention_up_to,
            self.block_size,
            self.num_random_blocks,
            self.num_window_blocks,
            self.num_global_blocks,
        )

    def pattern(self, length: int, training: bool = False) -> BlockPattern:
        """Gives the pattern of sparse attention at a length, in tokens.

        Raises:
            ValueError: If the sequence is too short for its random blocks.
        """
        num_blocks = -(-length // self.block_size)
        return BlockPattern.build(num_blocks, self.num_heads, **self._settings(training))

    def _settings(self, training) -> dict:
        return {
            "block_size": self.block_size,
            "num_random_blocks": self.num_random_blocks,
            "num_window_blocks": self.num_window_blocks,
            "num_global_blocks": self.num_global_blocks,
            "seed": self.seed,
            "random_plan": self.random_plan,
            "max_length": self.max_length,
            "first_block": self.inference_random_blocks == "first_block" and not training,
        }

    def is_sparse(self, length: int, training: bool = False) -> bool:
        """Tells whether attention is sparse at a length, in tokens."""
        if length <= self.longest_full_attention:
            return False
        try:
            self.pattern(length, training)
        except TooFewBlocksError:
            return False
        return True

    def is_sparse_dynamically(self, length, training: bool = False):
        """Gives a bool tensor, as `is_sparse`, for a length that is an int32 scalar tensor.

        Raises:
            tf.errors.InvalidArgumentError: If it is above `max_length`, when the graph runs.
        """
        length = check_when_run(
            length,
            (
                # The encoder has padded to whole blocks before.
                lambda: length <= -(-self.max_length // self.block_size) * self.block_size,
                "Sequences must not be longer than `max_length` where their length is unknown "
                "when the layer is traced. Make the layer for longer ones. "
                f"max_length={self.max_length}",
            ),
        )
        _, starts = self._tables(training)
        num_blocks = -(-length // self.block_size)
        has_pattern = ops.take(ops.convert_to_tensor(starts), num_blocks) >= 0
        return ops.logical_and(length > self.longest_full_attention, has_pattern)

    def index(self, length, training: bool = False):
        """Gives the pattern's index and the number of blocks.

        Args:
            length: A multiple of `block_size`, an integer or an int32 scalar tensor.
            training: Whether the model is training.
        """
        if isinstance(length, int):
            return PatternIndex.of(self.pattern(length, training)), length // self.block_size
        num_blocks = length // self.block_size
        tables, starts = self._tables(training)
        num_left, num_right = split_global_blocks(self.num_global_blocks, len(starts))
        index = PatternIndex.of_dynamic_length(
            num_blocks,
            tables,
            starts,
            num_left=num_left,
            num_right=num_right,
            num_window=self.num_window_blocks,
        )
        return index, num_blocks

    def _tables(self, training):
        """Gives the random blocks of all lengths, for a length that is a tensor."""
        return random_blocks_of_all_lengths(
            self.longest_full_attention // self.block_size + 1,
            -(-self.max_length // self.block_size),
            self.num_heads,
            **self._settings(training),
        )
