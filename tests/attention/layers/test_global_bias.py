"""`global_bias` of the layer: what a query of a global block is not to read, at every length."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf import BlockSparseAttention
from bigbird_tf.attention import CausalAttention
from bigbird_tf.attention.pattern.slots import NOT_READ


@pytest.mark.parametrize("length", [38, 9], ids=["sparse", "full"])
@pytest.mark.parametrize("attention_type", ["block_sparse", "simulated_sparse"])
def test_a_query_reads_what_is_left(length, attention_type):
    layer = BlockSparseAttention(
        2, 3, block_size=4, num_random_blocks=0, num_global_blocks=(2, 0),
        full_attention_up_to=12, attention_type=attention_type,
    )  # fmt: skip
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, length, 5)), "float32")
    bias = np.zeros((2, 3, length), np.float32)
    bias[0, 1, 4:] = bias[1, 2, :7] = NOT_READ
    output, weights = layer(x, global_bias=bias, return_attention_scores=True)
    plain, all_weights = layer(x, return_attention_scores=True)
    weights, all_weights = (ops.convert_to_numpy(y) for y in (weights, all_weights))
    expected = all_weights.copy()
    for row, query in ((0, 1), (1, 2)):
        expected[row, :, query] *= bias[row, query] == 0
        expected[row, :, query] /= expected[row, :, query].sum(-1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)
    # Without weights, another kernel computes it.
    np.testing.assert_allclose(layer(x, global_bias=bias), output, rtol=0, atol=1e-5)
    others = np.ones((2, length), bool)
    others[0, 1] = others[1, 2] = False
    differs = np.abs(ops.convert_to_numpy(output) - ops.convert_to_numpy(plain)).max(-1) > 1e-4
    np.testing.assert_array_equal(differs, ~others)


def test_causal_attention_has_no_such_queries():
    layer = CausalAttention(2, 3, attention_type="original_full")
    with pytest.raises(ValueError, match=r"`global_bias` is of queries that read everything"):
        layer(ops.ones((1, 5, 6)), global_bias=np.zeros((1, 2, 5), np.float32))


@pytest.mark.parametrize("attention_type", ["block_sparse", "original_full"])
@pytest.mark.parametrize("shape", [(2, 5, 38), (2, 3, 37), (1, 3, 38), (2, 38)], ids=str)
def test_other_shapes(shape, attention_type):
    """What is of the queries behind the first global block would act on those of the last one."""
    layer = BlockSparseAttention(2, 3, block_size=4, attention_type=attention_type)
    message = r"`global_bias` must be .* blocks at the start, here 4 at most.*query.shape=\(2, 38,"
    with pytest.raises(ValueError, match=message):
        layer(ops.ones((2, 38, 6)), global_bias=np.zeros(shape, np.float32))
