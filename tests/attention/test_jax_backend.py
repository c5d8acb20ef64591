"""The same mathematics on Keras' JAX backend; with the extra `tpu-check`, which brings JAX."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = """
import jax
import numpy as np
from bigbird_tf import BlockPattern, BlockSparseAttention
from bigbird_tf.attention.kernels.chunked import block_sparse_attention

rng = np.random.default_rng(0)
query, key, value = (rng.standard_normal((2, 3, 208, 8)).astype("float32") for _ in range(3))
pattern = BlockPattern.build(13, 3, block_size=16, num_random_blocks=2)
bias = np.zeros((2, 208), "float32")
bias[:, -5:] = -1e4
counts = np.kron(pattern.to_dense_mask(), np.ones((16, 16)))

def sparse(query, key, value):
    return block_sparse_attention(query, key, value, bias, pattern.slots, 16)

def dense(query, key, value):
    scores = jax.numpy.einsum("bnth,bnsh->bnts", query, key) + bias[:, None, None]
    weights = jax.numpy.exp(scores - scores.max(-1, keepdims=True)) * counts
    weights /= weights.sum(-1, keepdims=True)
    return jax.numpy.einsum("bnts,bnsh->bnth", weights, value)

def gradients(function):
    loss = lambda *args: (function(*args) ** 2).sum()
    return jax.grad(loss, (0, 1, 2))(query, key, value)

np.testing.assert_allclose(sparse(query, key, value), dense(query, key, value), atol=1e-5)
for ours, expected in zip(gradients(sparse), gradients(dense)):
    np.testing.assert_allclose(ours, expected, atol=1e-4)
layer = BlockSparseAttention(2, 8, block_size=16)
assert layer(rng.standard_normal((1, 333, 16)).astype("float32")).shape == (1, 333, 16)
"""


@pytest.mark.tpu
def test_values_and_gradients():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
