"""Dense layers with a gradient written out.

Shapes use M for rows (all leading dimensions together), D and E for the sizes of in- and output.
"""

from keras import ops

from bigbird_tf.nn.backend import is_compiled_by_xla

__all__ = ["add_bias", "as_matrix", "call_dense", "is_plain", "sum_of_rows"]


def as_matrix(x):
    """Reshapes `(…, D)` to `(M, D)`."""
    return ops.reshape(x, (-1, x.shape[-1]))


def sum_of_rows(x):
    """Adds up all rows of `(…, D)` in float32 at least; gives `(D,)` of its dtype.

    The gradient of TensorFlow's own bias adds up in the dtype of its input: in bfloat16, what comes
    after some hundred rows is lost.
    """
    x = as_matrix(x)
    if is_compiled_by_xla():
        return ops.sum(x, axis=0)
    # On a CPU four times as fast as a sum over the first axis.
    return ops.matmul(ops.ones((1, ops.shape(x)[0]), x.dtype), x)[0]


@ops.custom_gradient
def add_bias(x, bias):
    """Adds `(D,)` to each row of `(…, D)`, with the gradient of this module."""

    def gradient(upstream, **_):
        return upstream, sum_of_rows(upstream)

    return ops.add(x, bias), gradient


@ops.custom_gradient
def _dense(x, kernel, *bias):
    """Gives `(…, E)` of `(…, D)`, `(D, E)` and, if there is one, `(E,)`."""

    def gradient(upstream, **_):
        x_grad = ops.matmul(upstream, ops.transpose(kernel))
        kernel_grad = ops.matmul(ops.transpose(as_matrix(x)), as_matrix(upstream))
        return x_grad, kernel_grad, *(sum_of_rows(upstream) for _ in bias)

    # Together, for TensorFlow to make one kernel of them.
    product = ops.matmul(x, kernel)
    return ops.add(product, bias[0]) if bias else product, gradient


def is_plain(layer) -> bool:
    """Tells whether a `keras.layers.Dense` has a kernel that may be multiplied by, not codes."""
    return layer.quantization_mode is None


def call_dense(layer, x):
    """Calls a dense layer, with the gradient of this module.

    If `x` is a matrix, TensorFlow adds the bias in the product's kernel; if it has more dimensions,
    in another pass over the memory.

    Args:
        layer: A `keras.layers.Dense`, D to E.
        x: Tensor `(…, D)`.

    Returns:
        Tensor `(…, E)` of the layer's compute dtype.
    """
    if not is_plain(layer):
        return layer(x)
    tensors = (x, layer.kernel, *([layer.bias] if layer.use_bias else []))
    return layer.activation(_dense(*(ops.cast(tensor, layer.compute_dtype) for tensor in tensors)))
