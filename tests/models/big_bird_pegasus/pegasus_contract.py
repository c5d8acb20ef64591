"""The contract of models for BigBird-Pegasus' models; how many weights their parts have."""

from typing import ClassVar

import numpy as np

from tests.contract import BATCH, mask_of, random_ids, tiny_pegasus_config
from tests.model_contract import ModelContract

# Of what the decoder reads.
WRITTEN = 7
# Words and two tables of positions; a block of each stack, without biases of attention, and the
# norm behind it. Encoder: two norms, four kernels, two dense layers. Decoder: a norm and four
# kernels more.
WEIGHTS = 3 + (4 + 4 + 4 + 2) + (6 + 8 + 4 + 2)
WORDS, POSITIONS, ATTENTION, NORM = 53 * 21, 61 * 21, 4 * 21 * 21, 2 * 21
ENCODER = ATTENTION + 2 * NORM + (21 * 13 + 13 + 13 * 21 + 21) + NORM
DECODER = 2 * ATTENTION + 3 * NORM + (21 * 11 + 11 + 11 * 21 + 21) + NORM
PARAMETERS = WORDS + 2 * POSITIONS + ENCODER + DECODER
# Behind both embeddings; three in an encoder's block, six in a decoder's.
STATES = 2 + 3 + 6


class PegasusContract(ModelContract):
    trainable_weights = WEIGHTS
    states = STATES
    parameters = PARAMETERS
    one_layer: ClassVar[dict] = {"encoder_layers": 1, "decoder_layers": 1}
    no_dropout: ClassVar[dict] = {
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "classifier_dropout": 0.0,
    }

    @classmethod
    def config(cls, **fields):
        return tiny_pegasus_config(**{**cls.config_fields, **fields})

    def inputs(self):
        written = np.random.default_rng(9).integers(3, 53, (BATCH, WRITTEN), dtype=np.int32)
        written[:, 0] = 2
        return {
            "input_ids": random_ids(),
            "attention_mask": mask_of(),
            "decoder_input_ids": written,
            "decoder_attention_mask": mask_of((WRITTEN, WRITTEN - 2), WRITTEN),
        }

    @staticmethod
    def word_embeddings(backbone):
        return backbone.word_embeddings
