from typing import ClassVar

import numpy as np
import pytest

from bigbird_tf import (
    BigBirdPegasusForCausalLM,
    BigBirdPegasusForConditionalGeneration,
    PegasusTokenizer,
)
from tests.backends import tensorflow_alone
from tests.contract import (
    BATCH,
    LONGEST,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_pegasus_config,
)
from tests.models.big_bird_pegasus.pegasus_contract import (
    DECODER,
    POSITIONS,
    WORDS,
    PegasusContract,
)
from tests.preprocessing.conftest import train_vocabulary


class TestContract(PegasusContract):
    model_class = BigBirdPegasusForCausalLM
    config_fields: ClassVar[dict] = {
        "is_decoder": True,
        "is_encoder_decoder": False,
        "attention_type": "original_full",
    }
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


@pytest.fixture(scope="module")
def model():
    # With words of its own for the logits, or each token would be as the one before.
    model = BigBirdPegasusForCausalLM(
        tiny_pegasus_config(tie_word_embeddings=False, eos_token_id=None)
    )
    randomize(model)
    return model


PROMPTS, NEW = {"input_ids": random_ids(), "attention_mask": mask_of((37, 5))}, 4


def log_probs_after(model, row, tokens):
    """Of the next token, with a whole call and no cache."""
    real = PROMPTS["input_ids"][row][PROMPTS["attention_mask"][row] == 1]
    logits = np.asarray(model(np.array([[*real, *tokens]], "int32")))[0, -1].astype("float64")
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def test_greedy_is_as_without_cache(model):
    found = np.asarray(model.generate(PROMPTS, NEW))
    for row in range(BATCH):
        tokens = []
        for _ in range(NEW):
            tokens.append(int(log_probs_after(model, row, tokens).argmax()))
        assert found[row].tolist() == tokens
    assert len(set(found[0].tolist())) > 2


def test_beams_are_as_without_cache(model):
    """Without ends, the best two sequences go on."""
    found = np.asarray(model.generate(PROMPTS, NEW, num_beams=2, num_return_sequences=2))
    for row in range(BATCH):
        beams = [(0.0, [])]
        for _ in range(NEW):
            wider = [
                (score + p, [*tokens, i])
                for score, tokens in beams
                for i, p in enumerate(log_probs_after(model, row, tokens))
            ]
            beams = sorted(wider, reverse=True)[:2]
        assert found[2 * row : 2 * row + 2].tolist() == [tokens for _, tokens in beams]


def test_kinds_of_prompts(model):
    expected = np.asarray(model.generate(PROMPTS, 3))
    assert_close(model.generate(PROMPTS["input_ids"][:1], 3), expected[:1])
    # Padding on the other side changes nothing.
    moved = {name: np.roll(x[1:], 32, axis=1) for name, x in PROMPTS.items()}
    assert_close(model.generate(moved, 3), expected[1:])
    message = "`prompts` may have 'input_ids' and 'attention_mask'; .* besides: .'decoder_input"
    with pytest.raises(ValueError, match=message):
        model.generate({**PROMPTS, "decoder_input_ids": PROMPTS["input_ids"]}, 3)
    with pytest.raises(ValueError, match="must fit into `max_position_embeddings`"):
        model.generate(PROMPTS, LONGEST - 36)


@tensorflow_alone
def test_strings_begin_as_decoders_do():
    tokenizer = PegasusTokenizer(train_vocabulary())
    model = BigBirdPegasusForCausalLM(tiny_pegasus_config(**tokenizer.config_fields))
    randomize(model)
    text = "the river of stone"
    ids = [[tokenizer.decoder_start_token_id, *tokenizer.tokenize(text).numpy()]]
    tokens = model.generate(np.array(ids), 5, stop_token_ids=[])
    found = model.generate(text, 5, stop_token_ids=[], tokenizer=tokenizer)
    kept = [i for i in tokens.numpy()[0].tolist() if i != tokenizer.pad_token_id]
    assert found == tokenizer.detokenize(kept)


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
