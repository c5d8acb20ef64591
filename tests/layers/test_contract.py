"""All layers that are built from a config, through the contract.

With 21 wide and 13 inside: attention has 4 * (21 * 21 + 21) = 1848 numbers, a norm 42, the
feed-forward layers 21 * 13 + 13 + 13 * 21 + 21 = 580.
"""

import keras
import numpy as np

from bigbird_tf.layers import (
    BigBirdEmbeddings,
    ClassificationHead,
    Encoder,
    EncoderBlock,
    FeedForward,
    Pooler,
    QuestionAnsweringHead,
)
from bigbird_tf.nn.layer_norm import LayerNorm
from tests.contract import random_ids, tiny_config
from tests.layer_contract import LayerContract, MaskedLayerContract


class TestBigBirdEmbeddings(LayerContract):
    trainable_weights = 5
    states = 1
    parameters = (53 + 61 + 2) * 21 + 42

    def make(self, **kwargs):
        return BigBirdEmbeddings(tiny_config(), **kwargs)

    def arguments(self):
        return [random_ids()]


class TestFeedForward(LayerContract):
    trainable_weights = 6
    states = 1
    parameters = 580 + 42

    def make(self, **kwargs):
        return FeedForward(tiny_config(), **kwargs)


class TestLayerNorm(LayerContract):
    trainable_weights = 2
    states = 0
    parameters = 2 * 21

    def make(self, **kwargs):
        return LayerNorm(**kwargs)


class TestEncoderBlock(MaskedLayerContract):
    trainable_weights = 16
    states = 3
    parameters = 1848 + 42 + 580 + 42

    def make(self, **kwargs):
        return EncoderBlock(tiny_config(), layer_index=3, **kwargs)


class TestEncoder(MaskedLayerContract):
    trainable_weights = 2 * 16
    states = 2 * 3
    parameters = 2 * 2512

    def make(self, **kwargs):
        return Encoder(tiny_config(), **kwargs)


class TestPooler(LayerContract):
    trainable_weights = 2
    parameters = 21 * 21 + 21

    def make(self, **kwargs):
        return Pooler(tiny_config(), **kwargs)


class TestClassificationHead(LayerContract):
    trainable_weights = 4
    states = 2
    parameters = 21 * 21 + 21 + 21 * 3 + 3

    def make(self, **kwargs):
        return ClassificationHead(tiny_config(num_labels=3), **kwargs)


class TestQuestionAnsweringHead(LayerContract):
    trainable_weights = 8
    states = 2
    parameters = 622 + 21 * 2 + 2

    def make(self, **kwargs):
        return QuestionAnsweringHead(tiny_config(), **kwargs)


def test_config_may_be_a_dictionary():
    config = tiny_config()
    assert Pooler(config.to_dict()).config == config


def test_initial_weights():
    """Kernels and embeddings normal with the config's deviation; biases zero, gammas one."""
    keras.utils.set_random_seed(0)
    encoder = Encoder(tiny_config(initializer_range=0.3, num_hidden_layers=1))
    encoder.build((2, 37, 21))
    kernels = [w for w in encoder.weights if len(w.shape) == 2]
    assert len(kernels) == 6
    for kernel in kernels:
        assert 0.25 < np.std(kernel) < 0.35
    assert len({round(float(np.asarray(w)[0, 0]), 6) for w in kernels}) == 6
    for weight in encoder.weights:
        if len(weight.shape) == 1:
            assert np.unique(weight) == (1 if "gamma" in weight.path else 0)
