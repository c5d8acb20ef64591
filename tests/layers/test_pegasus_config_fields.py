"""Every field of a `BigBirdPegasusConfig`, found again in the layer where it acts."""

import inspect

import keras
import numpy as np
import pytest

from bigbird_tf.attention import BlockSparseAttention, CausalAttention, CrossAttention
from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers import (
    ClassificationHead,
    Decoder,
    DecoderBlock,
    Encoder,
    FeedForward,
    PreNormEncoder,
    PreNormEncoderBlock,
    PreNormFeedForward,
    ScaledEmbeddings,
    VocabularyHead,
)
from bigbird_tf.nn.activations import get_activation
from tests.layers.test_config_fields import PROJECTIONS, assert_dense, assert_initial

# No two numbers are alike, and none is a default.
CONFIG = BigBirdPegasusConfig(
    vocab_size=59,
    d_model=24,
    encoder_layers=4,
    decoder_layers=5,
    encoder_attention_heads=3,
    decoder_attention_heads=6,
    encoder_ffn_dim=13,
    decoder_ffn_dim=17,
    activation_function="relu",
    dropout=0.11,
    attention_dropout=0.12,
    activation_dropout=0.13,
    classifier_dropout=0.14,
    max_position_embeddings=67,
    init_std=0.31,
    layer_norm_eps=0.014,
    scale_embedding=False,
    use_bias=True,
    attention_type="simulated_sparse",
    block_size=8,
    num_random_blocks=2,
    num_global_blocks=9,
    num_window_blocks=7,
    random_plan="transformers",
    inference_random_blocks="first_block",
    full_attention_up_to=33,
    num_labels=10,
)


def assert_feed_forward(layer, width, activation_dropout):
    assert_dense(layer.intermediate_dense, width)
    assert_dense(layer.output_dense, 24)
    assert layer.activation is get_activation("relu")
    assert (layer.intermediate_size, layer.activation_dropout) == (width, activation_dropout)
    assert (layer.inner_dropout.rate, layer.dropout.rate) == (activation_dropout, 0.11)
    assert layer.layer_norm.epsilon == 0.014


def test_encoder():
    encoder = PreNormEncoder(CONFIG)
    assert [type(block) for block in encoder.blocks] == [PreNormEncoderBlock] * 4
    assert [block.attention.seed for block in encoder.blocks] == [0, 1, 2, 3]
    assert [block.name for block in encoder.blocks] == [f"layer_{i}" for i in range(4)]
    assert encoder.layer_norm.epsilon == 0.014


@pytest.mark.parametrize("use_bias", [True, False])
def test_encoder_block(use_bias):
    """The output of attention has a bias where its projections have."""
    block = PreNormEncoderBlock(CONFIG.replace(use_bias=use_bias), layer_index=3)
    attention = block.attention
    assert type(attention) is BlockSparseAttention
    found = attention.get_config()
    names = set(inspect.signature(BlockSparseAttention).parameters) & set(found)
    assert {name: found[name] for name in names if not name.endswith("initializer")} == {
        "num_heads": 3, "key_dim": 8, "block_size": 8, "num_random_blocks": 2,
        "num_window_blocks": 7, "num_global_blocks": 9, "dropout": 0.12, "use_bias": use_bias,
        "use_output_bias": use_bias, "attention_type": "simulated_sparse",
        "random_plan": "transformers", "inference_random_blocks": "first_block",
        "full_attention_up_to": 33, "max_length": 67, "seed": 3,
        "relative_pos_max_distance": 0, "num_side_blocks": 0,
    }  # fmt: skip
    assert_initial(attention.kernel_initializer)
    assert (block.dropout.rate, block.layer_norm.epsilon) == (0.11, 0.014)
    # As in the originals, an encoder drops nothing inside of its feed-forward layers.
    assert_feed_forward(block.feed_forward, 13, 0.0)


@pytest.mark.parametrize("use_bias", [True, False])
def test_blocks_of_post_norm(use_bias):
    """BigBird's own, without a bias of the output where projections have none."""
    config = rates(normalize_before=False, use_bias=use_bias)
    encoder = Encoder(config).blocks[3]
    decoder = DecoderBlock(config)
    assert [type(block.feed_forward) for block in (encoder, decoder)] == [FeedForward] * 2
    for block, width in ((encoder, 13), (decoder, 17)):
        assert block.attention.use_output_bias == use_bias
        assert_dense(block.feed_forward.intermediate_dense, width)
        assert_dense(block.feed_forward.output_dense, 24)
        assert block.feed_forward.layer_norm.epsilon == 0.014
    assert Decoder(config).layer_norm is None
    assert ScaledEmbeddings(config).layer_norm.epsilon == 0.014
    assert ScaledEmbeddings(CONFIG).layer_norm is None


def test_decoder():
    decoder = Decoder(CONFIG)
    assert [type(block) for block in decoder.blocks] == [DecoderBlock] * 5
    assert [block.name for block in decoder.blocks] == [f"layer_{i}" for i in range(5)]
    assert decoder.layer_norm.epsilon == 0.014


@pytest.mark.parametrize("use_bias", [True, False])
def test_decoder_block(use_bias):
    block = DecoderBlock(CONFIG.replace(use_bias=use_bias))
    kinds = {"attention": CausalAttention, "cross_attention": CrossAttention}
    for name, kind in kinds.items():
        layer = getattr(block, name)
        assert (type(layer), layer.name) == (kind, name)
        assert (layer.num_heads, layer.key_dim, layer.dropout_layer.rate) == (6, 4, 0.12)
        assert (layer.use_bias, layer.use_output_bias) == (use_bias, use_bias)
        assert_initial(layer.kernel_initializer)
    assert (block.dropout.rate, block.cross_dropout.rate) == (0.11, 0.11)
    assert (block.layer_norm.epsilon, block.cross_layer_norm.epsilon) == (0.014, 0.014)
    assert_feed_forward(block.feed_forward, 17, 0.13)


def test_cross_attention():
    given = {"num_heads": 3, **PROJECTIONS}
    parameters = inspect.signature(CrossAttention).parameters
    assert {*parameters} <= {*given, "kwargs"}
    layer = CrossAttention(**given, dtype="mixed_bfloat16")
    layer.build((2, 5, 21), (2, 7, 17))
    shapes = {"query": (21, 15), "key": (17, 15), "value": (17, 15), "output": (15, 21)}
    for name, shape in shapes.items():
        dense = getattr(layer, f"{name}_dense")
        assert (dense.name, tuple(dense.kernel.shape)) == (name, shape)
        assert dense.use_bias == (name == "output")
        assert isinstance(dense.kernel_initializer, keras.initializers.HeNormal), name
        assert isinstance(dense.bias_initializer, keras.initializers.Ones), name
    assert layer.dropout_layer.rate == 0.12


def test_feed_forward():
    assert_feed_forward(PreNormFeedForward(CONFIG, 19, 0.23), 19, 0.23)
    assert_feed_forward(PreNormFeedForward(CONFIG, 19), 19, 0.0)


def test_embeddings():
    layer = ScaledEmbeddings(CONFIG)
    table = layer.position_embeddings
    assert (table.input_dim, table.output_dim, table.name) == (67, 24, "position_embeddings")
    assert_initial(table.embeddings_initializer)
    assert layer.dropout.rate == 0.11


def test_classification_head():
    """Pegasus' own activation and rate."""
    head = ClassificationHead(CONFIG)
    assert_dense(head.dense, 24)
    assert_dense(head.output_dense, 10)
    assert head.activation is get_activation("tanh")
    assert (head.input_dropout.rate, head.output_dropout.rate) == (0.14, 0.14)
    assert ClassificationHead(CONFIG.replace(classifier_dropout=0.0)).input_dropout.rate == 0.0


@pytest.mark.parametrize("use_bias", [True, False])
def test_vocabulary_head(use_bias):
    head = VocabularyHead(CONFIG, use_bias=use_bias)
    head.build((None, None, 24))
    assert head.decoder is None
    assert [(w.shape, w.trainable) for w in head.weights] == [((59,), False)] * use_bias
    untied = VocabularyHead(CONFIG.replace(tie_word_embeddings=False), use_bias=use_bias)
    assert_dense(untied.decoder, 59, use_bias=False)
    assert VocabularyHead(CONFIG).use_bias is True


def rates(**fields):
    return CONFIG.replace(
        **{"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, **fields}
    )


@pytest.mark.parametrize(
    ("fields", "encoder", "decoder"),
    [
        # Attention's; the block's; then the feed-forward layers', inside and behind.
        ({"dropout": 0.1}, "0101", "010101"),
        ({"attention_dropout": 0.1}, "1000", "101000"),
        ({"activation_dropout": 0.1}, "0000", "000010"),
    ],
)
def test_seeds_drawn_ahead_are_those_of_the_dropouts_in_their_order(fields, encoder, decoder):
    for block_class, drawn in ((PreNormEncoderBlock, encoder), (DecoderBlock, decoder)):
        seeds = block_class(rates(**fields)).draw_seeds()
        assert "".join(str(int(seed is not None)) for seed in seeds) == drawn


def test_dtype_of_all_parts():
    for layer in (
        PreNormEncoder(CONFIG, dtype="mixed_bfloat16"),
        Decoder(CONFIG, dtype="mixed_bfloat16"),
        ScaledEmbeddings(CONFIG, dtype="mixed_bfloat16"),
        VocabularyHead(CONFIG.replace(tie_word_embeddings=False), dtype="mixed_bfloat16"),
    ):
        names = {part.dtype_policy.name for part in layer._flatten_layers()}
        assert names == {"mixed_bfloat16"}, type(layer).__name__


OUTPUTS = {
    PreNormEncoderBlock: ("attention.output_dense", "feed_forward.output_dense"),
    DecoderBlock: (
        "attention.output_dense",
        "cross_attention.output_dense",
        "feed_forward.output_dense",
    ),
}


@pytest.mark.parametrize("block_class", OUTPUTS)
@pytest.mark.parametrize("last", [False, True])
def test_dropout_acts_on_what_a_sublayer_adds_alone(block_class, last):
    """Where no sublayer adds anything, nothing is dropped; where one of them does, some is."""
    block = block_class(rates(dropout=0.5))
    block.build((2, 9, 24))
    rng = np.random.default_rng(3)
    inputs, document = (rng.normal(size=(2, size, 24)).astype("float32") for size in (9, 5))
    arguments = {"encoder_states": document} if block_class is DecoderBlock else {}
    for number, path in enumerate(OUTPUTS[block_class]):
        dense = block
        for name in path.split("."):
            dense = getattr(dense, name)
        for weight in dense.weights:
            weight.assign(np.zeros(weight.shape))
        if last and number == len(OUTPUTS[block_class]) - 1:
            dense.bias.assign(np.ones(24))
    found = np.asarray(block(inputs, **arguments, training=True)) - inputs
    if not last:
        np.testing.assert_allclose(found, 0, atol=1e-6)
    else:
        assert set(np.unique(found.round(4))) == {0.0, 2.0}


def test_dropout_of_the_activation_is_inside():
    layer = PreNormFeedForward(rates(), 13, 0.5)
    layer.build((2, 9, 24))
    layer.intermediate_dense.kernel.assign(np.zeros((24, 13)))
    layer.intermediate_dense.bias.assign(np.ones(13))
    layer.output_dense.kernel.assign(np.eye(13, 24))
    inputs = np.random.default_rng(3).normal(size=(2, 9, 24)).astype("float32")
    for training, values in ((True, {0.0, 2.0}), (False, {0.0, 1.0})):
        found = np.asarray(layer(inputs, training=training)) - inputs
        assert set(np.unique(found[:, :, :13].round(4))) <= values
        assert 2.0 not in values or {0.0, 2.0} <= set(np.unique(found[:, :, :13].round(4)))


def test_embeddings_are_scaled_and_then_dropped():
    rng = np.random.default_rng(3)
    words = rng.normal(size=(2, 9, 24)).astype("float32")
    for scale, factor in ((True, 24**0.5), (False, 1.0)):
        layer = ScaledEmbeddings(rates(dropout=0.5, scale_embedding=scale))
        layer.build()
        table = np.asarray(layer.position_embeddings.embeddings)
        expected = words * factor + table[:9]
        np.testing.assert_allclose(layer(words), expected, rtol=1e-5, atol=1e-5)
        places = rng.integers(0, 67, (2, 9))
        expected = words * factor + table[places]
        np.testing.assert_allclose(layer(words, places), expected, rtol=1e-5, atol=1e-5)
        dropped = np.asarray(layer(words, places, training=True))
        is_kept = dropped != 0
        assert 0.3 < is_kept.mean() < 0.7
        np.testing.assert_allclose(dropped[is_kept], 2 * expected[is_kept], rtol=1e-5, atol=1e-5)
