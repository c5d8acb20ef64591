import numpy as np
import pytest
from keras import ops
from keras.backend import standardize_dtype

from bigbird_tf.nn.precision import at_least_float32, within_float16


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32")],
)
def test_half_precision_alone_is_widened(dtype, wide):
    assert standardize_dtype(at_least_float32(ops.ones(3, dtype)).dtype) == wide


def test_float16_alone_is_clipped():
    """A thousand below its largest number, as `transformers` does."""
    x = [-np.inf, -65504.0, -64504.0, -64000.0, 0.0, 64504.0, 65504.0, np.inf]
    expected = np.float16([-64504, -64504, -64504, -64000, 0, 64504, 64504, 64504])
    clipped = within_float16(ops.convert_to_tensor(x, "float16"))
    assert standardize_dtype(clipped.dtype) == "float16"
    np.testing.assert_array_equal(clipped, expected)
    for dtype in ("float32", "bfloat16"):
        wide = ops.convert_to_tensor(x, dtype)
        assert within_float16(wide) is wide
