"""Tests of `dense`: values and gradients of dense layers on matrices."""

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.nn.dense import Dense, add_bias, sum_of_rows
from tests.backends import IS_TENSORFLOW, compiled, gradients_of_weights, value_and_gradients

MODES = ["eager", "graph", "xla"] if IS_TENSORFLOW else ["eager", "xla"]
# JAX computes in float64 only where all of a process does.
DTYPES = [("float64", 1e-12)] if IS_TENSORFLOW else []


def as_float64(x) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(x, "float32" if "16" in str(x.dtype) else x.dtype))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # Products of bfloat16 are cut off, not rounded, on processors without instructions for it.
    [*DTYPES, ("float32", 1e-5), ("bfloat16", 2**-7), ("float16", 2e-3)],
)
@pytest.mark.parametrize("mode", MODES)
def test_sum_of_rows_loses_nothing_in_many_rows(dtype, tolerance, mode):
    # More rows than bfloat16 has numbers for: added one by one, a sum would stop at 256.
    x = ops.cast(np.random.default_rng(0).uniform(0.5, 1.5, size=(5000, 3)), dtype)
    run = sum_of_rows if mode == "eager" else compiled(sum_of_rows, jit_compile=mode == "xla")
    expected = as_float64(x).astype("float64").sum(axis=0)
    result = run(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(as_float64(result), expected, rtol=tolerance)


def _call(layer, x, grad_output):
    """Returns the value, and the gradients of the input and of all weights."""
    y, x_grad = value_and_gradients(layer, [x], grad_output)
    weights = gradients_of_weights(lambda: ops.sum(layer(x) * grad_output), layer)
    return y, x_grad, *weights


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5)])
@pytest.mark.parametrize(
    ("policy", "tolerance"), [*DTYPES, ("float32", 2e-6), ("mixed_bfloat16", 2e-2)]
)
def test_as_keras_own_layer(use_bias, shape, policy, tolerance):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(5, 7)), rng.normal(size=7)][: 1 + use_bias]
    x, grad_output = rng.normal(size=(4, *shape)), rng.normal(size=(4, *shape[:-1], 7))
    results = []
    for cls in (Dense, keras.layers.Dense):
        layer = cls(7, activation="tanh", use_bias=use_bias, dtype=policy)
        layer.build(x.shape)
        layer.set_weights(weights)
        results.append(_call(layer, *(ops.cast(y, layer.compute_dtype) for y in (x, grad_output))))
    assert len(results[0]) == (4 if use_bias else 3)
    for mine, expected in zip(*results, strict=True):
        assert mine.shape == expected.shape
        assert mine.dtype == expected.dtype
        mine, expected = as_float64(mine), as_float64(expected)
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_quantized_layer_and_lora_are_heeded():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 8)).astype("float32")
    mine, theirs = layers = Dense(6), keras.layers.Dense(6)
    changes = [rng.normal(size=(8, 6)), rng.normal(size=6), rng.normal(size=(2, 6))]
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights(changes[:2])
        layer.enable_lora(2)
        layer.lora_kernel_a.assign(np.ones((8, 2)))
        layer.lora_kernel_b.assign(changes[2])
    np.testing.assert_allclose(mine(x), theirs(x), rtol=0, atol=1e-5)
    assert np.abs(mine(x) - (x @ changes[0] + changes[1])).max() > 1
    for layer in layers:
        layer.quantize("int8")
    np.testing.assert_allclose(mine(x), theirs(x), rtol=0, atol=1e-6)


def test_weights_of_keras_own_layer_load(tmp_path):
    """Files from before this class was there have `keras.layers.Dense`'s paths."""

    def make(cls):
        return keras.Sequential([keras.Input((5,)), cls(7, name="query"), cls(2)])

    made = make(keras.layers.Dense)
    made.save_weights(tmp_path / "model.weights.h5")
    loaded = make(Dense)
    loaded.load_weights(tmp_path / "model.weights.h5")
    for mine, theirs in zip(loaded.weights, made.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert loaded.weights[0].path.endswith("query/kernel")


def test_keras_file(tmp_path):
    model = keras.Sequential([keras.Input((5,)), Dense(7, use_bias=False)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is Dense
    np.testing.assert_array_equal(loaded(np.ones((2, 5))), model(np.ones((2, 5))))


@pytest.mark.parametrize("function", ["Dense", "add_bias"])
def test_bias_gradient_of_many_tokens_in_mixed_bfloat16(function):
    # Keras' layer and TensorFlow's bias add up in bfloat16, and lose a third here.
    layer = Dense(3, dtype="mixed_bfloat16")
    x = ops.cast(np.random.default_rng(0).normal(size=(2, 2048, 5)), "bfloat16")
    layer.build(x.shape)

    def loss():
        if function == "Dense":
            y = layer(x)
        else:
            y = add_bias(ops.zeros((2, 2048, 3), "bfloat16"), ops.cast(layer.bias, "bfloat16"))
        return ops.sum(ops.cast(y, "float32"))

    gradient = gradients_of_weights(loss, layer)[-1]
    np.testing.assert_allclose(gradient, [4096.0] * 3, rtol=5e-3)
