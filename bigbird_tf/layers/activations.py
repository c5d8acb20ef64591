"""The activations that configs name."""

import math
from collections.abc import Callable

import keras
from keras import ops

__all__ = ["get_activation"]


# The tanh form of GELU is x · sigmoid(2u), u = √(2/π) · (x + 0.044715 x³).
_SLOPE = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _SLOPE


@ops.custom_gradient
def _gelu_tanh(x):
    """The tanh form of GELU, which keeps its input alone for the backward pass.

    Left to automatic differentiation, each power, product and tanh on the way is kept: some five
    times the memory of the widest tensor of the model, in each layer.
    """

    def gradient(upstream, **_):
        # In float32, or the cube overflows float16.
        wide = ops.cast(x, "float32")
        square = wide * wide
        gate = ops.sigmoid(wide * (_SLOPE + _CUBIC * square))
        slope = gate * (1 + (1 - gate) * wide * (_SLOPE + 3 * _CUBIC * square))
        return upstream * ops.cast(slope, upstream.dtype)

    return ops.gelu(x, approximate=True), gradient


def _gelu(x):
    return ops.gelu(x, approximate=False)


_ACTIVATIONS = {
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    # Keras' own default for this name is the exact form too, but says so only in its signature.
    "gelu": _gelu,
}


def get_activation(name: str) -> Callable:
    """Gives the function for a config's `hidden_act`; `"gelu_new"` is the tanh form of GELU."""
    return _ACTIVATIONS.get(name) or keras.activations.get(name)
