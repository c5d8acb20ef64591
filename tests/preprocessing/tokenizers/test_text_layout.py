"""Windows of texts with the special pieces of Pegasus: none but `</s>` behind."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.tokenizers.text_layout import TextLayout
from bigbird_tf.serving.text_windows import TextWindows

WORDS = "the of and a to in is"
QUESTION, CONTEXT = "the of", "a to in is a to in and of"


@pytest.fixture
def pieces(pegasus_tokenizer):
    return {word: pegasus_tokenizer.token_to_id(f"▁{word}") for word in WORDS.split()}


def test_layouts(tokenizer, pegasus_tokenizer):
    sep = tokenizer.sep_token_id
    assert tokenizer.text_layout == TextLayout(tokenizer.cls_token_id, sep, sep)
    assert pegasus_tokenizer.text_layout == (None, None, pegasus_tokenizer.eos_token_id)


def test_questions_by_hand(pegasus_tokenizer, pieces):
    preprocessor = QuestionAnsweringPreprocessor(
        pegasus_tokenizer, max_length=9, doc_stride=3, max_question_length=3
    )
    x, y = preprocessor(QUESTION, CONTEXT, ["in and", "is"], [16, 8])
    end = pegasus_tokenizer.eos_token_id
    windows = ("the of a to in is a to", "the of is a to in and of")
    expected = [[*(pieces[word] for word in window.split()), end] for window in windows]
    # No token types, and not where the question ends: the model reads neither.
    assert sorted(x) == ["attention_mask", "input_ids"]
    np.testing.assert_array_equal(x["input_ids"], expected)
    np.testing.assert_array_equal(x["attention_mask"], np.ones([2, 9]))
    # The first window lacks "in and"; the second one has both, and the first given counts.
    np.testing.assert_array_equal(y["start_logits"], [5, 5])
    np.testing.assert_array_equal(y["end_logits"], [5, 6])
    short = QuestionAnsweringPreprocessor(pegasus_tokenizer, max_length=31, max_question_length=7)
    whole = pegasus_tokenizer([QUESTION], [CONTEXT], max_length=31, padding="max_length")
    for name, value in short(QUESTION, CONTEXT).items():
        np.testing.assert_array_equal(value, whole[name])


def test_paragraphs_need_a_separator(pegasus_tokenizer):
    with pytest.raises(ValueError, match=r"construction='etc' needs .*PegasusTokenizer"):
        QuestionAnsweringPreprocessor(pegasus_tokenizer, construction="etc")


@pytest.mark.parametrize("pair", [None, "a green house"])
def test_texts(pegasus_tokenizer, pair):
    """As the tokenizer lays them out; of long ones each window ends, and no piece is lost."""
    texts = ["the river of stone", "", "birds sing in " * 13]
    ids = pegasus_tokenizer.tokenize(texts)
    pairs = None if pair is None else pegasus_tokenizer.tokenize([pair] * 3)
    windows = TextWindows(ids, pairs, pegasus_tokenizer, 23, 4)
    x, piece, is_own = windows.fill(tf.range(tf.shape(windows.lengths)[0]))
    assert len(windows.lengths) > 4
    whole = pegasus_tokenizer(texts[:2], None if pair is None else [pair] * 2)
    for row in range(2):
        real = whole["input_ids"][row][whole["attention_mask"][row] == 1]
        mask = x["attention_mask"][row] == 1
        np.testing.assert_array_equal(x["input_ids"][row][mask], real)
    ends = tf.gather(x["input_ids"], windows.lengths - 1, batch_dims=1)
    assert set(ends.numpy()) == {pegasus_tokenizer.eos_token_id}
    np.testing.assert_array_equal(np.sort(piece[is_own]), range(ids.flat_values.shape[0]))
