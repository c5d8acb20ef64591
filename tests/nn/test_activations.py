"""Tests of `activations`."""

import math
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird_tf.config import ACTIVATIONS
from bigbird_tf.nn.activations import fused_mlp, get_activation
from bigbird_tf.nn.precision import at_least_float32
from tests.backends import IS_TENSORFLOW, compiled, value_and_gradients
from tests.graph_walk import operations_before


def _value_and_gradient(function, x):
    x = ops.convert_to_tensor(x)
    values = value_and_gradients(function, [x], ops.ones_like(x))
    return tuple(ops.convert_to_numpy(at_least_float32(value)) for value in values)


def test_gelu_new_has_the_values_and_the_gradient_of_the_tanh_form():
    x = np.linspace(-7, 7, 1013, dtype="float32")

    def tanh_form(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    value, gradient = _value_and_gradient(get_activation("gelu_new"), x)
    # In float64: the form above loses digits where the tanh is close to -1.
    x = x.astype("float64")
    expected_value = tanh_form(x)
    expected_gradient = (tanh_form(x + 1e-5) - tanh_form(x - 1e-5)) / 2e-5
    assert np.abs(value - expected_value).max() < 2e-6
    assert np.abs(gradient - expected_gradient).max() < 2e-6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradient_of_gelu_new_is_finite_where_the_cube_overflows(dtype):
    x = ops.cast([-60000.0, -301.0, -3.0, 0.0, 3.0, 301.0, 60000.0], dtype)
    _, gradient = _value_and_gradient(get_activation("gelu_new"), x)
    np.testing.assert_allclose(gradient, [0, 0, -0.0119, 0.5, 1.0119, 1, 1], atol=5e-3)


def test_gelu_new_keeps_nothing_but_its_input_for_the_backward_pass():
    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = get_activation("gelu_new")(x)
        return tape.gradient(y, x)

    graph = gradient.get_concrete_function(tf.TensorSpec((3, 5))).graph
    # The forward pass' own tanh has no reader: only the derivative's sigmoid is in use.
    readers = {op for op in graph.get_operations() for x in op.inputs if "Tanh" in x.op.type}
    assert not readers & operations_before(graph.outputs[0].op)


@pytest.mark.parametrize("name", ["gelu_new", "gelu", "relu"])
@pytest.mark.parametrize(
    # TensorFlow rounds the coefficient of its tanh form to float32.
    ("dtype", "tolerance"),
    [("float32", 2e-6), *([("float64", 1e-8)] if IS_TENSORFLOW else []), ("bfloat16", 2e-2)],
)
def test_fused_mlp_is_all_one_after_the_other(name, dtype, tolerance):
    rng = np.random.default_rng(0)
    tensors = [ops.cast(rng.normal(size=size), dtype) for size in ((6, 5), (5, 7), (7,), (7, 4))]
    grad_output = ops.cast(rng.normal(size=(6, 4)), dtype)
    activation = get_activation(name)

    def together(*tensors):
        return value_and_gradients(partial(fused_mlp, activation), tensors, grad_output)

    def one_by_one(x, kernel, bias, next_kernel):
        return ops.matmul(activation(ops.matmul(x, kernel) + bias), next_kernel)

    mine = compiled(together, jit_compile=False)(*tensors)
    apart = value_and_gradients(one_by_one, tensors, grad_output)
    for ours, expected in zip(mine, apart, strict=True):
        assert ours.dtype == expected.dtype == dtype
        ours, expected = (ops.convert_to_numpy(at_least_float32(y)) for y in (ours, expected))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_gelu_is_the_exact_form_and_differs_from_gelu_new():
    x = np.float32([-2.0, -1.0, 0.5, 2.0])
    exact = keras.ops.convert_to_numpy(get_activation("gelu")(x))
    assert np.abs(exact - [-0.04550026, -0.15865526, 0.34573123, 1.9544997]).max() < 1e-6
    assert np.abs(exact - get_activation("gelu_new")(x)).max() > 1e-5


# As they are defined, in float64.
_erf = np.vectorize(math.erf)


def _exact_gelu(x):
    return x * 0.5 * (1 + _erf(x / math.sqrt(2)))


def _tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _silu(x):
    return x / (1 + np.exp(-x))


DEFINITIONS = {
    **dict.fromkeys(("gelu", "gelu_python"), _exact_gelu),
    **dict.fromkeys(
        ("gelu_new", "gelu_accurate", "gelu_fast", "gelu_python_tanh", "gelu_pytorch_tanh"),
        _tanh_gelu,
    ),
    **dict.fromkeys(("silu", "swish"), _silu),
    "gelu_10": lambda x: np.clip(_exact_gelu(x), -10, 10),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "laplace": lambda x: 0.5 * (1 + _erf((x - 0.707107) / (0.282095 * math.sqrt(2)))),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "linear": lambda x: x,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sqrtsoftplus": lambda x: np.sqrt(np.log1p(np.exp(x))),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_of_every_activation_that_a_config_may_name(name):
    x = np.linspace(-13, 13, 1009)
    values = ops.convert_to_numpy(get_activation(name)(x.astype("float32")))
    np.testing.assert_allclose(values, DEFINITIONS[name](x), rtol=2e-6, atol=2e-6)


@pytest.mark.parity
def test_values_of_transformers():
    import torch
    from transformers.activations import ACT2FN

    # Those with weights of their own are left: `prelu` and `xielu`.
    assert set(ACT2FN) == {*ACTIVATIONS, "prelu", "xielu"}
    x = np.linspace(-13, 13, 1009, dtype="float32")
    for name in ACTIVATIONS:
        expected = ACT2FN[name](torch.tensor(x)).numpy()
        np.testing.assert_allclose(
            ops.convert_to_numpy(get_activation(name)(x)), expected, rtol=1e-6, atol=2e-6
        )
