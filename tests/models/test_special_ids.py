"""Models whose config says other special ids than the tokenizer."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import (
    BigBirdForCausalLM,
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdTokenizer,
    QuestionAnsweringPreprocessor,
    export_saved_model,
)
from bigbird_tf.models.special_ids import check_special_ids, check_stop_ids
from bigbird_tf.serving import make_servable
from tests.contract import assert_close, randomize, tiny_config
from tests.preprocessing.conftest import train_vocabulary

QUESTION = "which bird sings"
CONTEXT = "eleven birds walks on the river"


@pytest.fixture(scope="module")
def tokenizer():
    return BigBirdTokenizer(train_vocabulary())


def make(cls, tokenizer, **fields):
    model = cls(tiny_config(num_hidden_layers=1, vocab_size=tokenizer.vocab_size, **fields))
    randomize(model)
    return model


def test_question_answering_is_not_exported(tokenizer, tmp_path):
    model = make(BigBirdForQuestionAnswering, tokenizer, sep_token_id=66)
    message = r"same `sep_token_id`.*config.sep_token_id=66, tokenizer.sep_token_id=4.*replace\("
    with pytest.raises(ValueError, match=message):
        export_saved_model(model, tmp_path / "qa", tokenizer)
    assert not list(tmp_path.iterdir())
    # As the message says.
    model.config = model.config.replace(sep_token_id=4)
    check_special_ids(model, tokenizer)
    assert make_servable(model, tokenizer).tokenizer is tokenizer


def test_what_no_head_reads_may_differ(tokenizer):
    """Published configs have `<s>` and `</s>` the other way round than published vocabularies."""
    fields = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 66}
    check_special_ids(make(BigBirdForSequenceClassification, tokenizer, **fields), tokenizer)
    check_special_ids(make(BigBirdForCausalLM, tokenizer, **fields), tokenizer)
    check_stop_ids((2,), tokenizer)
    check_stop_ids((), tokenizer)


def test_generate(tokenizer):
    model = make(BigBirdForCausalLM, tokenizer, pad_token_id=7, eos_token_id=1)
    with pytest.raises(ValueError, match=r"same `pad_token_id`.*=7, tokenizer.pad_token_id=0"):
        model.generate("the river", 2, tokenizer=tokenizer)
    # 6 is the unknown piece, 9 an ordinary one.
    for end in (6, 9):
        model = make(BigBirdForCausalLM, tokenizer, eos_token_id=end)
        message = rf"config.eos_token_id=\({end},\), tokenizer.eos_token_id=1.*`stop_token_ids`"
        with pytest.raises(ValueError, match=message):
            model.generate("the river", 2, tokenizer=tokenizer)
        with pytest.raises(ValueError, match=message):
            make_servable(model, tokenizer, max_new_tokens=2)
        assert make_servable(model, tokenizer, max_new_tokens=2, stop_token_ids=[]).stops == ()


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_rows_without_a_separator(tokenizer, mode):
    """A wrong id is found in the data, too: no silent question of no length."""
    model = make(BigBirdForQuestionAnswering, tokenizer, sep_token_id=66)
    inputs = tokenizer([QUESTION] * 2, [CONTEXT] * 2)
    call = model if mode == "eager" else tf.function(model)
    message = "must have the separator.*`sep_token_id`, 66.*`question_lengths`"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(inputs)


def test_question_lengths_stand_for_the_separator(tokenizer):
    """What the preprocessor gives trains right, whatever the config says."""
    x = QuestionAnsweringPreprocessor(
        tokenizer, max_length=32, padding="longest", max_question_length=8
    )([QUESTION], [CONTEXT])
    right = make(BigBirdForQuestionAnswering, tokenizer, sep_token_id=tokenizer.sep_token_id)
    wrong = make(BigBirdForQuestionAnswering, tokenizer, sep_token_id=66)
    length = int(np.argmax(x["input_ids"][0] == tokenizer.sep_token_id)) + 1
    inputs = {**x, "question_lengths": tf.constant([length])}
    outputs = wrong(inputs)
    assert_close(outputs, right({k: x[k] for k in ("input_ids", "attention_mask")}))
    masked = np.asarray(outputs["start_logits"])[0] < -1e5
    assert masked.sum() == length - 1


class TestOutsideOfTheVocabulary:
    """Refused where they are used: a config from outside may have ids that nobody reads."""

    def test_separator(self):
        model = BigBirdForQuestionAnswering(tiny_config(num_hidden_layers=0, sep_token_id=66))
        ids = np.full((1, 9), 7)
        with pytest.raises(ValueError, match=r"`sep_token_id` must be .*=53. Received: .*=66"):
            model(ids)
        # With them there is no separator to look for.
        model({"input_ids": ids, "question_lengths": np.array([3])})

    def test_stop_tokens(self):
        model = BigBirdForCausalLM(tiny_config(num_hidden_layers=0, eos_token_id=[2, 53]))
        with pytest.raises(ValueError, match=r"`eos_token_id` must be an id .*Received: .*=53"):
            model.generate(np.full((1, 3), 7), 2)
        with pytest.raises(ValueError, match=r"`stop_token_ids` must be an id .*Received: .*=-1"):
            model.generate(np.full((1, 3), 7), 2, stop_token_ids=[-1])
        assert model.generate(np.full((1, 3), 7), 2, stop_token_ids=[2]).shape == (1, 2)
