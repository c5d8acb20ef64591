"""Tests of `dense`: values and gradients of dense layers on matrices."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.nn.dense import add_bias, call_dense, sum_of_rows


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", 1e-12), ("float32", 1e-5), ("bfloat16", 5e-3), ("float16", 2e-3)],
)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_sum_of_rows_loses_nothing_in_many_rows(dtype, tolerance, mode):
    # More rows than bfloat16 has numbers for: added one by one, a sum would stop at 256.
    x = tf.cast(np.random.default_rng(0).uniform(0.5, 1.5, size=(5000, 3)), dtype)
    run = {
        "eager": sum_of_rows,
        "graph": tf.function(sum_of_rows),
        "xla": tf.function(sum_of_rows, jit_compile=True),
    }[mode]
    expected = x.numpy().astype("float64").sum(axis=0)
    result = run(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy().astype("float64"), expected, rtol=tolerance)


def _value_and_gradients(function, x, layer, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(layer, x)
    return y, *tape.gradient(y, [x, *layer.trainable_variables], upstream)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5)])
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 2e-6), ("float64", 1e-12), ("mixed_bfloat16", 2e-2)]
)
def test_as_the_layer_itself(use_bias, shape, policy, tolerance):
    layer = keras.layers.Dense(7, activation="tanh", use_bias=use_bias, dtype=policy)
    rng = np.random.default_rng(0)
    x = tf.cast(rng.normal(size=(4, *shape)), layer.compute_dtype)
    upstream = tf.cast(rng.normal(size=(4, *shape[:-1], 7)), layer.compute_dtype)
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    ours = _value_and_gradients(call_dense, x, layer, upstream)
    theirs = _value_and_gradients(lambda layer, x: layer(x), x, layer, upstream)
    assert len(ours) == (4 if use_bias else 3)
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine.shape == expected.shape
        assert mine.dtype == expected.dtype
        mine, expected = (tf.cast(value, "float64").numpy() for value in (mine, expected))
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_quantized_layer_and_lora_are_heeded():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 8)).astype("float32")
    layer = keras.layers.Dense(6)
    layer.build(x.shape)
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(rng.normal(size=(2, 6)))
    np.testing.assert_allclose(call_dense(layer, x), layer(x), rtol=0, atol=1e-6)
    layer.quantize("int8")
    np.testing.assert_allclose(call_dense(layer, x), layer(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", ["call_dense", "add_bias"])
def test_bias_gradient_of_many_tokens_in_mixed_bfloat16(function):
    # Keras' layer and TensorFlow's bias add up in bfloat16, and lose a third here.
    layer = keras.layers.Dense(3, dtype="mixed_bfloat16")
    x = tf.cast(np.random.default_rng(0).normal(size=(2, 2048, 5)), "bfloat16")
    layer.build(x.shape)

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            if function == "call_dense":
                y = call_dense(layer, x)
            else:
                bias = tf.cast(layer.bias, "bfloat16")
                y = add_bias(tf.zeros((2, 2048, 3), "bfloat16"), bias)
            loss = tf.reduce_sum(tf.cast(y, "float32"))
        return tape.gradient(loss, layer.bias)

    np.testing.assert_allclose(gradient(x), [4096.0] * 3, rtol=5e-3)
