import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.multiple_choice_preprocessor import MultipleChoicePreprocessor
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase, assert_same

TEXTS = ["the bird", "", "naïve 猫 walks with the green stone", "a river", "of"]
CHOICES = [
    ["sings", "is a stone", "walks"],
    ["", "", ""],
    ["a", "bigger window with blocks and tokens", "[MASK]"],
    ["1987", "42", "3.14"],
    ["birds", "the birds", "of the birds"],
]


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return MultipleChoicePreprocessor(tokenizer, max_length=11)

    @pytest.fixture
    def arguments(self):
        return tf.constant(TEXTS), tf.constant(CHOICES), tf.constant([2, 0, 1, 1, 0])


@pytest.fixture
def preprocessor(tokenizer):
    return MultipleChoicePreprocessor(tokenizer, max_length=17, padding="longest")


def test_each_choice_is_a_pair(tokenizer, preprocessor):
    x = preprocessor(TEXTS, CHOICES)
    texts = [text for text in TEXTS for _ in range(3)]
    expected = tokenizer(texts, [choice for row in CHOICES for choice in row], max_length=17)
    for key, value in x.items():
        assert value.shape == (5, 3, expected[key].shape[1])
        np.testing.assert_array_equal(tf.reshape(value, expected[key].shape), expected[key])


def test_one_text_has_no_batch_dimension(preprocessor):
    x, y = preprocessor(TEXTS[2], CHOICES[2], 1)
    batch = preprocessor(TEXTS[2:3], CHOICES[2:3], [1])
    assert_same((x, y), tf.nest.map_structure(lambda value: value[0], batch))
    assert (y.dtype, int(y)) == (tf.int32, 1)


def test_ragged_choices_of_one_number(preprocessor):
    assert_same(preprocessor(TEXTS, tf.ragged.constant(CHOICES)), preprocessor(TEXTS, CHOICES))


def test_bad_input(preprocessor):
    with pytest.raises(tf.errors.InvalidArgumentError, match="equally many"):
        preprocessor(["a", "b"], [["c", "d"], ["e"]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="one batch size"):
        preprocessor(["a", "b"], [["c", "d"]])
    with pytest.raises(ValueError, match="`choices`"):
        preprocessor(["a", "b"], ["c", "d"])
    with pytest.raises(ValueError, match="`choices`"):
        preprocessor("a", [["c", "d"]])
    with pytest.raises(TypeError, match="`choices`"):
        preprocessor("a", [1, 2])
