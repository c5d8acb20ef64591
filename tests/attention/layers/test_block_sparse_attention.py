import json
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BlockSparseAttention
from tests.contract import (
    BATCH,
    BLOCK,
    HEAD_SIZE,
    HEADS,
    LENGTH,
    LONGEST,
    WIDTH,
    as_function,
    assert_close,
    mask_of,
    randomize,
)
from tests.layer_contract import LayerContract

SIZES = {"num_heads": HEADS, "key_dim": HEAD_SIZE, "block_size": BLOCK, "num_random_blocks": 1}


def make(**kwargs) -> BlockSparseAttention:
    return BlockSparseAttention(**{**SIZES, "max_length": LONGEST, **kwargs})


def made_and_random(**kwargs) -> BlockSparseAttention:
    layer = make(**kwargs)
    layer.build((BATCH, LENGTH, WIDTH))
    randomize(layer)
    return layer


def inputs(length=LENGTH, batch=BATCH, seed=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, length, WIDTH)).astype(np.float32)


class AttentionContract(LayerContract):
    """Four projections of 21 × 21 with biases."""

    options: ClassVar[dict] = {}
    trainable_weights = 8
    states = 1
    parameters = 4 * (21 * 21 + 21)

    def make(self, **kwargs):
        return make(dropout=0.1, **self.options, **kwargs)

    def arguments(self):
        return [inputs()]

    def test_padding_is_invisible(self):
        layer, x, mask = made_and_random(**self.options), inputs(), mask_of()
        real = mask.astype(bool)
        changed = np.where(real[:, :, None], x, 3 * x[:, ::-1])
        expected = np.asarray(layer(x, attention_mask=mask))
        others = mask.astype(bool), mask.astype(np.int64), mask.astype(np.float16)
        for given in others:
            again = np.asarray(layer(changed, attention_mask=given))
            assert_close(again[real], expected[real])
        longer = layer(
            np.pad(changed, [(0, 0), (0, 3), (0, 0)]), attention_mask=np.pad(mask, [(0, 0), (0, 3)])
        )
        assert_close(np.asarray(longer)[:, :LENGTH][real], expected[real])


class TestBlockSparse(AttentionContract):
    def test_padded_queries_give_the_bias(self):
        layer, mask = made_and_random(), mask_of()
        output = np.asarray(layer(inputs(), attention_mask=mask))[mask == 0]
        expected = np.broadcast_to(layer.output_dense.bias, output.shape)
        np.testing.assert_allclose(output, expected, rtol=1e-6)


class TestOriginalFull(AttentionContract):
    options: ClassVar[dict] = {"attention_type": "original_full"}


class TestSimulatedSparse(AttentionContract):
    options: ClassVar[dict] = {"attention_type": "simulated_sparse", "num_window_blocks": 1}


class TestOtherPattern(AttentionContract):
    """A wider, unsymmetric window, global blocks mostly at the end, and no random ones."""

    options: ClassVar[dict] = {
        "num_window_blocks": (3, 1),
        "num_global_blocks": (1, 2),
        "num_random_blocks": 0,
    }

    def make(self, **kwargs):
        return BlockSparseAttention(
            **{**SIZES, **self.options}, dropout=0.1, max_length=LONGEST, **kwargs
        )


def keras_attention_like(layer):
    """Returns Keras' own attention with the same weights: an oracle that is not ours."""
    oracle = keras.layers.MultiHeadAttention(HEADS, HEAD_SIZE)
    oracle.build((BATCH, LENGTH, WIDTH), (BATCH, LENGTH, WIDTH))
    split = (WIDTH, HEADS, HEAD_SIZE)
    weights = []
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        kernel, bias = dense.get_weights()
        weights += [kernel.reshape(split), bias.reshape(split[1:])]
    kernel, bias = layer.output_dense.get_weights()
    oracle.set_weights([*weights, kernel.reshape(HEADS, HEAD_SIZE, WIDTH), bias])
    return oracle


@pytest.mark.parametrize("length", [2, 19, 28, 29, 37, 61])
@pytest.mark.parametrize("attention_type", ["block_sparse", "original_full", "simulated_sparse"])
def test_keras_attention_under_the_patterns_mask(length, attention_type):
    layer = made_and_random(attention_type=attention_type, seed=2)
    x = inputs(length)
    mask = mask_of((length, max(1, length - 6)), length).astype(bool)
    allowed = np.broadcast_to(mask[:, None, None, :], (BATCH, HEADS, length, length)).copy()
    is_sparse = attention_type != "original_full" and length > 28
    if is_sparse:
        dense = layer.pattern(length).to_dense_mask()
        assert dense.max() == 1
        allowed &= np.kron(dense, np.ones((BLOCK, BLOCK), bool))[None, :, :length, :length] > 0
    oracle = keras_attention_like(layer)
    expected, expected_weights = [], []
    for head in range(HEADS):
        # Keras takes one mask for all heads, so each head is asked in its turn.
        _, weights = oracle(x, x, attention_mask=allowed[:, head], return_attention_scores=True)
        expected_weights.append(weights[:, head])
    expected_weights = np.stack(expected_weights, axis=1)
    values = np.asarray(layer.value_dense(x)).reshape(BATCH, length, HEADS, HEAD_SIZE)
    context = np.einsum("bnqk,bknh->bqnh", expected_weights, values)
    expected = np.asarray(layer.output_dense(context.reshape(BATCH, length, WIDTH)))
    np.testing.assert_allclose(
        np.asarray(layer(x, attention_mask=mask))[mask], expected[mask], atol=1e-5
    )
    output, weights = layer(x, attention_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(np.asarray(output)[mask], expected[mask], atol=1e-5)
    weights = np.moveaxis(weights, 1, 2)[mask]
    np.testing.assert_allclose(weights, np.moveaxis(expected_weights, 1, 2)[mask], atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


class TestRepeats:
    """1,024 tokens in blocks of 64: the last block counts twice in some rows."""

    length = 1024

    def layer(self, **kwargs):
        layer = BlockSparseAttention(2, 3, num_random_blocks=3, seed=1, **kwargs)
        layer.build((1, self.length, 5))
        randomize(layer)
        return layer

    def x(self):
        return np.random.default_rng(0).normal(size=(1, self.length, 5)).astype("float32")

    def test_weights_on_request_and_output(self):
        layer, x = self.layer(), self.x()
        assert layer.pattern(self.length).to_dense_mask().max() == 2
        expected = layer(x)
        output, weights = layer(x, return_attention_scores=True)
        assert_close(output, expected)
        np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-5)

    def test_simulated_sparse_counts_once(self):
        difference = self.layer()(self.x()) - self.layer(attention_type="simulated_sparse")(
            self.x()
        )
        rows = np.abs(difference).max(axis=(0, 2)).reshape(16, 64).max(axis=1)
        repeats = (self.layer().pattern(self.length).to_dense_mask() == 2).any(axis=(0, 2))
        assert repeats.any()
        assert not repeats.all()
        np.testing.assert_array_equal(rows > 1e-5, repeats)


def test_one_token():
    layer, x = made_and_random(), inputs(1)
    expected = layer.output_dense(layer.value_dense(x))
    assert_close(layer(x), expected)
    _, weights = layer(x, return_attention_scores=True)
    np.testing.assert_array_equal(weights, np.ones((BATCH, HEADS, 1, 1)))


def test_first_block_outside_of_training_only():
    layer = made_and_random(inference_random_blocks="first_block")
    seeded = made_and_random()
    x = inputs()
    assert_close(layer(x, training=True), seeded(x, training=True))
    assert np.abs(layer(x) - seeded(x)).max() > 1e-3
    assert (layer.pattern(LENGTH).random_blocks == 0).all()
    assert (layer.pattern(LENGTH, training=True).random_blocks > 0).all()
    assert_close(as_function(layer, [x], dynamic=True)(x), layer(x))


def test_seeds_draw_different_blocks():
    x = inputs()
    assert np.abs(made_and_random(seed=0)(x) - made_and_random(seed=1)(x)).max() > 1e-3


def test_the_length_decides_each_call():
    layer = made_and_random()
    full = made_and_random(attention_type="original_full")
    dynamic = as_function(layer, [inputs()], dynamic=True)
    for length in (28, 29, 5, 61, 28, 1):
        x = inputs(length)
        output = layer(x)
        assert_close(dynamic(x), output)
        is_full = np.abs(output - full(x)).max() < 1e-5
        assert is_full == (length <= 28), length


def test_full_attention_up_to():
    full = made_and_random(attention_type="original_full")
    for limit, lengths in ((33, (33, 34)), (0, (8, 57)), (44, (44, 45))):
        layer = made_and_random(full_attention_up_to=limit)
        assert layer.longest_full_attention == max(limit, 8)
        for length, is_full in zip(lengths, (True, False), strict=True):
            x = inputs(length)
            assert (np.abs(layer(x) - full(x)).max() < 1e-5) == is_full


@pytest.mark.parametrize("dynamic", [False, True])
def test_too_few_blocks_to_choose_from_is_full_attention(dynamic):
    """Google's limit of 512 leaves lengths for which its own code fails: 576 to 704."""
    options = {"num_heads": 2, "key_dim": 3, "full_attention_up_to": 512, "max_length": 1024}
    layers = [
        BlockSparseAttention(**options, attention_type=kind)
        for kind in ("block_sparse", "original_full")
    ]
    for layer in layers:
        layer.build((1, 704, 5))
        randomize(layer)
    sparse, full = layers
    call = sparse
    if dynamic:
        call = tf.function(sparse, input_signature=[tf.TensorSpec([None, None, 5])])
    for length, is_full in ((512, True), (576, True), (704, True), (705, False)):
        x = np.random.default_rng(0).normal(size=(1, length, 5)).astype("float32")
        assert (np.abs(call(x) - full(x)).max() < 1e-5) == is_full, length
    with pytest.raises(ValueError, match="too short for its random blocks"):
        sparse.pattern(704)


def test_dropout_acts_in_full_attention_only():
    layer = made_and_random(dropout=0.5)
    long, short = inputs(), inputs(23)
    assert_close(layer(long, training=True), layer(long))
    assert np.abs(layer(short, training=True) - layer(short)).max() > 1e-2
    assert_close(layer(short, training=False), layer(short))


def test_value_and_key_of_their_own():
    layer = made_and_random()
    query, value, key = (inputs(seed=seed) for seed in range(3))
    x = layer(query, value, key)
    assert np.abs(x - layer(query, value)).max() > 1e-2
    assert_close(layer(query, value, value), layer(query, value))
    assert_close(layer(query, query, query), layer(query))
    dynamic = as_function(layer, [query, value, key], dynamic=True)
    assert_close(dynamic(query, value, key), x)
    weighted, _ = layer(query, value, key, return_attention_scores=True)
    assert_close(weighted, x)
    # Features may differ, too.
    layer = make()
    other = inputs()[:, :, :5]
    assert layer(query, other).shape == (BATCH, LENGTH, WIDTH)
    assert layer.key_dense.kernel.shape == (5, WIDTH)
    layer = make()
    layer.build(query.shape, other.shape, query.shape)
    assert layer.value_dense.kernel.shape == (5, WIDTH)
    assert layer.key_dense.kernel.shape == (WIDTH, WIDTH)


def test_biases():
    for options, biases in (
        ({}, 4),
        ({"use_bias": False}, 0),
        ({"use_bias": False, "use_output_bias": True}, 1),
        ({"use_output_bias": False}, 3),
    ):
        layer = made_and_random(**options)
        assert sum(w.path.endswith("bias") for w in layer.weights) == biases
        assert layer(inputs()).shape == (BATCH, LENGTH, WIDTH)


def test_kernels_start_differently():
    layer = make(kernel_initializer=keras.initializers.RandomNormal(seed=3))
    layer.build((BATCH, LENGTH, WIDTH))
    assert len({w.path for w in layer.weights}) == 8
    default = make()
    default.build((BATCH, LENGTH, WIDTH))
    assert not np.allclose(default.query_dense.kernel, default.key_dense.kernel)


def test_masks_of_keras_are_used_and_handed_on():
    ids = np.random.default_rng(0).integers(1, 11, (BATCH, LENGTH)) * mask_of()
    embedding = keras.layers.Embedding(11, WIDTH, mask_zero=True)
    layer = made_and_random()
    embedded = embedding(ids)
    output = layer(embedded)
    plain = tf.identity(embedded)
    assert_close(output, layer(plain, attention_mask=mask_of()))
    assert np.abs(output - layer(plain)).max() > 1e-3
    np.testing.assert_array_equal(output._keras_mask, mask_of().astype(bool))
    assert_close(layer(embedded, attention_mask=np.ones_like(ids)), layer(plain))
    assert_close(layer(embedded, plain), output)
    # As in a model that is built of layers.
    inputs = keras.Input((None,))
    model = keras.Model(inputs, layer(embedding(inputs)))
    assert_close(model(ids), output)


@pytest.mark.parametrize("length", [23, LENGTH])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_finite_with_any_mask(length, dtype):
    layer = made_and_random(dtype=dtype)
    x = inputs(length, batch=3)
    mask = np.zeros((3, length), int)
    mask[1, 4] = mask[2, -1] = 1
    output = tf.cast(layer(x, attention_mask=mask), "float32")
    assert np.isfinite(output).all()
    if length == LENGTH:
        np.testing.assert_allclose(
            output[0], np.broadcast_to(layer.output_dense.bias, output[0].shape), rtol=1e-2
        )


def test_settings_survive_json():
    options = {
        "num_window_blocks": 5,
        "num_global_blocks": 3,
        "dropout": 0.2,
        "use_bias": False,
        "use_output_bias": True,
        "attention_type": "simulated_sparse",
        "random_plan": "transformers",
        "inference_random_blocks": "first_block",
        "full_attention_up_to": 57,
        "seed": 3,
        "kernel_initializer": "he_normal",
        "bias_initializer": "ones",
    }
    layer = make(**options)
    again = BlockSparseAttention.from_config(json.loads(json.dumps(layer.get_config())))
    for name, value in options.items():
        if not name.endswith("initializer"):
            assert getattr(again, name) == value
    assert isinstance(again.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(again.bias_initializer, keras.initializers.Ones)
