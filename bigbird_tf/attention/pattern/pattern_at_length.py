"""Which pattern a layer attends by at a length, known or unknown at tracing."""

from typing import Any

import numpy as np
from keras import ops

from bigbird_tf.attention.pattern.block_pattern import BlockPattern, random_blocks_of_all_lengths
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.random_blocks import TooFewBlocksError
from bigbird_tf.attention.pattern.slots import UP_TO_QUERY, SlotLayout, Slots, small_table
from bigbird_tf.nn.backend import check_when_run
from bigbird_tf.types import Tensor

__all__ = ["is_sparse", "is_sparse_when_run", "slots_at", "slots_of_rows"]


def is_sparse(spec: PatternSpec, length: int, training: bool = False) -> bool:
    """Returns whether attention is sparse at a length, in tokens.

    Args:
        spec: The pattern's settings.
        length: The length.
        training: Whether the model is training.
    """
    if length <= spec.longest_full_attention:
        return False
    try:
        BlockPattern.of(spec, spec.num_blocks(length), training)
    except TooFewBlocksError:
        return False
    return True


def is_sparse_when_run(spec: PatternSpec, length: Any, training: bool = False) -> Tensor:
    """Returns a bool tensor, as `is_sparse`, for a length that is an int32 scalar tensor.

    Args:
        spec: The pattern's settings.
        length: The length.
        training: Whether the model is training.

    Raises:
        tf.errors.InvalidArgumentError: If it is above the spec's `max_length`, when the graph runs.
    """
    length = check_when_run(
        length,
        (
            # The encoder has padded to whole blocks before.
            lambda: length <= spec.num_blocks(spec.max_length) * spec.block_size,
            "Sequences must not be longer than `max_length` where their length is unknown "
            "when the layer is traced. Make the layer for longer ones. "
            f"max_length={spec.max_length}",
        ),
    )
    _, starts = random_blocks_of_all_lengths(spec, training)
    has_pattern = ops.take(ops.convert_to_tensor(starts), spec.num_blocks(length)) >= 0
    return ops.logical_and(length > spec.longest_full_attention, has_pattern)


def slots_at(spec: PatternSpec, length: Any, training: bool = False) -> Slots:
    """Returns what each row of the pattern lists.

    Args:
        spec: The pattern's settings.
        length: A multiple of the block size, an integer or an int32 scalar tensor.
        training: Whether the model is training.
    """
    num_blocks = length // spec.block_size
    if isinstance(length, int):
        return BlockPattern.of(spec, num_blocks, training).slots
    tables, starts = random_blocks_of_all_lengths(spec, training)
    return Slots.of_unknown_length(num_blocks, tables, starts, _layout(spec, tables, starts))


def slots_of_rows(spec: PatternSpec, rows: Tensor) -> Slots:
    """Returns what some rows of a causal pattern list, whatever the length.

    Args:
        spec: The pattern's settings.
        rows: int32 `(R,)`, the rows' blocks, below those of `max_length`.
    """
    tables, starts = random_blocks_of_all_lengths(spec)
    layout = _layout(spec, tables, starts)
    random = ops.take(small_table(tables), rows, axis=0)
    return Slots.of(layout, len(starts) - 1, ops.transpose(random, (1, 0, 2)), ops, rows)


def _layout(spec: PatternSpec, tables: np.ndarray, starts: np.ndarray) -> SlotLayout:
    return SlotLayout(
        *spec.num_global_at(len(starts)),
        spec.window_before,
        spec.window_after,
        num_random=spec.num_random_blocks,
        random_end=int(tables.max(initial=0)) + 1,
        token_window=UP_TO_QUERY if spec.is_causal else None,
        is_causal=spec.is_causal,
        side_blocks=spec.side_blocks,
    )
