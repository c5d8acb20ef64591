"""Attention from one sequence to another, against Keras' own; its contract is beside Pegasus'."""

import keras
import numpy as np
import pytest

from bigbird_tf.attention import CrossAttention
from tests.contract import BATCH, HEAD_SIZE, HEADS, WIDTH, assert_close, mask_of, randomize

LENGTH, OTHER, OTHER_WIDTH = 7, 13, 11
MASK = mask_of((OTHER, 9), OTHER)


def random(length, width, seed):
    return np.random.default_rng(seed).normal(size=(BATCH, length, width)).astype("float32")


@pytest.fixture(scope="module")
def query():
    return random(LENGTH, WIDTH, 3)


@pytest.fixture(scope="module")
def value():
    return random(OTHER, OTHER_WIDTH, 4)


@pytest.fixture(scope="module")
def layer(query, value):
    layer = CrossAttention(HEADS, HEAD_SIZE)
    layer.build(query.shape, value.shape)
    randomize(layer)
    return layer


def test_is_the_attention_of_keras(layer, query, value):
    peer = keras.layers.MultiHeadAttention(HEADS, HEAD_SIZE)
    peer.build(query.shape, value.shape)
    for name in ("query", "key", "value", "output"):
        mine, theirs = getattr(layer, f"{name}_dense"), getattr(peer, f"{name}_dense")
        for attribute in ("kernel", "bias"):
            weight = getattr(theirs, attribute)
            weight.assign(np.reshape(getattr(mine, attribute), weight.shape))
    expected = peer(query, value, attention_mask=MASK[:, None, :], return_attention_scores=True)
    found = layer(query, value, attention_mask=MASK, return_attention_scores=True)
    assert_close(found[0], expected[0])
    assert_close(found[1], expected[1])
    assert_close(layer(query, value), peer(query, value))


@pytest.mark.parametrize("rows", [1, 3])
def test_several_rows_read_one_document(layer, query, value, rows):
    """Each of them as if the document had been repeated for it."""
    queries = np.concatenate([query * (row + 1) for row in range(rows)], axis=1)
    queries = queries.reshape(BATCH * rows, LENGTH, WIDTH)
    expected = layer(queries, np.repeat(value, rows, 0), attention_mask=np.repeat(MASK, rows, 0))
    memory = layer.project_memory(keras.ops.convert_to_tensor(value))
    mask = keras.ops.convert_to_tensor(MASK.astype("float32"))
    found = layer.attend_to_memory(keras.ops.convert_to_tensor(queries), memory, mask)
    assert_close(found, expected)


def test_a_mask_of_zeros_is_finite(layer, query, value):
    assert np.isfinite(layer(query, value, attention_mask=MASK * 0)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"query": np.ones((BATCH, WIDTH))}, r"`query` must be of shape.*query.shape=\(2, 21\)"),
        ({"value": np.ones((BATCH, OTHER_WIDTH))}, "`value` must be of shape"),
        ({"value": np.ones((5, OTHER, OTHER_WIDTH))}, "must have one batch size.*value.shape=.5"),
        ({"attention_mask": np.ones((BATCH, LENGTH))}, "`attention_mask` must be of shape"),
    ],
    ids=["query", "value", "batch", "mask"],
)
def test_impossible_shapes(layer, query, value, changed, message):
    with pytest.raises(ValueError, match=message):
        layer(**{"query": query, "value": value, "attention_mask": MASK, **changed})
