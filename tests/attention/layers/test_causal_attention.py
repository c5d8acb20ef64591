import keras
import numpy as np
import pytest

from bigbird_tf.attention import CausalAttention
from tests.contract import (
    BATCH,
    HEAD_SIZE,
    HEADS,
    LENGTH,
    WIDTH,
    assert_close,
    mask_of,
    randomize,
)
from tests.layer_contract import LayerContract


def make(**kwargs):
    return CausalAttention(HEADS, HEAD_SIZE, attention_type="original_full", **kwargs)


class TestContract(LayerContract):
    # Queries, keys, values, outputs: a kernel and a bias each.
    trainable_weights = 8
    states = 0
    parameters = 4 * (WIDTH * WIDTH + WIDTH)
    # Its second argument is `value`.

    def make(self, **kwargs):
        return make(**kwargs)

    def test_padding_is_invisible(self, layer):
        x, mask = inputs(), mask_of()
        changed = np.where(mask[:, :, None] == 1, x, 3 * x[:, ::-1])
        expected = np.asarray(layer(x, attention_mask=mask))[mask == 1]
        assert_close(np.asarray(layer(changed, attention_mask=mask))[mask == 1], expected)


@pytest.fixture
def layer():
    layer = make()
    layer.build((None, None, WIDTH))
    randomize(layer)
    return layer


def inputs():
    return np.random.default_rng(3).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")


def test_is_the_causal_attention_of_keras(layer):
    peer = keras.layers.MultiHeadAttention(HEADS, HEAD_SIZE)
    peer.build(inputs().shape, inputs().shape)
    for name in ("query", "key", "value", "output"):
        mine, theirs = getattr(layer, f"{name}_dense"), getattr(peer, f"{name}_dense")
        for attribute in ("kernel", "bias"):
            weight = getattr(theirs, attribute)
            weight.assign(np.reshape(getattr(mine, attribute), weight.shape))
    mask = mask_of()
    x = inputs()
    expected = peer(x, x, attention_mask=mask[:, None, :].astype(bool), use_causal_mask=True)
    assert_close(layer(x, attention_mask=mask), expected)


def test_with_cache_token_by_token(layer):
    x, mask = inputs(), mask_of()
    expected = np.asarray(layer(x, attention_mask=mask))
    prompt, room = 13, LENGTH
    first, cache = layer.call_with_cache(x[:, :prompt], mask[:, :prompt])
    assert_close(first, expected[:, :prompt])
    cache = [np.pad(part, ((0, 0), (0, 0), (0, room - prompt), (0, 0))) for part in cache]
    for index in range(prompt, LENGTH):
        used = mask * (np.arange(room) <= index)
        one, cache = layer.call_with_cache(x[:, index : index + 1], used, cache, index)
        real = mask[:, index] == 1
        assert_close(np.asarray(one)[real, 0], expected[real, index])


def test_weights_are_zero_after_the_query(layer):
    _, weights = layer(inputs(), attention_mask=mask_of(), return_attention_scores=True)
    weights = np.asarray(weights)
    after = np.triu(np.ones((LENGTH, LENGTH)), 1) == 1
    assert (weights[:, :, after] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_a_causal_mask_may_be_asked_for():
    """As with `keras.layers.MultiHeadAttention`; there is one anyway."""
    layer, x = make(), inputs()
    np.testing.assert_array_equal(layer(x, use_causal_mask=True), layer(x))
