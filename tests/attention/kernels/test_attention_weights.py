"""The softmax of half precision."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.attention.kernels.attention_weights import MASKED, attention_weights


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_half_precision_are_a_float32_softmax(dtype, monkeypatch):
    monkeypatch.setattr("bigbird_tf.nn.backend.tensorflow._rounds_at_the_end", lambda: False)
    rng = np.random.default_rng(0)
    query, key = (tf.cast(rng.normal(size=(3, 17, 7)) * 2, dtype) for _ in range(2))
    bias = tf.constant(rng.normal(size=(3, 1, 17)), tf.float32)
    weights = attention_weights(query, key, bias)
    assert weights.dtype == "float32"
    scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float64)
    expected = tf.nn.softmax(scores + tf.cast(bias, tf.float64))
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("length", [17, 2503])
def test_weights_of_bfloat16_are_a_float32_softmax_whatever_the_kernel(length, jit_compile):
    rng = np.random.default_rng(0)
    # Scores are multiples of a half, up to 4: nothing is rounded before softmax.
    query, key = (tf.cast(rng.integers(-1, 2, size=(3, length, 8)), "bfloat16") for _ in range(2))
    bias = tf.constant(rng.choice([0.0, MASKED], size=(3, 1, length)), tf.float32)
    weights = tf.function(attention_weights, jit_compile=jit_compile)(query, key, bias, 0.5)
    scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float64) * 0.5
    expected = tf.nn.softmax(scores + tf.cast(bias, tf.float64))
    # One rounding. Rounded at each step, weights are off by up to 7 %.
    np.testing.assert_allclose(tf.cast(weights, "float64"), expected, rtol=2**-8, atol=1e-30)
