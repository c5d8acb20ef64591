"""Every field of a `BigBirdPegasusConfig`, found again in the layer where it acts."""

import inspect

import keras
import pytest

from bigbird_tf.attention import BlockSparseAttention, CausalAttention, CrossAttention
from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers import (
    ClassificationHead,
    Decoder,
    DecoderBlock,
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
    }  # fmt: skip
    assert_initial(attention.kernel_initializer)
    assert (block.dropout.rate, block.layer_norm.epsilon) == (0.11, 0.014)
    # As in the originals, an encoder drops nothing inside of its feed-forward layers.
    assert_feed_forward(block.feed_forward, 13, 0.0)


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
