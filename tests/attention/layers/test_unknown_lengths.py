"""Block-sparse attention of lengths and batch sizes that are not known at tracing, or zero."""

import numpy as np
import pytest
import tensorflow as tf

from tests.attention.layers.test_block_sparse_attention import inputs, made_and_random
from tests.contract import (
    BATCH,
    LENGTH,
    WIDTH,
    assert_close,
)


@pytest.mark.parametrize("length", [23, LENGTH])
def test_empty_batch(length):
    layer = made_and_random()
    x = inputs(length)[:0]
    assert layer(x).shape == (0, length, WIDTH)
    unknown_batch = tf.function(layer, input_signature=[tf.TensorSpec([None, length, WIDTH])])
    unknown_length = tf.function(layer, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    for call in (unknown_batch, unknown_length):
        assert call(x).shape == (0, length, WIDTH)
        assert_close(call(inputs(length)), layer(inputs(length)))


def test_one_trace_for_all_lengths():
    layer = made_and_random()
    traced = tf.function(layer, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    for length in (3, 28, 29, 37, 61):
        traced(inputs(length))
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("attention_type", ["block_sparse", "original_full", "simulated_sparse"])
def test_gradient_of_unknown_length_under_xla(attention_type):
    """As in `fit` with `jit_compile`, which has lengths unknown after the first shapes."""
    layer = made_and_random(attention_type=attention_type)

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(output**3)
        return output, *tape.gradient(loss, [x, *layer.trainable_variables])

    unknown = [tf.TensorSpec([BATCH, None, WIDTH])]
    compiled = tf.function(step, jit_compile=True, input_signature=unknown)
    for length in (LENGTH, 5, 29, 40):
        x = tf.constant(inputs(length))
        for mine, expected in zip(compiled(x), step(x), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-3, atol=1e-3)


def test_longer_than_max_length():
    layer = made_and_random()
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`max_length`.*max_length=61"):
        dynamic(inputs(70))
    # What a caller has padded to whole blocks before is not longer.
    whole_blocks = -(-61 // layer.block_size) * layer.block_size
    assert whole_blocks > 61
    assert dynamic(inputs(whole_blocks)).shape == (BATCH, whole_blocks, WIDTH)
    # Where the length is known there is no limit.
    assert layer(inputs(101)).shape == (BATCH, 101, WIDTH)
    full = made_and_random(attention_type="original_full")
    dynamic = tf.function(full, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    assert dynamic(inputs(62)).shape == (BATCH, 62, WIDTH)


def test_saved_model_in_plain_tensorflow(tmp_path):
    layer = made_and_random()
    module = tf.Module()
    module.layer = layer
    module.call = tf.function(layer, input_signature=[tf.TensorSpec([None, None, WIDTH])])
    tf.saved_model.save(module, tmp_path / "layer")
    loaded = tf.saved_model.load(tmp_path / "layer")
    for length, batch in ((5, 1), (LENGTH, 3), (61, 2)):
        x = inputs(length, batch)
        assert_close(loaded.call(x), layer(x), 1e-6)
