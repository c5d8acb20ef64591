"""Question and paragraphs as global tokens: by hand, in a pipeline, and into a model."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForQuestionAnswering
from bigbird_tf.preprocessing import QuestionAnsweringPreprocessor
from tests.contract import tiny_config

NAMES = ("global_input_ids", "global_attention_mask", "global_membership")


def make(tokenizer, **options):
    settings = {"max_length": 13, "doc_stride": 4, "max_question_length": 4, "max_paragraphs": 3}
    return QuestionAnsweringPreprocessor(tokenizer, construction="etc", **{**settings, **options})


def test_by_hand(tokenizer):
    preprocessor = make(tokenizer)
    assert preprocessor.num_global_tokens == 7
    the, of = (tokenizer.token_to_id(f"▁{word}") for word in ("the", "of"))
    pad, sep = tokenizer.pad_token_id, tokenizer.sep_token_id
    x = preprocessor("the of", "a to\n\nin is a\nto in and\n")
    # [CLS] the of [SEP], eight of context, [SEP]: all of it.
    np.testing.assert_array_equal(x["global_input_ids"], [[the, of, pad, pad, sep, sep, sep]])
    np.testing.assert_array_equal(x["global_attention_mask"], [[1, 1, 0, 0, 1, 1, 1]])
    none = [-1] * 4
    expected = [*none, 4, 4, 5, 5, 5, 6, 6, 6, -1]
    np.testing.assert_array_equal(x["global_membership"], [expected])


def test_windows_number_their_own_paragraphs(tokenizer):
    """Eleven pieces in two windows of eight; the second begins in the second paragraph."""
    x = make(tokenizer)(["the of", ""], ["a to in\nis a to\nin and of\nto in", ""])
    members = x["global_membership"].numpy()
    assert members.shape == (3, 13)
    np.testing.assert_array_equal(members[0, 4:12], [4, 4, 4, 5, 5, 5, 6, 6])
    np.testing.assert_array_equal(members[1, 4:11], [4, 4, 5, 5, 5, 6, 6])
    # A context without pieces has no paragraphs, and this question no pieces.
    np.testing.assert_array_equal(members[2], [-1] * 13)
    np.testing.assert_array_equal(x["global_attention_mask"][:, 4:], [[1] * 3, [1] * 3, [0] * 3])
    assert x["global_attention_mask"][2].numpy().sum() == 0


def test_the_last_place_is_that_of_all_further_paragraphs(tokenizer):
    x = make(tokenizer, max_paragraphs=2)("the of", "a\nto\nin\nis")
    np.testing.assert_array_equal(x["global_membership"][0, 4:8], [4, 5, 5, 5])
    # White space between, and at both ends, makes none.
    x = make(tokenizer)("the", "\n \n a  to \n\t\n in \n")
    np.testing.assert_array_equal(x["global_membership"][0, 3:6], [4, 4, 5])


def test_in_a_pipeline_and_saved(tokenizer):
    preprocessor = make(tokenizer, padding="longest")
    config = preprocessor.get_config()
    assert (config["construction"], config["max_paragraphs"]) == ("etc", 3)
    texts = ["the of", "a"], ["a to\nin is", "in"]
    direct = preprocessor(*texts)
    mapped = next(iter(tf.data.Dataset.from_tensors(texts).map(preprocessor)))
    plain = QuestionAnsweringPreprocessor(
        tokenizer, max_length=13, doc_stride=4, max_question_length=4, padding="longest"
    )
    assert plain.num_global_tokens == 0
    others = plain(*texts)
    assert set(direct) == {*others, *NAMES}
    for name, value in direct.items():
        assert value.dtype == tf.int32
        np.testing.assert_array_equal(mapped[name], value)
        if name in others:
            np.testing.assert_array_equal(others[name], value)


@pytest.mark.parametrize("global_reads", ["all", "members"])
def test_a_model_takes_it(tokenizer, global_reads):
    preprocessor = make(tokenizer, max_length=45)
    model = BigBirdForQuestionAnswering(
        tiny_config(
            vocab_size=tokenizer.vocab_size,
            num_hidden_layers=1,
            construction="etc",
            num_global_tokens=preprocessor.num_global_tokens,
            global_reads=global_reads,
            sep_token_id=tokenizer.sep_token_id,
        )
    )
    context = "the bird sings\n" * 20
    x, y = preprocessor(["who", "the of"], [context] * 2, ["bird", "bird"], [4, 4])
    logits = model(x)
    assert logits["start_logits"].shape == x["input_ids"].shape
    assert np.isfinite(logits["end_logits"]).all()
    assert y["start_logits"].shape == (x["input_ids"].shape[0],)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"construction": "ETC"}, "`construction` must be 'itc' or 'etc'.*'ETC'"),
        ({"max_paragraphs": 0}, "`max_paragraphs` must be a positive integer.*=0"),
        ({"max_paragraphs": None}, "`max_paragraphs` must be a positive integer.*=None"),
    ],
)
def test_wrong_arguments(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        QuestionAnsweringPreprocessor(tokenizer, **options)
