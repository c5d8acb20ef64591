"""All public layers pass the test that Keras puts its own layers through."""

import keras
import numpy as np
import pytest
from absl.testing import parameterized
from keras.src import testing

from bigbird_tf import attention, layers, nn
from tests.contract import (
    HEAD_SIZE,
    HEADS,
    LENGTH,
    VOCABULARY,
    WIDTH,
    random_ids,
    tiny_config,
    tiny_pegasus_config,
)

HIDDEN = np.random.default_rng(5).normal(size=(2, LENGTH, WIDTH)).astype("float32")
POOLED = HIDDEN[:, 0]


def word_embeddings():
    table = nn.ReversibleEmbedding(VOCABULARY, WIDTH)
    table.build(None)
    return table


def of_config(**fields):
    return {"config": tiny_config(**fields)}


def of_pair(**arguments):
    return {"config": tiny_pegasus_config(), **arguments}


# Name: arguments of the layer, and of the test where they are not the defaults. What a head reads
# besides its inputs, the test's training step does not hand on.
LAYERS = {
    "BlockSparseAttention": (
        {"num_heads": HEADS, "key_dim": HEAD_SIZE, "block_size": 4, "num_random_blocks": 1},
        {"supports_masking": True},
    ),
    "CausalAttention": (
        {"num_heads": HEADS, "key_dim": HEAD_SIZE, "dropout": 0.1},
        {"supports_masking": True},
    ),
    "BigBirdEmbeddings": (of_config(), {"input_data": random_ids()}),
    "ClassificationHead": (of_config(num_labels=3), {"expected_output_shape": (2, 3)}),
    # The test's training step makes a `tf.data.Dataset` of outputs, which may hold no lists.
    "Encoder": (
        of_config(),
        {"expected_output_shape": (HIDDEN.shape, [], []), "run_training_check": False},
    ),
    "EtcEncoder": (
        of_config(construction="etc", num_global_tokens=3),
        {
            "call_kwargs": {"global_inputs": HIDDEN[:, :3]},
            "expected_output_shape": (HIDDEN.shape, [], [], (2, 3, WIDTH)),
            "run_training_check": False,
            "run_mixed_precision_check": False,
        },
    ),
    "EncoderBlock": (of_config(), {}),
    "FeedForward": (of_config(), {}),
    "LanguageModelHead": (
        of_config(),
        {
            "call_kwargs": {"word_embeddings": word_embeddings()},
            "expected_output_shape": (2, LENGTH, VOCABULARY),
            "run_training_check": False,
        },
    ),
    "LinearHead": (
        {**of_config(), "units": 5, "rate": 0.1},
        {"expected_output_shape": (2, LENGTH, 5)},
    ),
    "Pooler": (of_config(), {"expected_output_shape": (2, WIDTH)}),
    "PreTrainingHead": (
        of_config(),
        {
            "call_kwargs": {"pooled": POOLED, "word_embeddings": word_embeddings()},
            "expected_output_shape": ((2, LENGTH, VOCABULARY), (2, 2)),
            "run_training_check": False,
        },
    ),
    "QuestionAnsweringHead": (of_config(), {"expected_output_shape": (2, LENGTH, 2)}),
    "CrossAttention": (
        {"num_heads": HEADS, "key_dim": HEAD_SIZE},
        {
            "call_kwargs": {"value": HIDDEN[:, :13]},
            "supports_masking": True,
            "run_training_check": False,
            "run_mixed_precision_check": False,
        },
    ),
    # The training step hands no documents on, so that attention to them would be idle.
    "Decoder": (of_pair(), {"run_training_check": False}),
    "DecoderBlock": (of_pair(), {"run_training_check": False}),
    "PreNormEncoder": (
        of_pair(),
        {"expected_output_shape": (HIDDEN.shape, [], []), "run_training_check": False},
    ),
    "PreNormEncoderBlock": (of_pair(), {}),
    "PreNormFeedForward": (of_pair(intermediate_size=13, activation_dropout=0.1), {}),
    "ScaledEmbeddings": (of_pair(), {}),
    "VocabularyHead": (
        of_pair(),
        {
            "call_kwargs": {"word_embeddings": word_embeddings()},
            "expected_output_shape": (2, LENGTH, VOCABULARY),
            "run_training_check": False,
        },
    ),
    "Dense": ({"units": 5}, {"expected_output_shape": (2, LENGTH, 5)}),
    "Dropout": ({"rate": 0.1}, {"supports_masking": True}),
    "Embedding": (
        {"input_dim": VOCABULARY, "output_dim": 5},
        {"input_data": random_ids(), "expected_output_shape": (2, LENGTH, 5)},
    ),
    "LayerNorm": ({}, {"supports_masking": True}),
    "ReversibleEmbedding": (
        {"input_dim": VOCABULARY, "output_dim": 5},
        {"input_data": random_ids(), "expected_output_shape": (2, LENGTH, 5)},
    ),
}
PUBLIC = {
    name: getattr(room, name)
    for room in (attention, layers, nn)
    for name in room.__all__
    if issubclass(getattr(room, name), keras.layers.Layer)
}


def test_none_is_left_out():
    assert sorted(LAYERS) == sorted(PUBLIC)


# Keras 3.15 warns of its own training step: it does not shuffle a generator, and dropout has no
# weights to train.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
class TestPublicLayers(testing.TestCase):
    @parameterized.named_parameters((name, name) for name in LAYERS)
    def test(self, name):
        arguments, options = LAYERS[name]
        options = {"input_data": HIDDEN, **options}
        if "expected_output_shape" not in options:
            options["expected_output_shape"] = (2, LENGTH, WIDTH)
        self.run_layer_test(PUBLIC[name], arguments, **options)
