"""Where `QuestionAnsweringPreprocessor` finds answers."""

import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from tests.preprocessing.conftest import train_vocabulary
from tests.preprocessing.preprocessor_test_case import assert_same
from tests.preprocessing.test_question_answering_preprocessor import CONTEXTS, long_text

# What "nmt_nfkc" drops, or takes for a space.
UNSEEN = "\u200b\u200e\u200f\u00a0\ufeff\u2003\u3000\x01\x7f \n"


TOKENIZERS = {
    rules: BigBirdTokenizer(train_vocabulary(normalization_rule_name=rules))
    for rules in ("nmt_nfkc", "identity")
}


@functools.cache
def compiled(rules):
    """Labels and windows of one context and answer, in a graph: eagerly they take their time."""
    preprocessor = QuestionAnsweringPreprocessor(
        TOKENIZERS[rules], max_length=97, max_question_length=1
    )

    @tf.function(input_signature=[tf.TensorSpec([], t) for t in (tf.string, tf.string, tf.int32)])
    def label(context, answer, start):
        _, y = preprocessor("", context, answer, start)
        return y, preprocessor.make_windows("", context)[1]

    return label


class TestAnswers:
    @pytest.mark.parametrize("unit", ["characters", "bytes"])
    def test_every_word_is_found_again(self, tokenizer, unit):
        """Each word of a long text as the answer: its pieces' bytes are the word's."""
        context = CONTEXTS[3]
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=37, doc_stride=17, max_question_length=5, offset_unit=unit
        )
        texts, starts, position = [], [], 0
        for word in context.split():
            position = context.index(word, position)
            texts.append(word)
            starts.append(position if unit == "characters" else len(context[:position].encode()))
            position += len(word)
        count = len(texts)
        _, y = preprocessor([""] * count, [context] * count, texts, starts)
        _, windows = preprocessor.make_windows([""] * count, [context] * count)
        first, last = y["start_logits"].numpy(), y["end_logits"].numpy()
        found = 0
        for row in np.flatnonzero(first):
            begin = int(windows["token_starts"][row, first[row]])
            end = int(windows["token_ends"][row, last[row]])
            example = int(windows["example"][row])
            assert context.encode()[begin:end].decode() == texts[example]
            assert begin == len(context[: starts[example]].encode()) or unit == "bytes"
            found += 1
        assert set(windows["example"].numpy()[first > 0]) == set(range(count))
        assert found > count  # in the windows' shared parts, twice
        np.testing.assert_array_equal(first == 0, last == 0)

    def test_an_answer_over_a_windows_border_is_none_there(self, tokenizer):
        context = "the of and a to in is was for on with"
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=3 + 1 + 6, doc_stride=4, max_question_length=1
        )
        answer, start = "a to in is", context.index("a to")
        _, y = preprocessor("the", context, answer, start)
        # Windows: pieces 0-5, 4-9, 8-10; the answer is pieces 3-6.
        np.testing.assert_array_equal(y["start_logits"], [0, 0, 0])
        _, y = preprocessor("the", context, "to in", context.index("to"))
        np.testing.assert_array_equal(y["start_logits"], [7, 3, 0])
        np.testing.assert_array_equal(y["end_logits"], [8, 4, 0])

    def test_part_of_a_piece(self, tokenizer):
        context = "the birds"
        assert "▁birds" in tokenizer.id_to_token(int(tokenizer.tokenize(context)[-1]))
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        _, y = preprocessor("", context, "ird", 5)
        assert (int(y["start_logits"][0]), int(y["end_logits"][0])) == (3, 3)

    def test_spaces_around_the_answer(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        context = "the   bird \n sings"
        expected = preprocessor("a", context, "bird", 6)
        assert int(expected[1]["start_logits"][0]) > 0
        assert_same(preprocessor("a", context, "  bird \n ", 4), expected)

    @pytest.mark.parametrize(
        ("context", "answer"),
        [
            ("the bird\u200b sings", "bird\u200b"),
            ("the bird\u200e sings", "bird\u200e"),
            ("the bird\u00a0sings", "bird\u00a0"),
            ("the\u200b bird, sings", "\u200b bird"),
            ("\ufeffbird sings", "\ufeffbird"),
            ("\ufeff\u200ebird sings", "\u200ebird"),
            ("the bird \x01\x1f", "bird \x01\x1f"),
        ],
    )
    def test_what_the_vocabulary_does_not_see(self, tokenizer, context, answer):
        """At an answer's ends: the label is the word's, not its neighbour's."""
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        x, y = preprocessor("", context, answer, context.index(answer))
        first, last = (int(y[key][0]) for key in ("start_logits", "end_logits"))
        pieces = [tokenizer.id_to_token(int(i)) for i in x["input_ids"][0, first : last + 1]]
        assert pieces == ["▁bird"]

    @pytest.mark.slow
    @hypothesis.given(
        strategies.lists(
            strategies.tuples(
                strategies.text(UNSEEN, max_size=2),
                strategies.sampled_from(["bird", "the", "猫", "naïve"]),
                strategies.text(UNSEEN, max_size=2),
                strategies.sampled_from([" ", "\n", "\u00a0", "\u3000", "\u200b", "\ufeff"]),
            ),
            min_size=1,
            max_size=6,
        ),
        strategies.data(),
    )
    @pytest.mark.parametrize("rules", ["nmt_nfkc", "identity"])
    def test_any_word_among_what_is_not_seen(self, rules, words, data):
        """Under rules of normalisation and without: labels stand for the answer alone."""
        k = data.draw(strategies.integers(0, len(words) - 1))
        before, word, behind, gap = words[k]
        context = "".join("".join(parts) for parts in words)
        seen = len("".join("".join(parts) for parts in words[:k]) + before)
        begin = seen - data.draw(strategies.integers(0, len(before)))
        until = seen + len(word) + data.draw(strategies.integers(0, len(behind + gap)))
        answer = context[begin:until]
        y, windows = compiled(rules)(context, answer, begin)
        first, last = (int(y[key][0]) for key in ("start_logits", "end_logits"))
        assert first > 0
        found = context.encode()[
            windows["token_starts"][0, first] : windows["token_ends"][0, last]
        ].decode()
        # What is not seen is cut off, under rules that do not see it. Without, it is an unknown
        # piece, perhaps together with the unknown letters beside it.
        assert found.strip(UNSEEN) == word
        if rules == "nmt_nfkc":
            assert found == word

    @pytest.mark.parametrize(
        ("texts", "starts"),
        [
            ([], []),
            ("", 0),
            ("bird", -1),
            (["", "bird"], [3, -1]),
            (["   "], [3]),
        ],
    )
    def test_no_answer(self, tokenizer, texts, starts):
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        _, y = preprocessor("a", "the    bird", texts, starts)
        assert [int(v[0]) for v in y.values()] == [0, 0]

    def test_forms_of_a_batch(self, tokenizer):
        """One answer each, lists, ragged and padded tensors mean the same."""
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        questions, contexts = ["a", "b", "c"], ["the bird", "of a river", "and"]
        expected = preprocessor(questions, contexts, [["bird"], ["a"], []], [[4], [3], []])
        np.testing.assert_array_equal(expected[1]["start_logits"] > 0, [True, True, False])
        for texts, starts in (
            (["bird", "a", ""], [4, 3, 0]),
            (tf.ragged.constant([["bird"], ["a"], []]), tf.ragged.constant([[4], [3], []])),
            ([["bird", ""], ["a", ""], ["", ""]], np.array([[4, -1], [3, -1], [-1, -1]])),
        ):
            assert_same(preprocessor(questions, contexts, texts, starts), expected)

    def test_ragged_answers_in_tf_data(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        arguments = (
            tf.constant(["a", "b"]),
            tf.constant(["the bird", "of a river"]),
            tf.ragged.constant([["bird", "the"], []], tf.string),
            tf.ragged.constant([[4, 0], []], tf.int64),
        )
        expected = preprocessor(*arguments)
        dataset = tf.data.Dataset.from_tensor_slices(arguments)
        assert_same(next(iter(dataset.ragged_batch(2).map(preprocessor))), expected)
        assert_same(next(iter(dataset.map(preprocessor).unbatch().batch(2))), expected)

    def test_long_document(self, tokenizer):
        """A megabyte of text, and an answer near its end."""
        context = long_text(5, 170_000)
        answer = context[-1000:].split()[3] + "!"
        context += answer + " the end"
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=4096)
        x, y = preprocessor("which river", context, answer, context.rindex(answer))
        assert len(context) > 900_000
        assert x["input_ids"].shape[0] > 50
        assert np.count_nonzero(y["start_logits"]) >= 1
        assert np.count_nonzero(y["start_logits"][:-2]) == 0
