"""The kernels for a GPU, interpreted: parts that attention's tests do not see one by one."""

import numpy as np
import pytest

from tests.backends import IS_TENSORFLOW

pytestmark = pytest.mark.skipif(IS_TENSORFLOW, reason="JAX's own")
BLOCK, BLOCKS, SIZE = 4, 3, 5


@pytest.fixture(scope="module")
def kernels():
    from bigbird_tf.nn.backend import fused_kernels

    return fused_kernels()


def test_interpreted_without_a_gpu(kernels):
    assert kernels.is_interpreted()


@pytest.mark.parametrize(("before", "after"), [(2, 0), (5, 3), (100, 100)])
def test_slots_read_in_part(kernels, before, after):
    in_part = kernels.InPart(1, 3, before, after, -7.0)
    scores = np.zeros((BLOCK, BLOCK), "float32")
    query, key = (np.arange(BLOCK) + BLOCK * block for block in (3, 2))
    is_far = (key - query[:, None] < -before) | (key - query[:, None] > after)
    expected = np.where(is_far, -7.0, 0.0)
    for slot in range(4):
        found = in_part.of_slot(scores, 3, 2, slot)
        np.testing.assert_array_equal(found, expected if slot in (1, 2) else scores)
    for whole, reader in ((True, 2 * 3), (False, 2 * 3 + 1)):
        found = in_part.of_reader(scores, 2, reader)
        np.testing.assert_array_equal(found, scores if whole else expected.T)


@pytest.mark.parametrize("apart", [False, True])
def test_lists_of_key_blocks(kernels, apart):
    """Two query blocks of three, two sequences of two heads, each head with a table of its own."""
    rng = np.random.default_rng(1)
    q, k, v = (rng.normal(size=(4, BLOCK * BLOCKS, SIZE)).astype("float32") for _ in range(3))
    bias = rng.normal(size=(2, BLOCK * BLOCKS)).astype("float32")
    blocks = np.array([[[0, 1], [2, 2]], [[1, 2], [0, 1]]], "int32")
    slot_bias = np.array([[0, -1e9], [0, 0]], "float32")
    context, log_sum = kernels.attend_to_blocks(
        *(q, k, v, bias, blocks, slot_bias, lambda number: number + 1, BLOCK, 0.5), apart=apart
    )
    for row, number in np.ndindex(4, 2):
        queries = slice((number + 1) * BLOCK, (number + 2) * BLOCK)
        keys = np.concatenate(
            [np.arange(BLOCK) + BLOCK * b for b in blocks[row % 2, number][: 1 + number]]
        )
        scores = 0.5 * q[row, queries] @ k[row, keys].T + bias[row // 2, keys]
        weights = np.exp(scores)
        total = weights.sum(-1, keepdims=True)
        place = (row, number) if apart else (row, queries)
        np.testing.assert_allclose(context[place], weights / total @ v[row, keys], atol=1e-5)
        np.testing.assert_allclose(log_sum[place], np.log(total[:, 0]), atol=1e-5)
