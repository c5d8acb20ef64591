import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.sequence_classification_preprocessor import (
    SequenceClassificationPreprocessor,
)
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase

TEXTS = ["the bird sings", "", "naïve 猫 walks with the green stone", "a [MASK] river", "of"]


class TestContract(PreprocessorTestCase):
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return SequenceClassificationPreprocessor(
            tokenizer, max_length=11, labels=["no", "maybe", "yes"], name="classes"
        )

    @pytest.fixture
    def arguments(self):
        labels = tf.constant(["yes", "no", "no", "maybe", "yes"])
        return tf.constant(TEXTS), labels, tf.constant([0.5, 1.0, 2.0, 0.0, 3.0])


class TestInputs:
    def test_are_the_tokenizers(self, tokenizer):
        preprocessor = SequenceClassificationPreprocessor(tokenizer, 17, padding="longest")
        for single in (TEXTS[0], TEXTS):
            expected = tokenizer(single, max_length=17)
            for key, value in preprocessor(single).items():
                np.testing.assert_array_equal(value, expected[key])
        pair = tokenizer(TEXTS, TEXTS[::-1], max_length=17)
        for pairs in ((TEXTS, TEXTS[::-1]), list(zip(TEXTS, TEXTS[::-1], strict=True))):
            for key, value in preprocessor(pairs).items():
                np.testing.assert_array_equal(value, pair[key])

    def test_pairs_in_tf_data(self, tokenizer):
        preprocessor = SequenceClassificationPreprocessor(tokenizer, 17)
        pairs = (TEXTS, TEXTS[::-1])
        expected, _ = preprocessor(pairs, [3, 1, 0, 2, 1])
        dataset = tf.data.Dataset.from_tensor_slices((pairs, [3, 1, 0, 2, 1]))
        for mapped in (
            dataset.map(preprocessor).batch(5),
            dataset.batch(2).map(preprocessor).rebatch(5),
        ):
            x, y = next(iter(mapped))
            assert y.numpy().tolist() == [3, 1, 0, 2, 1]
            for key, value in expected.items():
                np.testing.assert_array_equal(x[key], value)

    def test_steps_of_length(self, tokenizer):
        preprocessor = SequenceClassificationPreprocessor(
            tokenizer, 17, padding="longest", pad_to_multiple_of=7
        )
        assert preprocessor("the bird")["input_ids"].shape == (7,)
        assert preprocessor("the " * 9)["input_ids"].shape == (14,)
        assert preprocessor("the " * 99)["input_ids"].shape == (17,)

    def test_from_pretrained(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        preprocessor = SequenceClassificationPreprocessor.from_pretrained(
            tmp_path, max_length=5, local_files_only=True
        )
        assert preprocessor("the bird sings and walks")["input_ids"].shape == (5,)


class TestTargets:
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return SequenceClassificationPreprocessor(
            tokenizer, max_length=7, labels=["no", "maybe", "yes"]
        )

    @pytest.mark.parametrize(
        ("label", "expected", "dtype"),
        [
            (["yes", "no"], [2, 0], "int32"),
            (np.array(["yes", "no"]), [2, 0], "int32"),
            (np.array(["yes", "no"], object), [2, 0], "int32"),
            ([2, 0], [2, 0], "int32"),
            (np.array([2, 0], np.int64), [2, 0], "int32"),
            ([0.25, -1.5], [0.25, -1.5], "float32"),
            ([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], [[1, 0, 1], [0, 0, 0]], "float32"),
            ([["yes", "no"], []], [[1, 0, 1], [0, 0, 0]], "float32"),
            ([["yes", "yes"], ["no", "maybe"]], [[0, 0, 1], [1, 1, 0]], "float32"),
        ],
    )
    def test_kinds(self, preprocessor, label, expected, dtype):
        x, y = preprocessor(["the bird", "a stone"], label)
        assert x["input_ids"].shape == (2, 7)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize(
        ("label", "expected"), [("maybe", 1), (b"maybe", 1), (["yes", "no"], [1, 0, 1]), (0.5, 0.5)]
    )
    def test_of_one_text(self, preprocessor, label, expected):
        x, y, weight = preprocessor("the bird", label, 3)
        assert x["input_ids"].shape == (7,)
        np.testing.assert_array_equal(y, expected)
        assert (weight.dtype, float(weight)) == (tf.float32, 3.0)

    def test_unknown_name(self, preprocessor):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be one of"):
            preprocessor(["a", "b"], ["yes", "never"])

    def test_names_without_labels(self, tokenizer):
        with pytest.raises(ValueError, match="`labels`"):
            SequenceClassificationPreprocessor(tokenizer)("a", "yes")

    def test_rank_of_names(self, preprocessor):
        with pytest.raises(ValueError, match="`label`"):
            preprocessor("a", [["yes"]])

    @pytest.mark.parametrize("labels", ["yes", ["yes", "no", "yes"]])
    def test_impossible_labels(self, tokenizer, labels):
        with pytest.raises(ValueError, match="`labels`"):
            SequenceClassificationPreprocessor(tokenizer, labels=labels)

    def test_parts_that_do_not_fit(self, preprocessor):
        with pytest.raises(ValueError, match="two parts of `text`"):
            preprocessor((["a", "b"], "c"))
        with pytest.raises(ValueError, match="two parts of `text`"):
            preprocessor((["a", "b"], ["c"]))
        with pytest.raises(ValueError, match="tuple of two"):
            preprocessor(("a", "b", "c"))


def test_an_empty_name(tokenizer):
    """No label is one; in a list of names it fills up."""
    made = SequenceClassificationPreprocessor(tokenizer, max_length=9, labels=["x", "y"])
    for label in ([""], ["x"]):
        assert made(["the bird"] * 2, tf.constant([["y"], label]))[1].numpy().tolist() == [
            [0.0, 1.0], [float("x" in label), 0.0]
        ]  # fmt: skip
    for text, label in (("the bird", ""), (["the bird"] * 2, ["x", ""])):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`label` must be one of"):
            made(text, label)
