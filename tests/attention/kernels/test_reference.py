import numpy as np
import pytest

from bigbird_tf import BlockPattern
from bigbird_tf.attention.kernels.reference import full_attention, pattern_bias
from bigbird_tf.attention.pattern.slots import NOT_READ


@pytest.mark.parametrize("count_repeats", [True, False])
def test_bias_worked_out_on_paper(count_repeats):
    # Row 1 lists block 3 once more, row 2 lists its own neighbour 1 twice more.
    pattern = BlockPattern(4, 1, 1, 1, np.array([[[3, 3], [1, 1]]], np.int32))
    bias = pattern_bias(pattern.slots, 4, 2, count_repeats=count_repeats)
    two, three = (np.log([2, 3]) if count_repeats else (0, 0)).tolist() if count_repeats else (0, 0)
    no = NOT_READ
    blocks = np.array([[0, 0, 0, 0], [0, 0, no, three], [0, two, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(bias[0], np.kron(blocks, np.ones((2, 2))), rtol=1e-6)


def test_softmax_worked_out_on_paper():
    """Scores log 1, log 2, log 5: weights 1/8, 2/8, 5/8."""
    query = np.array([[[[1.0]]]], "float32")
    key = np.log(np.array([[[[1.0], [2.0], [5.0]]]], "float32"))
    value = np.array([[[[8.0, 0.0], [0.0, 8.0], [16.0, 8.0]]]], "float32")
    context, weights = full_attention(query, key, value, np.zeros((1, 1, 1, 3), "float32"))
    np.testing.assert_allclose(weights, [[[[0.125, 0.25, 0.625]]]], rtol=1e-6)
    np.testing.assert_allclose(context, [[[[11.0, 7.0]]]], rtol=1e-6)


def test_dropout_acts_on_weights_and_not_on_what_is_returned():
    x = np.ones((1, 1, 3, 2), "float32")
    context, weights = full_attention(x, x, x, np.zeros(1, "float32"), dropout=lambda w: w * 0)
    np.testing.assert_array_equal(context, np.zeros_like(x))
    np.testing.assert_allclose(weights, np.full((1, 1, 3, 3), 1 / 3), rtol=1e-6)
