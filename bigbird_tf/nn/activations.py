"""The activations that configs name, and two dense layers with one between."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.backend import recompute_barrier
from bigbird_tf.nn.dense import sum_of_rows
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["fused_mlp", "gelu_tanh", "get_activation", "has_fused_mlp"]


# The tanh form of GELU is x · sigmoid(2u), u = √(2/π) · (x + 0.044715 x³).
_SLOPE = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _SLOPE


def _gelu_tanh_recomputed(x: Tensor, grad_output: Tensor) -> Any:
    """Returns the tanh form of GELU, computed again, and what flows back to `x`."""
    # Or the cube overflows float16.
    wide = at_least_float32(recompute_barrier(grad_output, x))
    square = wide * wide
    gate = ops.sigmoid(wide * (_SLOPE + _CUBIC * square))
    slope = gate * (1 + (1 - gate) * wide * (_SLOPE + 3 * _CUBIC * square))
    return ops.cast(wide * gate, x.dtype), grad_output * ops.cast(slope, grad_output.dtype)


def _gelu_recomputed(x: Tensor, grad_output: Tensor) -> Any:
    """As `_gelu_tanh_recomputed`, exact: x · Φ(x), whose derivative is Φ(x) + x · φ(x)."""
    wide = at_least_float32(recompute_barrier(grad_output, x))
    share = 0.5 * (1 + ops.erf(wide * math.sqrt(0.5)))
    density = math.sqrt(0.5 / math.pi) * ops.exp(-0.5 * wide * wide)
    slope = share + wide * density
    return ops.cast(wide * share, x.dtype), grad_output * ops.cast(slope, grad_output.dtype)


def _relu_recomputed(x: Tensor, grad_output: Tensor) -> Any:
    """As `_gelu_tanh_recomputed`, of ReLU."""
    x = recompute_barrier(grad_output, x)
    return ops.relu(x), grad_output * ops.cast(x > 0, grad_output.dtype)


def _gelu(x: Tensor) -> Tensor:
    return ops.gelu(x, approximate=False)


def _gelu_tanh(x: Tensor) -> Tensor:
    return ops.gelu(x, approximate=True)


def _clipped_gelu(x: Tensor) -> Tensor:
    return ops.clip(_gelu(x), -10.0, 10.0)


def _quick_gelu(x: Tensor) -> Tensor:
    return x * ops.sigmoid(1.702 * x)


def _squared_relu(x: Tensor) -> Tensor:
    return ops.square(ops.relu(x))


def _leaky_relu(x: Tensor) -> Tensor:
    return ops.leaky_relu(x, negative_slope=0.01)


def _laplace(x: Tensor) -> Tensor:
    """The distribution function of a normal distribution (Ma et al., 2022, Mega: section 3.2)."""
    mean, deviation = 0.707107, 0.282095
    return 0.5 * (1 + ops.erf((x - mean) / (deviation * math.sqrt(2.0))))


def _square_root_of_softplus(x: Tensor) -> Tensor:
    return ops.sqrt(ops.softplus(x))


@ops.custom_gradient
def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh form of GELU, which keeps its input alone for the backward pass.

    Left to automatic differentiation, each power, product and tanh on the way is kept: some five
    times the memory of the widest tensor of the model, in each layer.
    """

    def gradient(grad_output, **_):
        return _gelu_tanh_recomputed(x, grad_output)[1]

    return _gelu_tanh(x), gradient


# What TensorFlow makes one kernel of with a product and a bias before it.
_WRITTEN_OUT = {
    gelu_tanh: (_gelu_tanh, _gelu_tanh_recomputed),
    _gelu: (_gelu, _gelu_recomputed),
    keras.activations.relu: (ops.relu, _relu_recomputed),
}


def has_fused_mlp(activation: Callable) -> bool:
    """Returns whether `fused_mlp` takes an activation."""
    return activation in _WRITTEN_OUT


def fused_mlp(
    activation: Callable, x: Tensor, kernel: Tensor, bias: Tensor, next_kernel: Tensor
) -> Tensor:
    """Returns `matmul(activation(matmul(x, kernel) + bias), next_kernel)`, and keeps little.

    For the backward pass it keeps what goes into the activation. Left to automatic differentiation,
    the last product would need the activation's result as well. All in one function, for TensorFlow
    to make one kernel of the first product, bias and activation where no gradient is asked for.

    Args:
        activation: One for which `has_fused_mlp`.
        x: Tensor `(M, D)`.
        kernel: Tensor `(D, E)` of the same dtype.
        bias: Tensor `(E,)` of the same dtype.
        next_kernel: Tensor `(E, F)` of the same dtype.

    Returns:
        Tensor `(M, F)` of that dtype.
    """
    activate, activate_recomputed = _WRITTEN_OUT[activation]

    @ops.custom_gradient
    def product(x, kernel, bias, next_kernel):
        hidden = ops.add(ops.matmul(x, kernel), bias)

        def gradient(grad_output, **_):
            activated_grad = ops.matmul(grad_output, ops.transpose(next_kernel))
            activated, hidden_grad = activate_recomputed(hidden, activated_grad)
            return (
                ops.matmul(hidden_grad, ops.transpose(kernel)),
                ops.matmul(ops.transpose(x), hidden_grad),
                sum_of_rows(hidden_grad),
                ops.matmul(ops.transpose(activated), grad_output),
            )

        return ops.matmul(activate(hidden), next_kernel), gradient

    return product(x, kernel, bias, next_kernel)


_ACTIVATIONS = {
    "gelu_new": gelu_tanh,
    "gelu_accurate": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_python_tanh": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    # Keras' own default for this name is the exact form too, but says so only in its signature.
    "gelu": _gelu,
    "gelu_python": _gelu,
    "gelu_10": _clipped_gelu,
    "hardswish": ops.hard_silu,
    "laplace": _laplace,
    "leaky_relu": _leaky_relu,
    "quick_gelu": _quick_gelu,
    "relu2": _squared_relu,
    "sqrtsoftplus": _square_root_of_softplus,
    "swish": ops.silu,
}


def get_activation(name: str) -> Callable:
    """Returns the function for a config's `hidden_act`; `"gelu_new"` is the tanh form of GELU."""
    return _ACTIVATIONS.get(name) or keras.activations.get(name)
