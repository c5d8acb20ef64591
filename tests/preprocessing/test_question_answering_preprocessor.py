import math
import random

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from tests.preprocessing.conftest import WORDS
from tests.preprocessing.preprocessor_test_case import PreprocessorTestCase


def long_text(seed: int, words: int) -> str:
    rng = random.Random(seed)
    return "".join(
        rng.choice(WORDS) + rng.choice([" ", " ", "  ", ". ", "\n"]) for _ in range(words)
    )


CONTEXTS = [long_text(1, 29), "the bird sings", "", long_text(2, 71), "  猫  "]
QUESTIONS = ["which river", "who sings on the green house with a stone", "", "Zürich", "the"]


def find(context: str, *answers: str) -> tuple[list[str], list[int]]:
    return list(answers), [context.index(answer) for answer in answers]


class TestContract(PreprocessorTestCase):
    expands = True

    @pytest.fixture
    def preprocessor(self, tokenizer):
        return QuestionAnsweringPreprocessor(
            tokenizer,
            max_length=31,
            doc_stride=11,
            max_question_length=7,
            max_windows=5,
            offset_unit="bytes",
        )

    @pytest.fixture
    def arguments(self):
        answers = [CONTEXTS[0][40:53].strip(), "bird", "", CONTEXTS[3][311:322].strip(), "猫"]
        texts = [
            [answer, CONTEXTS[0].split()[2] if i == 0 else ""] for i, answer in enumerate(answers)
        ]
        starts = [
            [context.encode().find(answer.encode()) if answer else -1 for answer in row]
            for context, row in zip(CONTEXTS, texts, strict=True)
        ]
        return tuple(map(tf.constant, (QUESTIONS, CONTEXTS, texts, starts)))


class TestLayout:
    def test_by_hand(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=11, doc_stride=3, max_question_length=3
        )
        words = "the of and a to in is"
        piece = {word: tokenizer.token_to_id(f"▁{word}") for word in words.split()}
        x, y = preprocessor("the of", "a to in is a to in and of", ["in and", "is"], [16, 8])
        the, of, and_, a, to, in_, is_ = piece.values()
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        expected = [
            [cls, the, of, sep, a, to, in_, is_, a, to, sep],
            [cls, the, of, sep, is_, a, to, in_, and_, of, sep],
        ]
        np.testing.assert_array_equal(x["input_ids"], expected)
        np.testing.assert_array_equal(x["attention_mask"], np.ones([2, 11]))
        np.testing.assert_array_equal(x["token_type_ids"], [[0] * 4 + [1] * 7] * 2)
        # The first window lacks "in and"; the second one has both, and the first given counts.
        np.testing.assert_array_equal(y["start_logits"], [7, 7])
        np.testing.assert_array_equal(y["end_logits"], [7, 8])
        assert {v.dtype for v in (*x.values(), *y.values())} == {tf.int32}

    def test_where_the_question_ends(self, tokenizer):
        """Said to the model, whose config may have another separator or none in the question."""
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        x = preprocessor(["the of", "", "the [SEP] of"], ["a bird"] * 3)
        questions = [len(tokenizer.tokenize(text)) for text in ("the of", "", "the [SEP] of")]
        expected = [[length + 2] for length in questions]
        np.testing.assert_array_equal(x["question_lengths"], expected)

    def test_padding(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97)
        x = preprocessor(["the", ""], ["of and", ""])
        assert x["input_ids"].shape == (2, 97)
        np.testing.assert_array_equal(x["attention_mask"].numpy().sum(1), [6, 3])
        is_padding = x["attention_mask"].numpy() == 0
        assert set(x["input_ids"].numpy()[is_padding]) == {tokenizer.pad_token_id}

    def test_steps_of_length(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=97, padding="longest", pad_to_multiple_of=16
        )
        lengths = [
            int(preprocessor("the", " of" * count)["input_ids"].shape[1])
            for count in (0, 12, 13, 90, 500)
        ]
        assert lengths == [16, 16, 32, 96, 97]

    @pytest.mark.parametrize("max_length", [17, 29, 53])
    @pytest.mark.parametrize("doc_stride", [1, 3, 7, None])
    def test_windows_of_a_reference_in_python(self, tokenizer, max_length, doc_stride):
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=max_length, doc_stride=doc_stride, max_question_length=5
        )
        x, windows = preprocessor.make_windows(QUESTIONS, CONTEXTS)
        cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
        expected, examples = [], []
        for example, (question, context) in enumerate(zip(QUESTIONS, CONTEXTS, strict=True)):
            head = [cls, *tokenizer.tokenize(question).numpy()[:5], sep]
            pieces = tokenizer.tokenize(context).numpy().tolist()
            room = max_length - len(head) - 1
            first = 0
            while True:
                row = [*head, *pieces[first : first + room], sep]
                expected.append(row + [pad] * (max_length - len(row)))
                examples.append(example)
                if first + room >= len(pieces):
                    break
                first += preprocessor.doc_stride
        np.testing.assert_array_equal(x["input_ids"], expected)
        np.testing.assert_array_equal(windows["example"], examples)

    def test_max_windows(self, tokenizer):
        options = {"max_length": 29, "doc_stride": 5, "max_question_length": 5}
        full, windows = QuestionAnsweringPreprocessor(tokenizer, **options).make_windows(
            QUESTIONS, CONTEXTS
        )
        cut, _ = QuestionAnsweringPreprocessor(tokenizer, **options, max_windows=2).make_windows(
            QUESTIONS, CONTEXTS
        )
        example = windows["example"].numpy()
        rank = np.array([(example[:i] == e).sum() for i, e in enumerate(example)])
        np.testing.assert_array_equal(cut["input_ids"], full["input_ids"].numpy()[rank < 2])
        assert len(full["input_ids"]) > len(cut["input_ids"])


class TestWindowsFacts:
    @pytest.mark.parametrize(
        ("max_length", "doc_stride"), [(29, 3), (29, 10), (29, 21), (53, None)]
    )
    def test_each_piece_starts_answers_in_its_best_window(self, tokenizer, max_length, doc_stride):
        preprocessor = QuestionAnsweringPreprocessor(
            tokenizer, max_length=max_length, doc_stride=doc_stride, max_question_length=5
        )
        context = CONTEXTS[3]
        _, windows = preprocessor.make_windows(["the"], [context])
        can_start, can_end = windows["can_start"].numpy(), windows["can_end"].numpy()
        starts = windows["token_starts"].numpy()
        assert not (can_start & ~can_end).any()
        seen = {}
        for window, columns in enumerate(can_end):
            inside = np.flatnonzero(columns)
            for column in inside:
                room = min(column - inside[0], inside[-1] - column)
                seen.setdefault(starts[window, column], []).append(
                    (room, bool(can_start[window, column]))
                )
        _, begin, end = tokenizer.tokenize_with_offsets(context)
        surfaces = [context.encode()[b:e] for b, e in zip(begin.numpy(), end.numpy(), strict=True)]
        assert len(seen) == sum(bool(surface.strip()) for surface in surfaces)
        for windows_of_piece in seen.values():
            chosen = [room for room, can in windows_of_piece if can]
            assert len(chosen) == 1
            # At the ends of a context no window has more; invisible pieces shift it by one.
            if len(windows_of_piece) > 1:
                assert chosen[0] >= max(room for room, _ in windows_of_piece) - 2

    def test_offsets_are_the_visible_text(self, tokenizer):
        context = " the  Zürich\n\n猫 bird\t"
        x, windows = QuestionAnsweringPreprocessor(tokenizer, max_length=97).make_windows(
            "", context
        )
        can_end = windows["can_end"].numpy()[0]
        for column in np.flatnonzero(can_end):
            start, end = (int(windows[key][0, column]) for key in ("token_starts", "token_ends"))
            surface = context.encode()[start:end]
            assert surface == surface.strip() != b""
            piece = tokenizer.id_to_token(int(x["input_ids"][0, column]))
            assert surface.decode() == piece.strip("▁")


class TestBadInput:
    @pytest.fixture
    def preprocessor(self, tokenizer):
        return QuestionAnsweringPreprocessor(tokenizer, max_length=97)

    def test_answer_that_is_not_there(self, preprocessor):
        for start in (3, 10**6):
            with pytest.raises(tf.errors.InvalidArgumentError, match="`answer_texts`"):
                preprocessor("a", "the bird", "bird", start)

    def test_bytes_taken_for_characters(self, tokenizer, preprocessor):
        context = "Zürich bird"
        with pytest.raises(tf.errors.InvalidArgumentError, match="counted in characters"):
            preprocessor("a", context, "bird", len("Zürich ".encode()))

    def test_texts_without_starts(self, preprocessor):
        with pytest.raises(ValueError, match="only answer_texts"):
            preprocessor("a", "b", "b")
        with pytest.raises(ValueError, match="only answer_starts"):
            preprocessor("a", "b", None, 3)

    def test_numbers_that_do_not_fit(self, preprocessor):
        with pytest.raises(tf.errors.InvalidArgumentError, match="same number of answers"):
            preprocessor("a", "the bird", ["the", "bird"], [0])

    def test_shapes(self, preprocessor):
        with pytest.raises(ValueError, match="`question` and `context`"):
            preprocessor("a", ["b"])
        with pytest.raises(ValueError, match="`answer_texts`"):
            preprocessor("a", "the", [["the"]], [[0]])
        with pytest.raises(ValueError, match="`answer_texts`"):
            preprocessor(["a"], ["the"], "the", 0)
        with pytest.raises(TypeError, match="`answer_starts`"):
            preprocessor("a", "the", "the", 0.0)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"max_length": 67}, "max_length"),
            ({"max_length": 97, "doc_stride": 31}, "doc_stride"),
            ({"doc_stride": 0}, "doc_stride"),
            ({"doc_stride": "abc"}, "doc_stride"),
            ({"max_question_length": 2.5}, "max_question_length"),
            ({"max_question_length": None}, "max_question_length"),
            ({"max_question_length": 0}, "max_question_length"),
            ({"max_windows": 0}, "max_windows"),
            ({"offset_unit": "pieces"}, "offset_unit"),
        ],
    )
    def test_arguments(self, tokenizer, arguments, name):
        with pytest.raises(ValueError, match=f"`{name}`"):
            QuestionAnsweringPreprocessor(tokenizer, **arguments)

    def test_the_largest_stride_leaves_no_gap(self, tokenizer):
        preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=97, doc_stride=30)
        question = "the " * 99
        context = " ".join(f"{WORDS[i % 31]}" for i in range(211))
        _, windows = preprocessor.make_windows(question, context)
        covered = set(windows["token_starts"].numpy()[windows["can_start"].numpy()])
        ids, starts, _ = tokenizer.tokenize_with_offsets(context)
        assert math.ceil((len(ids) - 30) / 30) + 1 == windows["example"].shape[0]
        assert len(covered) == len(starts)
