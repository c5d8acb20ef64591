"""Causal patterns: which blocks a row lists, and where the random ones come from."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird_tf import BlockPattern
from bigbird_tf.attention.pattern.block_pattern import random_blocks_of_all_lengths
from bigbird_tf.attention.pattern.pattern_at_length import is_sparse, slots_at, slots_of_rows
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.random_blocks import draw_random_blocks
from bigbird_tf.attention.pattern.slots import UP_TO_QUERY, SlotLayout, slot_groups
from tests.backends import tensorflow_alone


def causal(num_heads=2, **fields) -> PatternSpec:
    return PatternSpec(num_heads=num_heads, is_causal=True, **fields)


specs = st.builds(
    causal,
    num_heads=st.integers(1, 3),
    num_global_start=st.integers(0, 3),
    window_before=st.integers(0, 3),
    num_random_blocks=st.integers(0, 3),
    seed=st.integers(0, 99),
    block_size=st.just(4),
    max_length=st.just(23 * 4 - 1),
)


def test_worked_out_on_paper():
    """A global block, a window of one before, a random one of what lies between."""
    table = np.zeros((1, 6, 1), np.int32)
    table[0, 3:, 0] = [1, 2, 1]
    pattern = BlockPattern(6, 1, 0, (1, 0), table, is_causal=True)
    expected = [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 0, 1, 1, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    np.testing.assert_array_equal(pattern.to_dense_mask(), [expected])
    assert (pattern.num_rows, pattern.num_slots) == (6, 4)
    assert pattern.slots.layout.groups["random"] == slice(3, 4)
    # On the diagonal, a query reads up to itself.
    partial = pattern.slots.layout.partial_bias(2) == 0
    assert partial[:, 2].tolist() == [[True, False], [True, True]]
    assert partial[:, [0, 1, 3]].all()


def test_groups_give_way_to_the_window():
    layout = SlotLayout(2, 0, 1, 0, num_random=2, token_window=UP_TO_QUERY, is_causal=True)
    groups = slot_groups(layout, 6, np.full((1, 6, 2), 2, np.int32))
    counts = {name: is_read.sum(axis=1).tolist() for name, (_, is_read) in groups.items()}
    assert counts["window"] == [1, 2, 2, 2, 2, 2]
    assert counts["global_start"] == [0, 0, 1, 2, 2, 2]
    assert counts["random"] == [0, 0, 0, 0, 1, 2]
    assert counts["global_end"] == [0] * 6


@given(spec=specs, num_blocks=st.integers(1, 23))
def test_what_rows_list(spec, num_blocks):
    counts = BlockPattern.of(spec, num_blocks).to_dense_mask()
    start, before, r = spec.num_global_start, spec.window_before, spec.num_random_blocks
    assert set(np.unique(counts)) <= {0, 1}
    assert not np.triu(counts, 1).any()
    for row in range(num_blocks):
        listed = counts[:, row] > 0
        assert listed[:, max(0, row - before) : row + 1].all()
        assert listed[:, : min(start, row + 1)].all()
        others = listed[:, start : max(start, row - before)]
        available = others.shape[1]
        assert (others.sum(axis=1) == min(r, available)).all()
        assert not others[:, len(spec.random_pool) :].any()


@given(spec=specs, num_blocks=st.integers(1, 22))
def test_a_row_is_the_same_at_every_length(spec, num_blocks):
    shorter, longer = (draw_random_blocks(spec, n) for n in (num_blocks, 23))
    assert shorter.dtype == np.int32
    np.testing.assert_array_equal(shorter, longer[:, :num_blocks])


def test_draws_differ_by_head_row_and_seed():
    first, second = (draw_random_blocks(causal(4, seed=seed), 300) for seed in (0, 1))
    assert (first != second).any()
    assert len(np.unique(first, axis=0)) == 4
    assert len(np.unique(first, axis=1)[0]) > 50
    # All of the pool is drawn, evenly.
    blocks, times = np.unique(first[:, 20:], return_counts=True)
    assert blocks.tolist() == list(causal().random_pool) == list(range(1, 11))
    assert times.min() > 0.7 * times.max()


def test_what_lies_after_is_left_out():
    given = PatternSpec.from_arguments(
        num_heads=2,
        num_window_blocks=(2, 3),
        num_global_blocks=(1, 2),
        random_plan="transformers",
        inference_random_blocks="first_block",
        full_attention_up_to=512,
    )
    spec = dataclasses.replace(given, is_causal=True)
    assert spec == causal(window_before=2)
    assert "is_causal" not in spec.arguments
    for training in (True, False):
        assert BlockPattern.of(spec, 30, training) is not None
        assert BlockPattern.of(spec, 30, training).random_blocks.any()
    with pytest.raises(ValueError, match="`is_causal` must be True or False"):
        PatternSpec(num_heads=2, is_causal=1)


@given(spec=specs)
def test_full_attention_is_the_same_up_to_its_limit(spec):
    num_blocks = spec.longest_full_attention // spec.block_size
    assert not is_sparse(spec, spec.longest_full_attention)
    assert is_sparse(spec, spec.longest_full_attention + 1)
    counts = BlockPattern.of(spec, num_blocks).to_dense_mask()
    np.testing.assert_array_equal(counts, np.broadcast_to(np.tri(num_blocks), counts.shape))
    longer = BlockPattern.of(spec, num_blocks + 1).to_dense_mask()
    assert (longer[:, -1] == 0).any()


@tensorflow_alone
@given(spec=specs, num_blocks=st.integers(3, 23))
def test_slots_of_unknown_length_and_of_rows(spec, num_blocks):
    known = BlockPattern.of(spec, num_blocks).slots
    rows = keras.ops.convert_to_tensor(np.arange(num_blocks)[::-1].astype("int32"))
    of_rows = slots_of_rows(spec, rows)
    for slots, order in (
        (slots_at(spec, keras.ops.convert_to_tensor(num_blocks * 4)), 1),
        (of_rows, -1),
    ):
        np.testing.assert_array_equal(slots.key_blocks, known.key_blocks[:, ::order])
        np.testing.assert_array_equal(slots.bias, known.bias[::order])
        assert slots.layout.groups == of_rows.layout.groups
    tables, starts = random_blocks_of_all_lengths(spec)
    assert len(tables) == 23
    assert (starts == 0).all()
