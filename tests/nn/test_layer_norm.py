"""Tests of `LayerNorm` against Keras' own, values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird_tf.nn.layer_norm import LayerNorm
from bigbird_tf.nn.precision import at_least_float32
from tests.backends import IS_TENSORFLOW, compiled, loss_and_gradients
from tests.graph_walk import operations_before


def _pair(policy="float32", epsilon=1e-3):
    layers = [
        cls(epsilon=epsilon, dtype=policy) for cls in (LayerNorm, keras.layers.LayerNormalization)
    ]
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=7), rng.normal(size=7)]
    for layer in layers:
        layer.build((None, None, 7))
        layer.set_weights(weights)
    return layers


def _value_and_gradients(layer, x, grad_output):
    def loss(x):
        return ops.sum(ops.cast(layer(x), grad_output.dtype) * grad_output)

    return layer(x), *loss_and_gradients(loss, x, layer)[1]


def as_numpy(x) -> np.ndarray:
    """Returns an array in float32 at least, which NumPy knows."""
    return ops.convert_to_numpy(at_least_float32(x)).astype("float64")


# JAX computes in float64 only where all of a process does, and in graphs only.
FLOAT64 = [("float64", 1e-12)] if IS_TENSORFLOW else []


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [("float32", 2e-6), *FLOAT64, ("mixed_bfloat16", 2e-2), ("mixed_float16", 3e-3)],
)
@pytest.mark.parametrize("in_graph", [False, True] if IS_TENSORFLOW else [False])
def test_equal_to_keras(policy, tolerance, in_graph):
    mine, theirs = _pair(policy)
    rng = np.random.default_rng(1)
    # Far from zero and from one, so that a mean that is forgotten shows.
    x = ops.cast(rng.normal(3.0, 2.0, size=(2, 5, 7)), mine.compute_dtype)
    grad_output = rng.normal(size=(2, 5, 7)).astype("float32")
    run = _value_and_gradients
    if in_graph:
        run = compiled(_value_and_gradients, jit_compile=False)
    # The oracle has the same numbers, in float64 where there is that.
    widest = "float64" if IS_TENSORFLOW else "float32"
    oracle = _pair(widest)[1]
    exact = _value_and_gradients(oracle, ops.cast(x, widest), grad_output)
    results = run(mine, x, grad_output), run(theirs, x, grad_output)
    for ours, keras_, expected in zip(*results, exact, strict=True):
        assert ours.dtype == keras_.dtype
        ours, expected = as_numpy(ours), as_numpy(expected)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_constant_input_gives_the_offset():
    mine, _ = _pair()
    x = ops.full((2, 3, 7), 4.0)
    y, x_grad, *_ = _value_and_gradients(mine, x, np.ones((2, 3, 7), "float32"))
    np.testing.assert_allclose(y[0, 0], mine.beta, rtol=0, atol=1e-5)
    assert np.isfinite(x_grad).all()


@pytest.mark.parametrize("name", ["axis", "center", "scale", "rms_scaling"])
def test_what_keras_own_has_and_this_has_not(name):
    with pytest.raises(ValueError, match=rf"has no `{name}`.*Received: {name}=False"):
        LayerNorm(**{name: False})


def test_keeps_its_input_alone():
    """Nothing as large as the input that only the forward pass made goes to the backward pass."""
    layer = LayerNorm()
    layer.build((None, None, 7))

    @tf.function
    def gradient(x, grad_output):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, grad_output)

    spec = tf.TensorSpec((2, 5, 7))
    graph = gradient.get_concrete_function(spec, spec).graph
    y, x_grad = (output.op for output in graph.outputs)

    forward = operations_before(y)
    kept = {
        tensor.name
        for operation in operations_before(x_grad) - forward
        for tensor in operation.inputs
        if tensor.op in forward and tensor.shape == (2, 5, 7)
    }
    assert kept == {graph.inputs[0].name}
