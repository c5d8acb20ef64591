"""`LayerNorm`: Keras' layer normalisation with a gradient written out."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.backend import recompute_barrier
from bigbird_tf.nn.dense import sum_of_rows
from bigbird_tf.types import Tensor

__all__ = ["LayerNorm"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, with less to keep.

    Left to automatic differentiation, the input and the same times scale and deviation are kept for
    the backward pass, each of them as large as the input, twice in every layer of the model. Here
    it is the input alone, and two numbers a token.

    Args:
        **kwargs: As Keras', but for `axis`, `center`, `scale` and `rms_scaling`.

    Call arguments:
        inputs: Tensor `(…, D)` of a floating dtype.

    Returns:
        Tensor `(…, D)` of the layer's compute dtype; computed in float32 at least.

    Raises:
        ValueError: If one of those four is given.
    """

    def __init__(self, **kwargs: Any):
        for name in _FIXED:
            if name in kwargs:
                raise ValueError(
                    f"`LayerNorm` is over the last axis, with scale and offset, and has no "
                    f"`{name}`; `keras.layers.LayerNormalization` has. Received: "
                    f"{name}={kwargs[name]!r}"
                )
        super().__init__(**kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Normalises; see the class."""
        outputs = _layer_norm(inputs, self.gamma, self.beta, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in _FIXED}


_FIXED = ("axis", "center", "scale", "rms_scaling")


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Normalises `(…, D)` in float32 at least; gives that dtype."""
    dtype = keras.backend.result_type(x.dtype, "float32")

    @ops.custom_gradient
    def normalized(x, gamma, beta):
        wide = ops.cast(x, dtype)
        mean = ops.mean(wide, axis=-1, keepdims=True)
        centered = wide - mean
        inverse = ops.rsqrt(ops.mean(ops.square(centered), axis=-1, keepdims=True) + epsilon)

        def gradient(grad_output, **_):
            normal = (ops.cast(recompute_barrier(grad_output, x), dtype) - mean) * inverse
            scaled = grad_output * gamma
            delta = ops.mean(scaled * normal, axis=-1, keepdims=True)
            x_grad = (scaled - ops.mean(scaled, axis=-1, keepdims=True) - normal * delta) * inverse
            of_weights = (sum_of_rows(y) for y in (grad_output * normal, grad_output))
            return ops.cast(x_grad, x.dtype), *of_weights

        return centered * inverse * gamma + beta, gradient

    # Tensors: a custom gradient treats variables differently from its arguments.
    return normalized(x, ops.cast(gamma, dtype), ops.cast(beta, dtype))
