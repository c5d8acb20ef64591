import dataclasses

import keras
import numpy as np
import pytest

from bigbird_tf import BlockPattern
from bigbird_tf.attention.pattern.block_pattern import random_blocks_of_all_lengths
from bigbird_tf.attention.pattern.pattern_at_length import slots_at
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.slots import NOT_READ, SlotLayout, slot_groups
from tests.backends import tensorflow_alone


def test_groups_by_hand():
    layout = SlotLayout(1, 1, window_before=2, window_after=0, num_random=1)
    groups = slot_groups(layout, 6, np.array([[[4], [1], [2], [2]]], np.int32))
    assert list(groups) == list(layout.groups)
    assert groups["global_start"][0].tolist() == [[[0], [0], [0], [0]]]
    assert groups["global_end"][0].tolist() == [[[5], [5], [5], [5]]]
    blocks, is_read = groups["window"]
    assert is_read.tolist() == [[False, False, True], [False, True, True], *[[True] * 3] * 2]
    assert blocks.tolist() == [[[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]]
    assert groups["random"][0].tolist() == [[[4], [1], [2], [2]]]
    assert layout.num_slots == 6
    assert layout.groups["random"] == slice(5, 6)


def test_partial_bias_by_hand():
    layout = SlotLayout(1, 0, window_before=1, window_after=0, num_random=1, token_window=(2, 0))
    bias = layout.partial_bias(2)
    assert bias.shape == (2, 4, 2)
    is_read = (bias == 0).tolist()
    # Of each query: the global block, the one before, its own, the random one.
    assert is_read[0] == [[True, True], [True, True], [True, False], [True, True]]
    assert is_read[1] == [[True, True], [False, True], [True, True], [True, True]]
    assert bias.min() == np.float32(NOT_READ)
    assert dataclasses.replace(layout, token_window=None).partial_bias(2) is None


@tensorflow_alone
@pytest.mark.parametrize(
    "windows", [(1, 1, 1, 1), (2, 2, 2, 1), (0, 0, 0, 0), (3, 3, 2, 2), (3, 0, 1, 0), (0, 2, 0, 2)]
)
def test_slots_of_unknown_length_are_those_of_the_known_one(windows):
    before, after, start, end = windows
    spec = PatternSpec(
        num_heads=3,
        block_size=4,
        num_random_blocks=2,
        window_before=before,
        window_after=after,
        num_global_start=start,
        num_global_end=end,
        max_length=23 * 4,
    )
    _, starts = random_blocks_of_all_lengths(spec)
    lengths = [n for n in range(len(starts)) if starts[n] >= 0]
    assert lengths
    for num_blocks in lengths:
        known = BlockPattern.of(spec, num_blocks).slots
        unknown = slots_at(spec, keras.ops.convert_to_tensor(num_blocks * 4))
        np.testing.assert_array_equal(unknown.key_blocks, known.key_blocks)
        np.testing.assert_array_equal(unknown.bias, known.bias)
        assert unknown.layout.groups == known.layout.groups
        assert unknown.layout.random_end >= known.layout.random_end


@tensorflow_alone
def test_more_blocks_than_a_byte_counts():
    """A window of one's own lets random blocks be any, also those from number 256 on."""
    spec = PatternSpec(
        num_heads=1,
        block_size=1,
        num_random_blocks=2,
        window_before=2,
        window_after=2,
        full_attention_up_to=297,
        max_length=299,
    )
    for num_blocks in (298, 299):
        known = BlockPattern.of(spec, num_blocks).slots
        unknown = slots_at(spec, keras.ops.convert_to_tensor(num_blocks))
        np.testing.assert_array_equal(unknown.key_blocks, known.key_blocks)
        np.testing.assert_array_equal(unknown.bias, known.bias)
        assert known.key_blocks[..., known.layout.groups["random"]].max() > 255
