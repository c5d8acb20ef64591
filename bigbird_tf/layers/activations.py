"""The activations that configs name."""

import math
from collections.abc import Callable

import keras
from keras import ops

from bigbird_tf.attention.backend import once_there

__all__ = ["gelu_tanh", "gelu_tanh_matmul", "get_activation"]


# The tanh form of GELU is x · sigmoid(2u), u = √(2/π) · (x + 0.044715 x³).
_SLOPE = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _SLOPE


def _gelu_tanh_again(x, upstream):
    """Gives the tanh form of GELU, computed again, and what flows back to `x`."""
    # In float32, or the cube overflows float16.
    wide = ops.cast(once_there(upstream, x), "float32")
    square = wide * wide
    gate = ops.sigmoid(wide * (_SLOPE + _CUBIC * square))
    slope = gate * (1 + (1 - gate) * wide * (_SLOPE + 3 * _CUBIC * square))
    return ops.cast(wide * gate, x.dtype), upstream * ops.cast(slope, upstream.dtype)


@ops.custom_gradient
def gelu_tanh(x):
    """The tanh form of GELU, which keeps its input alone for the backward pass.

    Left to automatic differentiation, each power, product and tanh on the way is kept: some five
    times the memory of the widest tensor of the model, in each layer.
    """

    def gradient(upstream, **_):
        return _gelu_tanh_again(x, upstream)[1]

    return ops.gelu(x, approximate=True), gradient


@ops.custom_gradient
def gelu_tanh_matmul(x, kernel):
    """`matmul(gelu_tanh(x), kernel)` of `(…, D)` and `(D, E)`, which keeps `x` and `kernel` alone.

    The product's own backward pass needs GELU's result, which is as wide as its input.
    """

    def gradient(upstream, **_):
        activated_grad = ops.matmul(upstream, ops.transpose(kernel))
        activated, x_grad = _gelu_tanh_again(x, activated_grad)
        activated = ops.reshape(activated, (-1, x.shape[-1]))
        kernel_grad = ops.matmul(
            ops.transpose(activated), ops.reshape(upstream, (-1, kernel.shape[-1]))
        )
        return x_grad, kernel_grad

    return ops.matmul(ops.gelu(x, approximate=True), kernel), gradient


def _gelu(x):
    return ops.gelu(x, approximate=False)


_ACTIVATIONS = {
    "gelu_new": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    # Keras' own default for this name is the exact form too, but says so only in its signature.
    "gelu": _gelu,
}


def get_activation(name: str) -> Callable:
    """Gives the function for a config's `hidden_act`; `"gelu_new"` is the tanh form of GELU."""
    return _ACTIVATIONS.get(name) or keras.activations.get(name)
