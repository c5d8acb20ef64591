import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.token_classification_preprocessor import (
    TokenClassificationPreprocessor,
)
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase, assert_same

WORDS = [
    ["the", "zebra", "sings", "", ""],
    ["", "", "", "", ""],
    ["naïve", "猫", "well-known", "Zürich.", "U.S."],
]


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return TokenClassificationPreprocessor(
            tokenizer, max_length=11, labels=["O", "ANIMAL", "PLACE"]
        )

    @pytest.fixture
    def arguments(self):
        labels = [
            ["O", "ANIMAL", "O", "", ""],
            ["", "", "", "", ""],
            ["O", "ANIMAL", "O", "PLACE", "PLACE"],
        ]
        return tf.constant(WORDS), tf.constant(labels)


@pytest.fixture
def preprocessor(tokenizer):
    return TokenClassificationPreprocessor(tokenizer, max_length=13, padding="longest")


def test_by_hand(tokenizer, preprocessor):
    """The first piece of a word has its label; "zebra" is no word of the vocabulary."""
    zebra = tokenizer.tokenize("zebra").numpy().tolist()
    bird = tokenizer.token_to_id("▁bird")
    assert len(zebra) > 2
    x, y, weight = preprocessor([["bird", "zebra", "bird"], ["bird"]], [[3, 5, 7], [2]])
    cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    more = len(zebra) - 1
    ids = [
        [cls, bird, *zebra, bird, sep],
        [cls, bird, sep] + [pad] * (more + 2),
    ]
    np.testing.assert_array_equal(x["input_ids"], ids)
    np.testing.assert_array_equal(y, [[0, 3, 5, *[0] * more, 7, 0], [0, 2, 0, 0, 0] + [0] * more])
    np.testing.assert_array_equal(
        weight, [[0, 1, 1, *[0] * more, 1, 0], [0, 1, 0, 0, 0] + [0] * more]
    )
    assert (y.dtype, weight.dtype) == (tf.int32, tf.float32)


def test_words_are_pieces_of_the_sentence(tokenizer, preprocessor):
    words = ["the", "naïve", "猫", "walks", "with", "green", "birds"]
    expected = tokenizer(" ".join(words), max_length=13)
    for key, value in preprocessor(words).items():
        np.testing.assert_array_equal(value, expected[key])


def test_cut_words_lose_their_labels(tokenizer):
    preprocessor = TokenClassificationPreprocessor(tokenizer, max_length=5)
    x, y, weight = preprocessor(["the"] * 7, list(range(1, 8)))
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(weight, [0, 1, 1, 1, 0])
    assert int(x["input_ids"][-1]) == tokenizer.sep_token_id


def test_ignored_labels(tokenizer, preprocessor):
    _, y, weight = preprocessor(["the", "of", "and"], [4, -100, 0])
    np.testing.assert_array_equal(y, [0, 4, 0, 0, 0])
    np.testing.assert_array_equal(weight, [0, 1, 0, 1, 0])
    named = TokenClassificationPreprocessor(tokenizer, 13, "longest", labels=["A", "B"])
    _, y, weight = named(["the", "of", "and"], ["B", "", "A"])
    np.testing.assert_array_equal(y, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(weight, [0, 1, 0, 1, 0])


def test_forms_of_a_batch(preprocessor):
    words, labels = [["the", "of"], [], ["bird"]], [[1, 2], [], [3]]
    expected = preprocessor(words, labels)
    assert expected[2].numpy().sum() == 3
    padded = [["the", "of"], ["", ""], ["bird", ""]]
    for form in (
        (tf.ragged.constant(words), tf.ragged.constant(labels)),
        (padded, [[1, 2], [-1, -1], [3, -1]]),
        (np.array(padded), np.array([[1, 2], [0, 0], [3, 0]])),
    ):
        assert_same(preprocessor(*form), expected)


def test_ragged_words_in_tf_data(preprocessor):
    arguments = tf.ragged.constant([["the", "of"], ["bird"]]), tf.ragged.constant([[1, 2], [3]])
    dataset = tf.data.Dataset.from_tensor_slices(arguments)
    batch = next(iter(dataset.ragged_batch(2).map(preprocessor)))
    assert_same(batch, preprocessor(*arguments))
    for row, (words, labels) in zip(dataset.map(preprocessor), dataset, strict=True):
        assert_same(row, preprocessor(words, labels))


def test_bad_input(preprocessor, tokenizer):
    with pytest.raises(tf.errors.InvalidArgumentError, match="one label for each"):
        preprocessor(["the", "of"], [1])
    with pytest.raises(ValueError, match="`label` must have the shape"):
        preprocessor([["the", "of"]], [1, 2])
    with pytest.raises(ValueError, match="`words`"):
        preprocessor("the of")
    with pytest.raises(TypeError, match="`words`"):
        preprocessor([1, 2])
    with pytest.raises(ValueError, match="`labels`"):
        preprocessor(["the"], ["O"])
    named = TokenClassificationPreprocessor(tokenizer, 13, labels=["A", "B"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be one of"):
        named(["the"], ["C"])
