"""`Dense`: Keras' dense layer with a gradient written out, and its parts.

Shapes use M for rows (all leading dimensions together), D and E for the sizes of in- and output.
"""

from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.backend import is_compiled_by_xla
from bigbird_tf.nn.lora import SavesLora
from bigbird_tf.types import Tensor

__all__ = ["Dense", "add_bias", "as_matrix", "is_plain", "sum_of_rows"]


def as_matrix(x: Tensor) -> Tensor:
    """Reshapes `(…, D)` to `(M, D)`."""
    return ops.reshape(x, (-1, x.shape[-1]))


def sum_of_rows(x: Tensor) -> Tensor:
    """Adds up all rows of `(…, D)` in float32 at least; gives `(D,)` of its dtype.

    The gradient of TensorFlow's own bias adds up in the dtype of its input: in bfloat16, what comes
    after some hundred rows is lost.
    """
    x = as_matrix(x)
    if is_compiled_by_xla():
        return ops.sum(x, axis=0)
    # On a CPU a product is faster than a sum over the first axis.
    return ops.matmul(ops.ones((1, ops.shape(x)[0]), x.dtype), x)[0]


@ops.custom_gradient
def add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """Adds `(D,)` to each row of `(…, D)`, with the gradient of this module."""

    def gradient(grad_output, **_):
        return grad_output, sum_of_rows(grad_output)

    return ops.add(x, bias), gradient


@ops.custom_gradient
def _dense(x: Tensor, kernel: Tensor, *bias: Tensor) -> Tensor:
    """Returns `(…, E)` of `(…, D)`, `(D, E)` and, if there is one, `(E,)`."""

    def gradient(grad_output, **_):
        x_grad = ops.matmul(grad_output, ops.transpose(kernel))
        kernel_grad = ops.matmul(ops.transpose(as_matrix(x)), as_matrix(grad_output))
        return x_grad, kernel_grad, *(sum_of_rows(grad_output) for _ in bias)

    # Together, for TensorFlow to make one kernel of them.
    product = ops.matmul(x, kernel)
    return ops.add(product, bias[0]) if bias else product, gradient


def is_plain(layer: keras.layers.Layer) -> bool:
    """Returns whether a `keras.layers.Dense` has a kernel that may be multiplied by, not codes."""
    return layer.quantization_mode is None


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Dense(SavesLora, keras.layers.Dense):
    """`keras.layers.Dense` with a gradient that adds up in float32 at least.

    If the input is a matrix, TensorFlow adds the bias in the product's kernel; if it has more
    dimensions, in another pass over the memory.

    Args:
        *args, **kwargs: Of `keras.layers.Dense`.

    Call arguments:
        inputs: Tensor `(…, D)`.

    Returns:
        Tensor `(…, units)` of the layer's compute dtype.

    Example:

    >>> Dense(3)(keras.ops.ones((2, 5, 7))).shape
    TensorShape([2, 5, 3])
    """

    _lora_names = ("_kernel", "lora_kernel_a", "lora_kernel_b")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Multiplies, adds and activates; Keras calls it where the kernel is not quantized."""
        tensors = (inputs, self.kernel, *([self.bias] if self.use_bias else []))
        # Tensors: a custom gradient treats variables differently from its arguments.
        return self.activation(_dense(*(ops.cast(x, self.compute_dtype) for x in tensors)))

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Quantizes as Keras does, whose check is for its own class alone."""
        super().quantize(mode, type_check=False, config=config)
