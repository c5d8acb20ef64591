"""What flows back to key blocks, added up in every way, against one by one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bigbird_tf import BlockPattern
from bigbird_tf.attention.kernels.key_sums import (
    _bfloat16_addends,
    sums_by_product,
    sums_by_slot,
    sums_by_sorting,
)
from bigbird_tf.attention.pattern.slots import SlotLayout
from tests.backends import as_one


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    group=st.integers(1, 3),
    rows=st.integers(1, 7),
    left=st.integers(0, 2),
    right=st.integers(0, 2),
    window=st.sampled_from([1, 3, 5, (2, 0), (0, 3)]),
    num_random=st.integers(0, 3),
)
def test_all_are_equal_to_one_by_one(seed, group, rows, left, right, window, num_random):
    rng = np.random.default_rng(seed)
    block, head_size, n = 3, 5, rows + left + right
    random_blocks = rng.integers(0, n, (group, rows, num_random), dtype=np.int32)
    pattern = BlockPattern(n, left, right, window, random_blocks)
    ids, slots = pattern.key_blocks, pattern.num_slots
    parts = rng.normal(size=(group, rows, slots, block, head_size)).astype("float32")
    # Nothing flows back through slots that are not read.
    parts *= pattern.is_read[None, :, :, None, None]
    expected = np.zeros((group, n, block, head_size))
    for head, row, slot in np.ndindex(*ids.shape):
        expected[head, ids[head, row, slot]] += parts[head, row, slot]
    expected = expected.reshape(group, n * block, head_size)
    layout = pattern.slots.layout

    @as_one
    def all_sums(parts, ids):
        return (
            sums_by_sorting(parts, ids, n),
            sums_by_slot(parts, ids, n, layout),
            # Where it is not known which blocks are random ones.
            sums_by_slot(parts, ids, n, dataclasses.replace(layout, random_end=None)),
            sums_by_product(parts, ids, n, layout),
            sum(
                sums_by_product(parts[:, at : at + 2], ids[:, at : at + 2], n, layout, at)
                for at in range(0, rows, 2)
            ),
        )

    parts = parts.reshape(group, rows, slots * block, head_size)
    for sums in all_sums(ops.convert_to_tensor(parts), ops.convert_to_tensor(ids)):
        np.testing.assert_allclose(sums, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_added_in_float32(dtype):
    # Added one by one, such a sum would stay where a hundredth is below half of its last digit.
    rows = 3000
    parts = tf.fill((1, rows, 2, 1), tf.constant(0.01, dtype))
    ids = np.stack([np.zeros(rows, "int32"), 1 + np.arange(rows, dtype="int32")], axis=1)[None]
    expected = rows * float(tf.cast(parts[0, 0, 0, 0], "float32"))
    layout = SlotLayout(1, 0, window_before=0, window_after=0, num_random=0)
    by_sorting = sums_by_sorting(parts, tf.constant(ids), 1 + rows)
    by_slot = sums_by_slot(parts, tf.constant(ids), 1 + rows, layout)
    by_product = sums_by_product(parts, tf.constant(ids), 1 + rows, layout)
    assert by_sorting.dtype == dtype
    assert by_slot.dtype == by_product.dtype == "float32"
    for sums in by_sorting, by_slot, by_product:
        np.testing.assert_allclose(tf.cast(sums, "float32")[0, 0, 0], expected, rtol=4e-3)


def test_products_of_float32_survive_a_unit_that_rounds_to_bfloat16():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=1000) * 10.0 ** rng.integers(-20, 20, 1000), tf.float32)
    addends = _bfloat16_addends(x)
    for addend in addends:
        np.testing.assert_array_equal(tf.cast(tf.cast(addend, "bfloat16"), "float32"), addend)
    np.testing.assert_array_equal(addends[0] + (addends[1] + addends[2]), x)
