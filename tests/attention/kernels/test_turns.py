"""Heads a turn, worked out one by one."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf.attention.kernels.turns import map_turns

BATCH, HEADS, LENGTH, SIZE = 2, 6, 4, 3


@pytest.mark.parametrize("with_global_bias", [False, True])
@pytest.mark.parametrize("heads", [0, 1, 2, 6])
def test_each_head_gets_what_is_its_own(heads, with_global_bias):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(BATCH, HEADS, LENGTH, SIZE)).astype("float32") for _ in range(2))
    of_keys = rng.normal(size=(BATCH, LENGTH)).astype("float32")
    of_global = rng.normal(size=(BATCH, 2, LENGTH)).astype("float32")
    table = rng.integers(0, 9, (HEADS, 2, 5)).astype("int32")

    def function(x, y, biases, table):
        group = heads or BATCH * HEADS
        assert (x.shape, table.shape) == ((group, LENGTH, SIZE), (group, 2, 5))
        assert tuple(biases[0].shape) == (1 if heads else group, 1, 1, LENGTH)
        mine = biases[0][:, 0, 0, :, None]
        if with_global_bias:
            assert tuple(biases[1].shape) == (1 if heads else group, 1, 2, LENGTH)
            mine = mine + biases[1][:, 0, 1, :, None]
        tag = ops.cast(ops.sum(table, axis=(1, 2)), "float32")[:, None, None]
        return [x * y + mine, x + tag]

    biases = [ops.convert_to_tensor(b) for b in (of_keys, of_global)[: 1 + with_global_bias]]
    tensors = [ops.convert_to_tensor(t) for t in (x, y)]
    first, second = map_turns(
        function, tensors, biases, ops.convert_to_tensor(table), heads, False, num_outputs=2
    )
    bias = of_keys + of_global[:, 1] if with_global_bias else of_keys
    np.testing.assert_allclose(first, x * y + bias[:, None, :, None], rtol=1e-6, atol=1e-6)
    tags = table.sum((1, 2)).astype("float32")
    np.testing.assert_allclose(second, x + tags[None, :, None, None], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("heads", [0, 2])
@pytest.mark.parametrize("in_float32", [False, True])
def test_in_float32(heads, in_float32):
    x = ops.cast(np.ones((BATCH, HEADS, LENGTH, SIZE)), "bfloat16")
    seen = []

    def function(x, biases, table):
        seen.append(str(x.dtype).split("'")[-2] if "'" in str(x.dtype) else str(x.dtype))
        # In bfloat16, 1 + 1/512 is 1.
        return [(x + 1 / 512 - 1) * 512]

    bias, table = ops.zeros((BATCH, LENGTH)), ops.zeros((HEADS, 1, 1), "int32")
    (out,) = map_turns(function, [x], [bias], table, heads, in_float32, num_outputs=1)
    assert {*seen} == {"float32" if in_float32 else "bfloat16"}
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(ops.cast(out, "float32"), 1.0 if in_float32 else 0.0)
