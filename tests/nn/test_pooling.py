import numpy as np
import pytest
from keras import ops

from bigbird_tf.nn.pooling import pool_tokens, scale_to_length_one

HIDDEN = np.array(
    [
        [[1, -2], [3, 5], [90, 90], [80, 80]],
        [[70, 70], [-4, -6], [2, -8], [60, 60]],
        [[1, 1], [2, 2], [3, 3], [4, 4]],
    ],
    "float32",
)
# The second row is padded on both sides; the third is all padding.
MASK = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean", [[2, 1.5], [-1, -7], [0, 0]]),
        ("max", [[3, 5], [2, -6], [0, 0]]),
        ("cls", [[1, -2], [-4, -6], [0, 0]]),
    ],
)
def test_worked_out_by_hand(mode, expected):
    for mask in (MASK, MASK.astype(bool), MASK.astype("float32")):
        np.testing.assert_allclose(pool_tokens(HIDDEN, mask, mode), expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["mean", "max", "cls"])
def test_half_precision_adds_up_in_float32(mode):
    hidden = ops.cast(ops.ones((1, 3001, 2)), "float16")
    pooled = pool_tokens(hidden, np.ones((1, 3001)), mode)
    assert pooled.dtype == "float32"
    np.testing.assert_allclose(pooled, np.ones((1, 2)))


def test_length_one():
    x = np.array([[3, -4], [0, 0], [1e-3, 0], [0, 1e-11]], "float32")
    expected = [[0.6, -0.8], [0, 0], [1, 0], [0, 1]]
    np.testing.assert_allclose(scale_to_length_one(x), expected, atol=1e-6)
