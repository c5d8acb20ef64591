"""What the kernel asks its plan for, and what layers ask the kernel for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird_tf.attention import BlockPattern, BlockSparseAttention, PatternSpec
from bigbird_tf.attention.kernels import chunked
from bigbird_tf.attention.layers import block_sparse_attention as layer_module
from bigbird_tf.attention.pattern.slots import SlotLayout
from tests.backends import IS_TENSORFLOW

PATTERN = BlockPattern.build(9, 3, block_size=4, num_random_blocks=1, num_window_blocks=(2, 1))


@pytest.fixture
def asked(monkeypatch):
    calls = []
    make_plan = chunked.make_plan

    def record(*arguments, fusable):
        calls.append((*arguments, fusable))
        return make_plan(*arguments, fusable=False)

    def can_be_fused(*arguments):
        return ("fusable", *arguments[1:])

    monkeypatch.setattr(chunked, "make_plan", record)
    monkeypatch.setattr(chunked, "can_be_fused", can_be_fused)
    return calls


def attend(*tensors):
    mask = ops.zeros((*ops.shape(tensors[0])[:1], 36))
    return chunked.block_sparse_attention(*tensors, mask, PATTERN.slots, 4)


@pytest.mark.parametrize(
    ("dtype", "itemsize"),
    [
        ("float16", 2),
        ("bfloat16", 2),
        ("float32", 4),
        *([("float64", 8)] if IS_TENSORFLOW else []),
    ],
)
def test_sizes(asked, dtype, itemsize):
    tensors = [ops.ones((2, 3, 36, 5), dtype) for _ in range(3)]
    attend(*tensors)
    layout = PATTERN.slots.layout
    # Two of the nine blocks are global.
    fusable = ("fusable", 4, 5, itemsize)
    assert asked == [((2, 3, 36, 5), itemsize, layout, 4, 7, fusable)]
    assert layout == SlotLayout(1, 1, 2, 1, 1, random_end=PATTERN.random_blocks.max() + 1)


def test_an_unknown_length_has_an_unknown_number_of_rows(asked):
    spec = tf.TensorSpec((None, 3, None, 5))
    tf.function(lambda *x: attend(*x), [spec] * 3).get_concrete_function()
    fusable = ("fusable", 4, 5, 4)
    assert asked == [((None, 3, None, 5), 4, PATTERN.slots.layout, 4, None, fusable)]


def test_what_a_layer_asks_for(monkeypatch):
    """Scores over the square root of the heads' size; padding by a bias; its own pattern."""
    calls = []

    def record(query, key, value, key_bias, slots, block_size, *, scale, global_bias, relative):
        assert global_bias is None
        assert relative is None
        calls.append((key_bias, slots, block_size, scale))
        return query

    monkeypatch.setattr(layer_module, "block_sparse_attention", record)
    layer = BlockSparseAttention(3, 16, block_size=4, num_random_blocks=1, seed=6)
    mask = np.arange(37) < np.array([[37], [30]])
    layer(np.ones((2, 37, 11), "float32"), attention_mask=mask)
    ((key_bias, slots, block_size, scale),) = calls
    # Padded to ten blocks.
    expected = np.where(np.pad(mask, [(0, 0), (0, 3)]), 0, -10000)
    np.testing.assert_array_equal(key_bias, expected)
    assert keras.backend.standardize_dtype(key_bias.dtype) == "float32"
    assert (block_size, scale) == (4, 0.25)
    assert slots is layer.pattern(37).slots


def test_each_argument_of_a_pattern_has_its_field():
    """Patterns of equal settings are one."""
    made = BlockPattern.build(
        31, 3, block_size=5, num_random_blocks=2, num_window_blocks=(2, 1),
        num_global_blocks=(3, 1), seed=7, random_plan="transformers", max_length=211,
        first_block=True,
    )  # fmt: skip
    spec = PatternSpec(
        num_heads=3, block_size=5, num_random_blocks=2, window_before=2, window_after=1,
        num_global_start=3, num_global_end=1, seed=7, random_plan="transformers", max_length=211,
        inference_random_blocks="first_block",
    )  # fmt: skip
    assert made is BlockPattern.of(spec, 31)
    assert BlockPattern.build(31, 3) is BlockPattern.of(PatternSpec(num_heads=3), 31)
