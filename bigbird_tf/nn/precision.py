"""In which dtype to compute."""

import keras
from keras import ops

from bigbird_tf.types import Tensor

__all__ = ["at_least_float32", "within_float16"]

# A little below the largest float16, as in `transformers`, so that sums of little stay finite.
_LARGEST = 65504.0 - 1000.0


def at_least_float32(x: Tensor) -> Tensor:
    """Casts half precision to float32; other dtypes stay."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def within_float16(x: Tensor) -> Tensor:
    """Clips what has overflowed in float16 to a large number; other dtypes stay.

    What models that were trained in bfloat16 add up is more than float16 holds, in some layers.
    """
    if keras.backend.standardize_dtype(x.dtype) != "float16":
        return x
    return ops.clip(x, -_LARGEST, _LARGEST)
