"""Which block is where in the cache. What is read of it: `test_causal_sparse_attention`."""

import numpy as np
import pytest

from bigbird_tf.attention.kernels.rolling_cache import cache_blocks, cache_place, roll
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec


def spec(**fields):
    defaults = {"num_heads": 2, "block_size": 2, "num_random_blocks": 0, "max_length": 99}
    return PatternSpec(**{**defaults, **fields}, is_causal=True)


@pytest.mark.parametrize(
    ("fields", "blocks"),
    [
        ({}, 3),
        ({"num_random_blocks": 3}, 1 + 10 + 2),
        ({"num_global_start": 0, "window_before": 0}, 1),
        ({"num_global_start": 4, "window_before": 2, "num_random_blocks": 1}, 4 + 6 + 3),
        # Never more than there are.
        ({"num_random_blocks": 3, "max_length": 7}, 4),
        ({"max_length": 99_999_999}, 3),
    ],
)
def test_size(fields, blocks):
    assert cache_blocks(spec(**fields)) == blocks


def test_places_by_hand():
    """The first block stays; the two of the window take turns behind it."""
    places = cache_place(np.arange(10, dtype="int32"), spec())
    assert np.asarray(places).tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5]


def test_prompts_by_hand():
    blocks = np.arange(5.0).repeat(2)
    x = np.tile(blocks[None, None, :, None], (3, 2, 1, 7)).astype("float32")
    x[:, 1] += 10
    rolled = np.asarray(roll(x, np.array([7, 10, 1], "int32"), spec()))
    assert rolled.shape == (3, 2, 6, 7)
    # Of seven tokens, block 3 is the last, and half full; of one, nothing has been dropped.
    assert rolled[0, 0, :, 0].tolist() == [0, 0, 3, 3, 2, 2]
    assert rolled[1, 0, :, 0].tolist() == [0, 0, 3, 3, 4, 4]
    assert rolled[2, 0, :2, 0].tolist() == [0, 0]
    np.testing.assert_array_equal(rolled[:, 1], rolled[:, 0] + 10)
