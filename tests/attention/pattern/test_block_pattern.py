import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird_tf import BlockPattern
from bigbird_tf.attention.pattern import block_pattern
from bigbird_tf.attention.pattern.block_pattern import random_blocks_of_all_lengths
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.random_blocks import draw_random_blocks


def test_window_and_globals_worked_out_on_paper():
    pattern = BlockPattern.build(6, 1, num_random_blocks=0)
    assert (pattern.num_left, pattern.num_right, pattern.num_rows, pattern.num_slots) == (
        1,
        1,
        4,
        5,
    )
    # Global 0, the window, global 5. Where the window has a global block it is not read: a zero.
    np.testing.assert_array_equal(
        pattern.key_blocks,
        [[[0, 0, 1, 2, 5], [0, 1, 2, 3, 5], [0, 2, 3, 4, 5], [0, 3, 4, 0, 5]]],
    )
    np.testing.assert_array_equal(
        pattern.is_read,
        [[1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]],
    )
    np.testing.assert_array_equal(
        pattern.to_dense_mask(),
        [
            [
                [1, 1, 1, 1, 1, 1],
                [1, 1, 1, 0, 0, 1],
                [1, 1, 1, 1, 0, 1],
                [1, 0, 1, 1, 1, 1],
                [1, 0, 0, 1, 1, 1],
                [1, 1, 1, 1, 1, 1],
            ]
        ],
    )


def test_wide_window_and_three_globals_worked_out_on_paper():
    pattern = BlockPattern.build(
        8, 2, num_random_blocks=0, num_window_blocks=5, num_global_blocks=3
    )
    # Blocks 0, 1 and 7 are global; two neighbours on each side of rows 2 to 6.
    expected = [
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 0, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ]
    np.testing.assert_array_equal(pattern.to_dense_mask(), [expected, expected])


def test_no_globals_and_no_neighbours():
    pattern = BlockPattern.build(
        3, 1, num_random_blocks=0, num_window_blocks=1, num_global_blocks=0
    )
    np.testing.assert_array_equal(pattern.to_dense_mask(), np.eye(3)[None])


def test_repeats_count_worked_out_on_paper():
    random_blocks = np.array(
        [[[4, 5], [4, 4], [1, 5], [1, 2]], [[3, 3], [4, 0], [1, 3], [0, 0]]], np.int32
    )
    pattern = BlockPattern(6, 1, 1, 3, random_blocks)
    np.testing.assert_array_equal(
        pattern.to_dense_mask(),
        [
            [
                [1, 1, 1, 1, 1, 1],
                [1, 1, 1, 0, 1, 2],
                [1, 1, 1, 1, 2, 1],
                [1, 1, 1, 1, 1, 2],
                [1, 1, 1, 1, 1, 1],
                [1, 1, 1, 1, 1, 1],
            ],
            [
                [1, 1, 1, 1, 1, 1],
                [1, 1, 1, 2, 0, 1],
                [2, 1, 1, 1, 1, 1],
                [1, 1, 1, 2, 1, 1],
                [3, 0, 0, 1, 1, 1],
                [1, 1, 1, 1, 1, 1],
            ],
        ],
    )


def test_repeats_at_length_1024():
    mask = BlockPattern.build(16, 12, block_size=64).to_dense_mask()
    middle = mask[:, 1:-1]
    assert set(np.unique(middle)) == {0, 1, 2}
    # The last block alone is listed twice: the fixed plan refuses all others that a row reads.
    assert (middle[:, :, :-1] <= 1).all()
    assert (middle[:, :, -1] == 2).any()
    # Each row lists its window (3, less beside the globals), 2 global and 3 random blocks.
    np.testing.assert_array_equal(middle.sum(-1), np.broadcast_to([7] + [8] * 12 + [7], (12, 14)))


def test_first_block_counts_as_often_as_it_is_listed():
    """As `transformers` in inference: all random slots read block 0."""
    pattern = BlockPattern.build(12, 2, first_block=True)
    mask = pattern.to_dense_mask()
    assert (mask[:, 1:-1, 0] == 1 + 3).all()
    np.testing.assert_array_equal(
        np.minimum(mask, 1), BlockPattern.build(12, 2, num_random_blocks=0).to_dense_mask()
    )


def test_built_once():
    arguments = {"block_size": 16, "num_random_blocks": 2, "seed": 7}
    pattern = BlockPattern.build(13, 5, **arguments)
    assert BlockPattern.build(13, 5, **arguments) is pattern
    other = BlockPattern.build(13, 5, **{**arguments, "seed": 8})
    assert not np.array_equal(other.random_blocks, pattern.random_blocks)


def test_immutable():
    pattern = BlockPattern.build(13, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pattern.num_blocks = 3
    for array in (pattern.random_blocks, pattern.key_blocks, pattern.is_read):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    pattern.to_dense_mask()[:] = 5
    assert pattern.to_dense_mask().max() < 5


def test_the_callers_array_stays_as_it_is():
    random_blocks = np.zeros((1, 3, 1), np.int32)
    pattern = BlockPattern(5, 1, 1, 3, random_blocks)
    random_blocks[:] = 2
    assert pattern.random_blocks.max() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_blocks", 0),
        ("num_heads", 0),
        ("block_size", 0),
        ("num_random_blocks", -1),
        ("num_window_blocks", 0),
        ("num_window_blocks", 4),
        ("num_global_blocks", -1),
        ("random_plan", "numpy"),
    ],
)
def test_impossible_arguments(name, value):
    arguments = {"num_blocks": 12, "num_heads": 2, name: value}
    with pytest.raises(ValueError, match=f"`{name}` must .*Received: {name}={value!r}"):
        BlockPattern.build(**arguments)


def test_too_short_for_its_random_blocks():
    message = r"query block \d+ needs \d, and \d may be chosen.*`full_attention_up_to`"
    with pytest.raises(ValueError, match=message):
        BlockPattern.build(9, 2, num_random_blocks=3)


def test_all_blocks_are_global():
    """As many blocks as are global, or fewer: no row is left."""
    for num_blocks in (1, 2, 3):
        pattern = BlockPattern.build(num_blocks, 2, num_global_blocks=3)
        assert pattern.num_rows == 0
        np.testing.assert_array_equal(
            pattern.to_dense_mask(), np.ones((2, num_blocks, num_blocks), int)
        )


@given(
    num_heads=st.integers(1, 3),
    num_random=st.integers(0, 3),
    window=st.sampled_from([1, 3, 5]),
    num_global=st.integers(0, 3),
    plan=st.sampled_from(["google", "transformers"]),
    first_block=st.booleans(),
)
def test_tables_of_all_lengths_are_those_of_each(
    num_heads, num_random, window, num_global, plan, first_block
):
    settings = {
        "block_size": 128,
        "num_random_blocks": num_random,
        "num_window_blocks": window,
        "num_global_blocks": num_global,
        "random_plan": plan,
        "max_length": 4096,
    }
    spec = PatternSpec.from_arguments(
        num_heads=num_heads,
        full_attention_up_to=3 * 128,
        inference_random_blocks="first_block" if first_block else "seeded",
        **settings,
    )
    tables, starts = random_blocks_of_all_lengths(spec)
    assert tables.shape[1:] == (num_heads, num_random)
    assert starts.shape == (33,)
    assert tables.dtype == starts.dtype == np.int32
    for num_blocks in range(spec.longest_full_attention // 128 + 1, 33):
        try:
            pattern = BlockPattern.build(num_blocks, num_heads, first_block=first_block, **settings)
        except ValueError:
            assert starts[num_blocks] < 0
            continue
        start = starts[num_blocks]
        assert start >= 0
        np.testing.assert_array_equal(
            np.moveaxis(tables[start : start + pattern.num_rows], 0, 1), pattern.random_blocks
        )


def test_tables_that_begin_alike_are_stored_once():
    """The fixed plan's shorter tables are beginnings of the longest one."""
    spec = PatternSpec(num_heads=2, block_size=16, inference_random_blocks="first_block")
    tables, starts = random_blocks_of_all_lengths(spec)
    assert len(tables) == 254
    assert set(starts[12:]) == {0}
    _, starts = random_blocks_of_all_lengths(PatternSpec(num_heads=2))
    assert starts[16] == starts[32] == starts[48] == starts[64]
    assert starts[17] != starts[64]


def test_one_draw_serves_all_lengths_of_the_general_plan(monkeypatch):
    drawn = []

    def draw(spec, num_blocks):
        drawn.append(num_blocks)
        return draw_random_blocks(spec, num_blocks)

    monkeypatch.setattr(block_pattern, "draw_random_blocks", draw)
    random_blocks_of_all_lengths.cache_clear()
    BlockPattern.of.cache_clear()
    tables, starts = random_blocks_of_all_lengths(
        PatternSpec(num_heads=2, max_length=65536, seed=7)
    )
    assert drawn == [1024, 64, 48, 32, 16]
    assert (starts[12:] >= 0).all()
    pattern = BlockPattern.build(517, 2, num_random_blocks=3, seed=7)
    rows = tables[starts[517] : starts[517] + pattern.num_rows]
    np.testing.assert_array_equal(np.moveaxis(rows, 0, 1), pattern.random_blocks)


def test_no_length_at_all():
    tables, _ = random_blocks_of_all_lengths(PatternSpec(num_heads=2, max_length=320))
    assert tables.shape == (0, 2, 3)
