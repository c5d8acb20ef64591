"""The activations that configs name."""

from collections.abc import Callable

import keras
from keras import ops

__all__ = ["get_activation"]


def _gelu_tanh(x):
    return ops.gelu(x, approximate=True)


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
