"""The layers of BigBird-Pegasus through the contract; their parts are in them."""

import numpy as np

from bigbird_tf.attention import CrossAttention
from bigbird_tf.layers import Decoder, PreNormEncoder, ScaledEmbeddings
from tests.contract import BATCH, WIDTH, mask_of, tiny_pegasus_config
from tests.layer_contract import LayerContract, MaskedLayerContract
from tests.models.big_bird_pegasus.pegasus_contract import DECODER, ENCODER, POSITIONS

# Of the documents.
DOCUMENT = 13


def document() -> list[np.ndarray]:
    states = np.random.default_rng(8).normal(size=(BATCH, DOCUMENT, WIDTH)).astype(np.float32)
    return [states, mask_of((DOCUMENT, 9), DOCUMENT).astype(np.float32)]


class TestScaledEmbeddings(LayerContract):
    trainable_weights = 1
    states = 1
    parameters = POSITIONS

    def make(self, **kwargs):
        return ScaledEmbeddings(tiny_pegasus_config(), **kwargs)


class TestPreNormEncoder(MaskedLayerContract):
    trainable_weights = 12 + 2
    states = 3
    parameters = ENCODER

    def make(self, **kwargs):
        return PreNormEncoder(tiny_pegasus_config(), **kwargs)


class TestDecoder(LayerContract):
    trainable_weights = 18 + 2
    states = 6
    parameters = DECODER

    def make(self, **kwargs):
        return Decoder(tiny_pegasus_config(), **kwargs)

    def arguments(self):
        return [*super().arguments(), mask_of().astype(np.float32), *document()]


class TestCrossAttention(LayerContract):
    trainable_weights = 4
    parameters = 4 * 21 * 21

    def make(self, **kwargs):
        return CrossAttention(num_heads=3, key_dim=7, use_bias=False, **kwargs)

    def arguments(self):
        return [*super().arguments(), *document()]
