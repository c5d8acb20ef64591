"""Softmax of scores, as all kernels compute it."""

import keras
from keras import ops

from bigbird_tf.nn.backend import has_exact_bfloat16_softmax
from bigbird_tf.types import Tensor

__all__ = ["MASKED", "attention_weights"]

# Added to the scores of padded keys, as in the originals: not infinity, so that rows without any
# real key stay finite.
MASKED = -1e4


def attention_weights(query: Tensor, key: Tensor, bias: Tensor, scale: float = 1.0) -> Tensor:
    """Returns softmax(query × key × scale + bias), `(…, Tq, Tk)`, computed in float32 at least.

    The result is float32 at least; bfloat16 where the kernel computes in float32 all the same.

    Args:
        query: Tensor `(…, Tq, H)`.
        key: Tensor `(…, Tk, H)`, of the same dtype.
        bias: Tensor that broadcasts to `(…, Tq, Tk)`: of each key, or of each query and key.
        scale: What scores are multiplied by, before the bias.
    """
    dtype = keras.backend.standardize_dtype(query.dtype)
    if dtype == "float16":
        # The product of unscaled ones could overflow.
        query, scale = query * scale, 1.0
    if dtype != "bfloat16" or not has_exact_bfloat16_softmax():
        dtype = keras.backend.result_type(dtype, "float32")
    # TensorFlow makes one kernel of product, scale and bias.
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    scores = scores if scale == 1.0 else scores * scale
    scores = ops.cast(scores, dtype) + ops.cast(bias, dtype)
    # Keras warns of a softmax over a single entry.
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores)
