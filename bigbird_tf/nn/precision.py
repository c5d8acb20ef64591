"""In which dtype to compute."""

import keras
from keras import ops

from bigbird_tf.types import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(x: Tensor) -> Tensor:
    """Casts half precision to float32; other dtypes stay."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
