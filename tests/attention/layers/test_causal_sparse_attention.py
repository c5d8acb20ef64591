"""Block-sparse attention with a causal mask: of `BlockSparseAttention`, and of decoders."""

from typing import ClassVar

import keras
import numpy as np
import pytest

from bigbird_tf import BlockSparseAttention
from bigbird_tf.attention import CausalAttention
from tests.attention.layers.test_block_sparse_attention import inputs, keras_attention_like
from tests.backends import compiled
from tests.contract import (
    BATCH,
    BLOCK,
    HEAD_SIZE,
    HEADS,
    LENGTH,
    LONGEST,
    WIDTH,
    assert_close,
    mask_of,
    randomize,
)
from tests.layer_contract import LayerContract

SIZES = {"block_size": BLOCK, "num_random_blocks": 1, "max_length": LONGEST}


def made_and_random(layer_class=CausalAttention, attention_type="block_sparse", **kwargs):
    layer = layer_class(
        HEADS, HEAD_SIZE, attention_type=attention_type, **{**SIZES, "seed": 3, **kwargs}
    )
    layer.build((BATCH, LENGTH, WIDTH))
    randomize(layer)
    return layer


class TestContract(LayerContract):
    trainable_weights = 8
    states = 0
    parameters = 4 * (WIDTH * WIDTH + WIDTH)
    options: ClassVar[dict] = {"num_window_blocks": (2, 0), "num_global_blocks": (2, 1)}

    def make(self, **kwargs):
        return CausalAttention(
            HEADS, HEAD_SIZE, attention_type="block_sparse", **SIZES, **self.options, **kwargs
        )

    def test_padding_is_invisible(self, layer):
        x, mask = inputs(), mask_of()
        changed = np.where(mask[:, :, None] == 1, x, 3 * x[:, ::-1])
        expected = np.asarray(layer(x, attention_mask=mask))[mask == 1]
        assert_close(np.asarray(layer(changed, attention_mask=mask))[mask == 1], expected)


@pytest.mark.parametrize("length", [2, 16, 17, 37, 61])
@pytest.mark.parametrize("attention_type", ["block_sparse", "original_full", "simulated_sparse"])
def test_keras_attention_under_the_patterns_mask(length, attention_type):
    """Of `BlockSparseAttention`, whose call asks for it as that of Keras' attention does."""
    layer = made_and_random(BlockSparseAttention, attention_type, num_random_blocks=1)
    x = inputs(length)
    mask = mask_of((length, max(1, length - 6)), length).astype(bool)
    allowed = np.broadcast_to(mask[:, None, None, :], (BATCH, HEADS, length, length)).copy()
    is_sparse = attention_type != "original_full" and length > 16
    if is_sparse:
        dense = layer.pattern(length, use_causal_mask=True).to_dense_mask()
        allowed &= np.kron(dense, np.ones((BLOCK, BLOCK), bool))[None, :, :length, :length] > 0
    oracle = keras_attention_like(layer)
    expected, expected_weights = oracle(
        x, x, attention_mask=allowed, use_causal_mask=True, return_attention_scores=True
    )
    output, weights = layer(
        x, attention_mask=mask, use_causal_mask=True, return_attention_scores=True
    )
    real = mask
    assert_close(np.asarray(output)[real], np.asarray(expected)[real])
    alone = np.asarray(layer(x, attention_mask=mask, use_causal_mask=True))
    assert_close(alone[real], np.asarray(expected)[real])
    rows = np.broadcast_to(mask[:, None, :, None], weights.shape)
    assert_close(np.asarray(weights)[rows], np.asarray(expected_weights)[rows])
    # Without it, the same layer reads both sides.
    assert np.abs(np.asarray(layer(x, attention_mask=mask)) - alone).max() > 1e-3


def test_a_decoders_layer_is_the_call_with_a_mask():
    x = inputs(61)
    decoder, layer = made_and_random(), made_and_random(BlockSparseAttention)
    layer.set_weights(decoder.get_weights()[:8] + layer.get_weights()[8:])
    assert_close(decoder(x), layer(x, use_causal_mask=True))
    assert decoder.longest_full_attention == 16
    assert layer.longest_full_attention == 28
    np.testing.assert_array_equal(
        decoder.pattern(61).key_blocks, layer.pattern(61, use_causal_mask=True).key_blocks
    )


def test_in_a_model_of_the_users_own():
    tokens = keras.Input((None, WIDTH))
    attention = BlockSparseAttention(HEADS, HEAD_SIZE, **SIZES)
    model = keras.Model(tokens, attention(tokens, use_causal_mask=True))
    again = model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = inputs(61)
    assert_close(model(x), attention(x, use_causal_mask=True))
    assert_close(again(x), model(x))
    changed = np.concatenate([x[:, :40], -x[:, 40:]], axis=1)
    np.testing.assert_allclose(
        np.asarray(model(changed))[:, :40], np.asarray(model(x))[:, :40], atol=1e-6
    )


@pytest.mark.parametrize(
    ("is_compiled", "pattern"),
    [
        (False, {}),
        (True, {}),
        (False, {"num_window_blocks": (0, 0), "num_global_blocks": 0, "num_random_blocks": 2}),
        (False, {"num_window_blocks": (3, 0), "num_random_blocks": 0, "num_global_blocks": (2, 0)}),
        # More than there are: nothing is ever dropped from the cache.
        (False, {"num_window_blocks": (20, 0)}),
    ],
    ids=str,
)
def test_with_cache_token_by_token(is_compiled, pattern):
    """Prompts of several lengths side by side, each read from its own first block on."""
    layer = made_and_random(**pattern)
    x = inputs(LONGEST, batch=3)
    expected = np.asarray(layer(x))
    lengths = np.array([13, 1, 8], "int32")
    mask = (np.arange(13) < lengths[:, None]).astype("int32")
    first, cache = layer.call_with_cache(np.where(mask[..., None] == 1, x[:, :13], 9.0), mask)
    assert_close(np.asarray(first)[mask == 1], expected[:, :13][mask == 1])
    spec = layer.causal_spec
    most = spec.random_pool.stop + spec.window_before + 1
    assert cache[0].shape[2] == BLOCK * min(most, 16)

    def read_token(token, index, *cache):
        return layer.call_with_cache(token, cache=cache, index=index)

    step = compiled(read_token, jit_compile=is_compiled)
    for t in range(LONGEST - 13):
        index = lengths + t
        token = x[np.arange(3), index][:, None]
        one, cache = step(token, index, *cache)
        assert_close(np.asarray(one)[:, 0], expected[np.arange(3), index])
