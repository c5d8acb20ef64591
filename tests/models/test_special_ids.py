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
)
from bigbird_tf.models.special_ids import adopt_special_ids, stop_ids_of
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


def test_the_tokenizer_wins_in_question_answering(tokenizer):
    model = make(BigBirdForQuestionAnswering, tokenizer, sep_token_id=66)
    message = r"config.sep_token_id=66, tokenizer.sep_token_id=4.*tokenizer's\s+count"
    with pytest.warns(UserWarning, match=message):
        servable = make_servable(model, tokenizer)
    assert model.config.sep_token_id == servable.config.sep_token_id == 4
    # So ids find the question's end as strings do; and there is nothing to warn of any more.
    ids = {key: np.asarray(value) for key, value in tokenizer([QUESTION], [CONTEXT]).items()}
    expected = model({**ids, "question_lengths": _question_length(ids, tokenizer)})
    assert_close(servable.from_ids_outputs(ids), expected)
    adopt_special_ids(model, tokenizer)


def _question_length(ids, tokenizer):
    return tf.constant([int(np.argmax(ids["input_ids"][0] == tokenizer.sep_token_id)) + 1])


def test_what_no_head_reads_may_differ(tokenizer):
    """Published configs have `<s>` and `</s>` the other way round than published vocabularies."""
    fields = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 66}
    adopt_special_ids(make(BigBirdForSequenceClassification, tokenizer, **fields), tokenizer)
    adopt_special_ids(make(BigBirdForCausalLM, tokenizer, **fields), tokenizer)
    assert stop_ids_of((2,), tokenizer) == (2,)
    assert stop_ids_of((), tokenizer) == ()


def test_generate(tokenizer):
    model = make(BigBirdForCausalLM, tokenizer, pad_token_id=7, eos_token_id=1)
    expected = make(BigBirdForCausalLM, tokenizer, eos_token_id=1)
    texts = ["the river", "eleven birds walks on the river"]
    message = r"config.pad_token_id=7, tokenizer.pad_token_id=0"
    with pytest.warns(UserWarning, match=message) as caught:
        found = model.generate(texts, 2, tokenizer=tokenizer)
    # The warning points to the caller's own line.
    assert [warning.filename for warning in caught] == [__file__]
    assert found.numpy().tolist() == (
        expected.generate(texts, 2, tokenizer=tokenizer).numpy().tolist()
    )
    # 6 is the unknown piece, 9 an ordinary one.
    for end in (6, 9):
        model = make(BigBirdForCausalLM, tokenizer, eos_token_id=end)
        message = rf"config.eos_token_id=\({end},\), tokenizer.eos_token_id=1.*`stop_token_ids`"
        with pytest.warns(UserWarning, match=message) as caught:
            found = model.generate("the river", 2, tokenizer=tokenizer)
        assert [warning.filename for warning in caught] == [__file__]
        assert found == expected.generate("the river", 2, tokenizer=tokenizer)
        with pytest.warns(UserWarning, match=message):
            assert make_servable(model, tokenizer, max_new_tokens=2).stops == (1,)
        assert make_servable(model, tokenizer, max_new_tokens=2, stop_token_ids=[]).stops == ()


def test_no_end_at_all(tokenizer):
    class NoEnd:
        all_special_ids, unk_token_id, eos_token_id = [0, 2], 0, None

    with pytest.raises(ValueError, match=r"tokenizer.eos_token_id=None.*`stop_token_ids`"):
        stop_ids_of((9,), NoEnd())


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
