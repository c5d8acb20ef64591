import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.nn.embedding_tables import Embedding, ReversibleEmbedding
from tests.backends import gradients_of_weights

# 2 occurs three times, 4 never.
IDS = np.array([[2, 0, 2], [1, 2, 3]], "int32")
UPSTREAM = np.random.default_rng(3).normal(size=(2, 3, 7)).astype("float32")


@pytest.mark.parametrize("cls", [Embedding, ReversibleEmbedding])
def test_gradient_of_a_row_is_one_sum(cls):
    layer = cls(5, 7)
    layer.build(None)
    np.testing.assert_array_equal(layer(IDS), np.asarray(layer.embeddings)[IDS])
    (gradient,) = gradients_of_weights(lambda: ops.sum(layer(IDS) * UPSTREAM), layer)
    # Not `tf.IndexedSlices`, whose rows Keras' optimizers would square one by one.
    assert keras.ops.is_tensor(gradient)
    assert "IndexedSlices" not in type(gradient).__name__
    expected = np.zeros((5, 7), "float32")
    np.add.at(expected, IDS, UPSTREAM)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cls", [Embedding, ReversibleEmbedding])
def test_gradient_in_half_precision_adds_up_in_float32(cls, dtype):
    layer = cls(3, 2, dtype=dtype)
    layer.build(None)
    # Added one by one, a sum of ones would stop at 2048 or at 256.
    ids = np.zeros((2, 3001), "int32")
    ids[1, -1] = 2
    (gradient,) = gradients_of_weights(lambda: ops.sum(layer(ids)), layer)
    assert gradient.dtype == dtype
    expected = [[6001, 6001], [0, 0], [1, 1]]
    np.testing.assert_allclose(ops.cast(gradient, "float32"), expected, rtol=2**-8)


def test_adam_moves_rows_by_their_sum():
    layer = Embedding(5, 7)
    layer.build(None)
    before = np.array(layer.embeddings)
    optimizer = keras.optimizers.Adam(0.125, epsilon=1e-12)
    gradients = gradients_of_weights(lambda: ops.sum(layer(IDS) * UPSTREAM), layer)
    optimizer.apply(gradients, [layer.embeddings])
    # Adam's first step has the size of the learning rate, whatever the gradient's size.
    moved = np.abs(np.array(layer.embeddings) - before)
    np.testing.assert_allclose(moved[:4], 0.125, rtol=1e-4)
    assert (moved[4] == 0).all()


def test_back_from_vectors_to_logits():
    layer = ReversibleEmbedding(5, 7)
    layer.build(None)
    expected = UPSTREAM @ np.asarray(layer.embeddings).T
    np.testing.assert_allclose(layer(UPSTREAM, reverse=True), expected, rtol=1e-5)
