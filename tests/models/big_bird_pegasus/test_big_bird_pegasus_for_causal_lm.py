from typing import ClassVar

import pytest

from bigbird_tf import BigBirdPegasusForCausalLM, BigBirdPegasusForConditionalGeneration
from tests.contract import assert_close, mask_of, random_ids, randomize, tiny_pegasus_config
from tests.models.big_bird_pegasus.pegasus_contract import (
    DECODER,
    POSITIONS,
    WORDS,
    PegasusContract,
)


class TestContract(PegasusContract):
    model_class = BigBirdPegasusForCausalLM
    config_fields: ClassVar[dict] = {"is_decoder": True, "is_encoder_decoder": False}
    # Words and positions, a block without what reads documents, and the norm behind it.
    trainable_weights = 2 + 12 + 2
    # What reads documents: a norm and four kernels.
    other_weights = 6
    states = 1 + 6
    parameters = WORDS + POSITIONS + DECODER

    def inputs(self):
        return {"input_ids": random_ids(), "attention_mask": mask_of()}

    def labels(self):
        return random_ids(seed=5)

    def fit_arguments(self):
        return {"sample_weight": mask_of().astype("float32")}

    def test_config_is_a_decoders(self):
        config = self.model_class(tiny_pegasus_config()).config
        assert (config.is_decoder, config.is_encoder_decoder) == (True, False)


def test_decoder_of_a_checkpoint_of_both(tmp_path):
    """It loads without a warning; the encoder is left out, and decodes nothing alone."""
    both = BigBirdPegasusForConditionalGeneration(tiny_pegasus_config())
    randomize(both)
    both.save_pretrained(tmp_path)
    decoder = BigBirdPegasusForCausalLM.from_pretrained(tmp_path)
    ids = random_ids()
    expected = both.backbone.decode(ids, mask_of())
    assert_close(decoder.backbone.decode(ids, mask_of()), expected, 1e-6)


def test_documents_are_refused():
    model = BigBirdPegasusForCausalLM(tiny_pegasus_config())
    with pytest.raises(ValueError, match=r"Received the keys: .*'decoder_input_ids'"):
        model({"input_ids": random_ids(), "decoder_input_ids": random_ids()})
