"""Every field and argument of a layer, with a value of its own, found again where it acts."""

import dataclasses
import inspect

import keras
import pytest

from bigbird_tf.attention import BlockSparseAttention, CausalAttention
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers import (
    BigBirdEmbeddings,
    ClassificationHead,
    Encoder,
    EncoderBlock,
    FeedForward,
    LanguageModelHead,
    LinearHead,
    Pooler,
    PreTrainingHead,
    QuestionAnsweringHead,
)
from bigbird_tf.nn.activations import get_activation

# No two numbers are alike, and none is a default.
FIELDS = {
    "vocab_size": 59,
    "hidden_size": 21,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 13,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.11,
    "attention_probs_dropout_prob": 0.12,
    "max_position_embeddings": 67,
    "type_vocab_size": 5,
    "initializer_range": 0.31,
    "layer_norm_eps": 0.014,
    "attention_type": "simulated_sparse",
    "use_bias": False,
    "rescale_embeddings": True,
    "block_size": 8,
    "num_random_blocks": 2,
    "classifier_dropout": 0.17,
    "classifier_act": "silu",
    "num_labels": 6,
    "num_global_blocks": 9,
    "num_window_blocks": 7,
    "random_plan": "transformers",
    "inference_random_blocks": "first_block",
    "full_attention_up_to": 33,
}
CONFIG = BigBirdConfig(**FIELDS)


def assert_dense(dense, units, activation="linear", use_bias=True):
    assert (dense.units, dense.use_bias) == (units, use_bias)
    assert dense.activation is get_activation(activation)
    assert_initial(dense.kernel_initializer)


def assert_initial(initializer):
    assert isinstance(initializer, keras.initializers.RandomNormal)
    assert (initializer.mean, initializer.stddev) == (0.0, 0.31)


def assert_feed_forward(layer):
    assert_dense(layer.intermediate_dense, 13)
    assert_dense(layer.output_dense, 21)
    assert layer.activation is get_activation("relu")
    assert layer.dropout.rate == 0.11
    assert layer.layer_norm.epsilon == 0.014


PATTERN = {
    "num_heads": 3, "block_size": 8, "num_random_blocks": 2, "num_window_blocks": 7,
    "num_global_blocks": 9, "random_plan": "transformers",
    "inference_random_blocks": "first_block", "full_attention_up_to": 33, "max_length": 67,
    "seed": 4, "relative_pos_max_distance": 0, "num_side_blocks": 0,
}  # fmt: skip
PROJECTIONS = {
    "key_dim": 5, "dropout": 0.12, "use_bias": False, "use_output_bias": True,
    "kernel_initializer": "he_normal", "bias_initializer": "ones",
}  # fmt: skip


def assert_attention(layer, given):
    layer.build((2, 40, 21), (2, 40, 11), (2, 40, 17))
    assert layer.dropout_layer.rate == 0.12
    denses = {
        "query": (layer.query_dense, (21, 15), False),
        "key": (layer.key_dense, (17, 15), False),
        "value": (layer.value_dense, (11, 15), False),
        "output": (layer.output_dense, (15, 21), True),
    }
    for name, (dense, shape, use_bias) in denses.items():
        assert (dense.name, tuple(dense.kernel.shape), dense.use_bias) == (name, shape, use_bias)
        assert isinstance(dense.kernel_initializer, keras.initializers.HeNormal), name
        assert isinstance(dense.bias_initializer, keras.initializers.Ones), name
        assert dense.dtype_policy.name == "mixed_bfloat16", name
    for name, value in given.items():
        if not name.endswith("initializer"):
            assert layer.get_config()[name] == value, name


def test_attention():
    given = {**PATTERN, **PROJECTIONS, "attention_type": "simulated_sparse"}
    assert set(inspect.signature(BlockSparseAttention).parameters) - {"kwargs"} == set(given)
    layer = BlockSparseAttention(**given, dtype="mixed_bfloat16")
    assert layer.spec == PatternSpec(
        num_heads=3, block_size=8, num_random_blocks=2, window_before=3, window_after=3,
        num_global_start=5, num_global_end=4, random_plan="transformers",
        inference_random_blocks="first_block", full_attention_up_to=33, max_length=67, seed=4,
    )  # fmt: skip
    assert layer.attention_type == "simulated_sparse"
    assert_attention(layer, given)


def test_causal_attention():
    given = {"num_heads": 3, **PROJECTIONS, "attention_type": "original_full"}
    assert_attention(CausalAttention(**given, dtype="mixed_bfloat16"), given)
    config = CONFIG.replace(is_decoder=True, attention_type="original_full")
    layer = EncoderBlock(config).attention
    assert (layer.num_heads, layer.key_dim, layer.dropout_layer.rate) == (3, 7, 0.12)
    assert (layer.use_bias, layer.use_output_bias) == (False, True)
    assert_initial(layer.kernel_initializer)


def test_causal_attention_of_a_block():
    """Full whatever `attention_type` says, or sparse if asked for; of the pattern its past."""
    decoder = CONFIG.replace(is_decoder=True)
    assert EncoderBlock(decoder).attention.attention_type == "original_full"
    config = decoder.replace(causal_attention_type="block_sparse")
    layer = EncoderBlock(config, layer_index=3).attention
    assert type(layer) is CausalAttention
    assert layer.attention_type == "block_sparse"
    assert layer.causal_spec == config.pattern_spec(3) == PatternSpec(
        num_heads=3, block_size=8, num_random_blocks=2, window_before=3, num_global_start=5,
        max_length=67, seed=3, is_causal=True,
    )  # fmt: skip
    # What is no decoder's attends to both sides, as before.
    encoder = CONFIG.replace(causal_attention_type="block_sparse")
    assert type(EncoderBlock(encoder).attention) is BlockSparseAttention


def test_attention_of_a_block():
    """All that attention takes is the config's, or is said here to be no field of it."""
    block = EncoderBlock(CONFIG, layer_index=3)
    found = block.attention.get_config()
    assert {name: found[name] for name in inspect.signature(BlockSparseAttention).parameters
            if name in found} == {
        "num_heads": 3, "key_dim": 7, "block_size": 8, "num_random_blocks": 2,
        "num_window_blocks": 7, "num_global_blocks": 9, "dropout": 0.12, "use_bias": False,
        "use_output_bias": True, "attention_type": "simulated_sparse",
        "random_plan": "transformers", "inference_random_blocks": "first_block",
        "full_attention_up_to": 33, "max_length": 67, "seed": 3,
        "relative_pos_max_distance": 0, "num_side_blocks": 0,
        "kernel_initializer": found["kernel_initializer"],
        "bias_initializer": found["bias_initializer"],
    }  # fmt: skip
    assert_initial(block.attention.kernel_initializer)
    assert isinstance(block.attention.bias_initializer, keras.initializers.Zeros)
    assert block.attention.dropout_layer.rate == 0.12


def test_block():
    block = EncoderBlock(CONFIG, layer_index=3)
    assert type(block.attention) is BlockSparseAttention
    assert block.dropout.rate == 0.11
    assert block.layer_norm.epsilon == 0.014
    assert_feed_forward(block.feed_forward)
    decoder = CONFIG.replace(is_decoder=True, attention_type="original_full")
    assert type(EncoderBlock(decoder).attention) is CausalAttention


def test_seeds_drawn_ahead_are_those_of_the_three_dropouts():
    """In their order: attention's, the block's, the feed-forward layers'; `None` without a rate."""
    for fields, drawn in (
        ({}, [True, True, True]),
        ({"attention_probs_dropout_prob": 0.0}, [False, True, True]),
        ({"hidden_dropout_prob": 0.0}, [True, False, False]),
    ):
        seeds = EncoderBlock(CONFIG.replace(**fields)).draw_seeds()
        assert [seed is not None for seed in seeds] == drawn


def test_encoder():
    encoder = Encoder(CONFIG)
    assert [block.attention.seed for block in encoder.blocks] == [0, 1, 2, 3]
    assert [block.layer_index for block in encoder.blocks] == [0, 1, 2, 3]
    assert all(block.config == CONFIG for block in encoder.blocks)


def test_embeddings():
    layer = BigBirdEmbeddings(CONFIG)
    tables = layer.word_embeddings, layer.position_embeddings, layer.token_type_embeddings
    sizes = [(table.input_dim, table.output_dim) for table in tables]
    assert sizes == [(59, 21), (67, 21), (5, 21)]
    for table in tables:
        assert_initial(table.embeddings_initializer)
    assert layer.dropout.rate == 0.11
    assert layer.layer_norm.epsilon == 0.014
    assert layer.config.rescale_embeddings


def test_feed_forward():
    assert_feed_forward(FeedForward(CONFIG))


def test_pooler():
    assert_dense(Pooler(CONFIG).dense, 21, activation="tanh")


@pytest.mark.parametrize(
    ("fields", "rate", "activation"),
    [
        ({}, 0.17, "silu"),
        ({"classifier_dropout": None}, 0.11, "silu"),
        ({"classifier_dropout": 0.0}, 0.0, "silu"),
        ({"classifier_act": None}, 0.17, "relu"),
    ],
)
def test_classification_head(fields, rate, activation):
    head = ClassificationHead(CONFIG.replace(**fields))
    assert_dense(head.dense, 21)
    assert_dense(head.output_dense, 6)
    assert head.activation is get_activation(activation)
    assert (head.input_dropout.rate, head.output_dropout.rate) == (rate, rate)


def test_linear_head():
    head = LinearHead(CONFIG, 19, 0.23)
    assert_dense(head.dense, 19)
    assert head.dropout.rate == 0.23


def assert_language_model_head(head):
    assert_dense(head.dense, 21)
    assert head.activation is get_activation("relu")
    assert head.layer_norm.epsilon == 0.014
    assert head.bias.shape == (59,)


def test_language_model_head():
    head = LanguageModelHead(CONFIG)
    head.build((None, None, 21))
    assert_language_model_head(head)
    assert head.decoder is None
    untied = LanguageModelHead(CONFIG.replace(tie_word_embeddings=False))
    assert_dense(untied.decoder, 59, use_bias=False)


def test_pre_training_head():
    head = PreTrainingHead(CONFIG)
    head.build((None, None, 21))
    assert_language_model_head(head.predictions)
    assert_dense(head.seq_relationship, 2)


def test_question_answering_head():
    head = QuestionAnsweringHead(CONFIG)
    assert head.dropout.rate == 0.11
    assert_feed_forward(head.feed_forward)
    assert_dense(head.output_dense, 2)


def test_dtype_of_all_parts():
    for layer in (
        EncoderBlock(CONFIG, dtype="mixed_bfloat16"),
        BigBirdEmbeddings(CONFIG, dtype="mixed_bfloat16"),
        ClassificationHead(CONFIG, dtype="mixed_bfloat16"),
        LinearHead(CONFIG, 3, 0.1, dtype="mixed_bfloat16"),
        PreTrainingHead(CONFIG, dtype="mixed_bfloat16"),
        QuestionAnsweringHead(CONFIG, dtype="mixed_bfloat16"),
        Pooler(CONFIG, dtype="mixed_bfloat16"),
    ):
        names = {part.dtype_policy.name for part in layer._flatten_layers()}
        assert names == {"mixed_bfloat16"}, type(layer).__name__


def test_no_field_is_forgotten():
    """Switches are tested by themselves; ids, names and kinds of labels, and global tokens beside
    the sequence act in models.
    """
    elsewhere = {
        "pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "is_decoder", "id2label",
        "label2id", "problem_type", "pos_weight", "gradient_checkpointing", "tie_word_embeddings",
        "causal_attention_type", "extra", "construction", "num_global_tokens", "global_reads",
        "position_embedding_type", "relative_pos_max_distance",
    }  # fmt: skip
    assert {field.name for field in dataclasses.fields(BigBirdConfig)} == {*FIELDS, *elsewhere}
    defaults = BigBirdConfig()
    assert all(getattr(defaults, name) != value for name, value in FIELDS.items())
