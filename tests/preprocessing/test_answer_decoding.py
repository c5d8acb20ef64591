import functools
import re

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing import AnswerCalibration
from bigbird_tf.preprocessing.answer_decoding import decode_answers
from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.word_boundaries import are_word_boundaries
from tests.preprocessing.test_question_answering_preprocessor import CONTEXTS, QUESTIONS
from tests.preprocessing.tokenizers.test_big_bird_tokenizer import strings


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return QuestionAnsweringPreprocessor(
        tokenizer, max_length=29, doc_stride=9, max_question_length=5
    )


@pytest.fixture(scope="module")
def windows_of_all(preprocessor):
    return preprocessor.make_windows(QUESTIONS, CONTEXTS)


def random_logits(shape, seed):
    """Sums of two are different, so that the best spans are in one order only."""
    generator = np.random.default_rng(seed)
    return [
        (
            generator.permuted(np.arange(np.prod(shape)) * s + s)
            + generator.uniform(0, 0.3, np.prod(shape))
        )
        .reshape(shape)
        .astype(np.float32)
        for s in (1.0, 0.37)
    ]


@functools.cache
def boundaries_of(context):
    places = np.arange(len(context.encode()) + 1, dtype=np.int32)
    (is_boundary,) = are_word_boundaries(tf.constant([context]), 0 * places, places)
    return np.array(is_boundary)


def reference(start, end, windows, contexts, longest, threshold):
    """All spans of a context by brute force, and "no answer", the best first."""
    windows = {key: value.numpy() for key, value in windows.items()}
    found = []
    for example, context in enumerate(contexts):
        rows = np.flatnonzero(windows["example"] == example)
        none = min(start[row, 0] + end[row, 0] for row in rows)
        is_boundary = boundaries_of(context)
        spans = []
        for row in rows:
            own_none = start[row, 0] + end[row, 0]
            for i in np.flatnonzero(windows["can_start"][row]):
                for j in range(i, min(i + longest, start.shape[1])):
                    begin, stop = windows["token_starts"][row, i], windows["token_ends"][row, j]
                    if windows["can_end"][row, j] and is_boundary[begin] and is_boundary[stop]:
                        score = start[row, i] + end[row, j]
                        rank = score - (0.0 if threshold is None else own_none)
                        spans.append(
                            (rank, score, own_none, context.encode()[begin:stop], begin, stop)
                        )
        spans.sort(key=lambda span: -span[0])
        none = spans[0][2] if spans else none
        place = sum(threshold is None or span[0] >= -threshold for span in spans)
        spans = [(score + (none - own), *span) for _, score, own, *span in spans]
        if threshold is not None or not spans:
            spans.insert(place, (none, b"", 0, 0))
        found.append((none, spans))
    return found


@pytest.mark.parametrize("threshold", [None, 0.0, -40.0, 1e9])
@pytest.mark.parametrize("longest", [1, 4, 100])
def test_equals_brute_force(windows_of_all, threshold, longest):
    x, windows = windows_of_all
    start, end = random_logits(x["input_ids"].shape, seed=longest)
    expected = reference(start, end, windows, CONTEXTS, longest, threshold)
    for num_best in (None, 1, 7):
        actual = decode_answers(
            start,
            end,
            windows,
            CONTEXTS,
            max_answer_length=longest,
            num_best=num_best,
            no_answer_threshold=threshold,
        )
        actual = {key: np.asarray(value) for key, value in actual.items()}
        for example, (none, spans) in enumerate(expected):
            assert float(actual["no_answer_score"][example]) == none
            filled = spans + [(float("-inf"), b"", 0, 0)] * 7
            for rank in range(num_best or 1):
                place = (example,) if num_best is None else (example, rank)
                score, text, begin, stop = filled[rank]
                assert actual["answer"][place] == text
                assert (int(actual["start"][place]), int(actual["end"][place])) == (begin, stop)
                np.testing.assert_allclose(actual["score"][place], score)
        rank = 1 if num_best is None else 2
        keys = ("answer", "score", "start", "end", "confidence")
        assert {actual[key].ndim for key in keys} == {rank}


def test_labels_come_back_as_the_answers(preprocessor):
    """Preprocessor and decoder together: certain logits give the text that was asked for."""
    context = CONTEXTS[3]
    words = [re.sub(r"\W+$", "", word) for word in context.split()[4:60:7]]
    questions, contexts = [""] * len(words), [context] * len(words)
    _, y = preprocessor(questions, contexts, words, [context.index(word) for word in words])
    _, windows = preprocessor.make_windows(questions, contexts)
    start, end = (tf.one_hot(y[key], 29, 9.0, -9.0) for key in ("start_logits", "end_logits"))
    found = decode_answers(start, end, windows, contexts)
    assert [text.decode() for text in found["answer"].numpy()] == words
    spans = zip(found["start"], found["end"], strict=True)
    assert [context.encode()[start:end].decode() for start, end in spans] == words


def test_answer_over_two_windows_is_found_once(preprocessor):
    context = CONTEXTS[3]
    x, windows = preprocessor.make_windows("", context)
    start, end = random_logits(x["input_ids"].shape, seed=3)
    found = decode_answers(start, end, windows, context, num_best=97)
    spans = list(zip(found["start"].numpy(), found["end"].numpy(), strict=True))
    assert len(spans) == len(set(spans)) == 97


def test_one_context_has_no_batch_dimension(preprocessor):
    x, windows = preprocessor.make_windows("", CONTEXTS[0])
    start, end = random_logits(x["input_ids"].shape, seed=5)
    single = decode_answers(start, end, windows, CONTEXTS[0])
    batch = decode_answers(start, end, windows, CONTEXTS[:1])
    assert single["answer"].shape == ()
    for key, value in batch.items():
        assert single[key].numpy() == value[0].numpy()


def test_nothing_to_answer_from(preprocessor):
    x, windows = preprocessor.make_windows(["", "the"], ["", " \n "])
    start, end = random_logits(x["input_ids"].shape, seed=5)
    for threshold in (None, 0.0):
        found = decode_answers(start, end, windows, ["", " \n "], no_answer_threshold=threshold)
        assert found["answer"].numpy().tolist() == [b"", b""]
        np.testing.assert_array_equal(found["score"], found["no_answer_score"])
        assert np.isfinite(found["score"]).all()


@pytest.mark.parametrize("seed", [7, 11])
def test_any_bytes(preprocessor, seed):
    """Broken UTF-8, NUL bytes, controls, special pieces: each answer is a span of its context."""
    contexts = strings(211)
    x, windows = preprocessor.make_windows(contexts[::-1], contexts)
    start, end = random_logits(x["input_ids"].shape, seed=seed)
    found = decode_answers(start, end, windows, contexts, no_answer_threshold=None)
    answers = found["answer"].numpy()
    starts, ends = found["start"].numpy(), found["end"].numpy()
    for context, text, begin, stop in zip(contexts, answers, starts, ends, strict=True):
        assert context[begin:stop] == text == text.strip(b" \t\n\r\v\f")
    rows = np.arange(len(contexts), dtype=np.int32)
    assert all(
        np.all(edge) for edge in are_word_boundaries(tf.constant(contexts), rows, starts, ends)
    )
    # Without an answer are only the contexts in which nothing is visible.
    without = [c for c, answer in zip(contexts, answers, strict=True) if not answer]
    assert {context.strip(b" \t\n\r\v\f") for context in without} == {b""}


@pytest.mark.parametrize(
    ("character", "start", "answer"),
    [
        # As many pieces as words; and an unknown one, of which SentencePiece makes one piece.
        ("a ", 400_004, b"a"),
        ("\u2603", 0, "\u2603".encode() * 20_011),
    ],
)
def test_one_character_very_often(tokenizer, character, start, answer):
    context = (character * (200_003 if start else 20_011)).rstrip()
    preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=4096)
    _, windows = preprocessor.make_windows("which", context)
    logits = tf.cast(windows["can_end"] & (windows["token_starts"] == start), tf.float32)
    found = decode_answers(logits, logits, windows, context)
    assert (int(found["start"]), found["answer"].numpy()) == (start, answer)


def test_empty_batch(preprocessor):
    x, windows = preprocessor.make_windows([], [])
    logits = tf.zeros(x["input_ids"].shape)
    assert decode_answers(logits, logits, windows, [])["answer"].shape == (0,)
    assert decode_answers(logits, logits, windows, [], num_best=3)["answer"].shape == (0, 3)


def test_half_precision_is_summed_in_float32(preprocessor):
    x, windows = preprocessor.make_windows("", CONTEXTS[1])
    logits = np.full(x["input_ids"].shape, 40_000.0, np.float16)
    found = decode_answers(logits, logits, windows, CONTEXTS[1])
    assert found["score"].dtype == tf.float32
    assert float(found["score"]) == 2 * float(np.float16(40_000.0))


def test_saved_model_in_a_fresh_process(preprocessor, saved_model_process):
    """From strings to strings in one graph, in a process without bigbird_tf."""

    class Answerer(tf.Module):
        def __init__(self):
            super().__init__()
            self.preprocessor = preprocessor

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
        def answer(self, question, context):
            x, windows = self.preprocessor.make_windows(question, context)
            ids = tf.cast(x["input_ids"], tf.float32)
            return decode_answers(tf.sin(ids * 7.1), tf.cos(ids * 3.3), windows, context)

    answerer = Answerer()
    arguments = tf.constant(QUESTIONS), tf.constant(CONTEXTS)
    outputs = saved_model_process.run(answerer, "answer", *arguments)
    expected = answerer.answer(*arguments)
    assert any(expected["answer"].numpy())
    for mine, theirs in zip(outputs, tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["max_answer_length", "num_best"])
def test_impossible_arguments(preprocessor, name):
    x, windows = preprocessor.make_windows("", CONTEXTS[1])
    logits = tf.zeros(x["input_ids"].shape)
    with pytest.raises(ValueError, match=f"`{name}`"):
        decode_answers(logits, logits, windows, CONTEXTS[1], **{name: 0})


def test_logits_of_a_wrong_rank(preprocessor):
    x, windows = preprocessor.make_windows("", CONTEXTS[1])
    logits = tf.zeros([*x["input_ids"].shape, 1])
    with pytest.raises(ValueError, match="`start_logits`"):
        decode_answers(logits, logits, windows, CONTEXTS[1])


def logits_of(windows, length, *spans, none=0.0):
    """Logits that give spans of pieces a score each, on all windows; all others score less."""
    shape = (len(windows["example"]), length)
    start, end = np.full(shape, -50.0, np.float32), np.full(shape, -50.0, np.float32)
    start[:, 0] = end[:, 0] = none / 2
    for row, first, last, score in spans:
        start[row, first], end[row, last] = score / 2, score / 2
    return start, end


def piece_at(windows, row, byte):
    """The piece of a window that covers a byte of its context."""
    covers = windows["can_end"][row] & (windows["token_starts"][row] <= byte)
    return int(np.flatnonzero(covers & (windows["token_ends"][row] > byte))[0])


def test_an_answer_is_whole_words(preprocessor):
    """The best pieces begin and end within words."""
    context = "the stonewalks, well-knownbirds 3.14 sparse"
    _, windows = preprocessor.make_windows("who", context)
    begin, stop = context.index("walks"), context.index("birds")
    first, last = piece_at(windows, 0, begin), piece_at(windows, 0, stop - 1)
    assert int(windows["token_starts"][0, first]) == begin > context.index("stonewalks")
    start, end = logits_of(windows, 29, (0, first, last, 20.0))
    # What is next best: the words of which those are parts.
    start[0, piece_at(windows, 0, context.index("stone"))] = 5.0
    end[0, piece_at(windows, 0, context.index(" 3") - 1)] = 5.0
    found = decode_answers(start, end, windows, context)
    assert found["answer"].numpy() == b"stonewalks, well-knownbirds"
    assert float(found["score"]) == 10.0
    # The model's weight was on something else.
    assert float(found["confidence"]) < 1e-3


def test_spans_of_several_windows_are_compared_by_what_exceeds_their_own_no_answer(preprocessor):
    context = CONTEXTS[3]
    _, windows = preprocessor.make_windows("", context)
    first = {
        row: int(np.flatnonzero(windows["can_start"][row] & windows["begins_word"][row])[0])
        for row in (0, 1)
    }
    last = {
        row: int(np.flatnonzero(windows["ends_word"][row][place:])[0]) + place
        for row, place in first.items()
    }
    start, end = logits_of(
        windows, 29, (0, first[0], last[0], 13.0), (1, first[1], last[1], 12.0), none=2.0
    )
    start[0, 0] = end[0, 0] = 7.5
    start[1, 0] = end[1, 0] = 1.5
    answers = [
        context.encode()[
            int(windows["token_starts"][row, first[row]]) : int(
                windows["token_ends"][row, last[row]]
            )
        ]
        for row in (0, 1)
    ]
    found = decode_answers(start, end, windows, context, num_best=3)
    # The first window says "no answer" with 15, so its 13 are nothing against 12 over 3.
    assert found["answer"].numpy().tolist() == [answers[1], b"", answers[0]]
    np.testing.assert_allclose(found["score"], [12.0, 3.0, 1.0])
    assert float(found["no_answer_score"]) == 3.0
    # Whoever says that "no answer" means nothing has the scores compared as they are.
    found = decode_answers(start, end, windows, context, no_answer_threshold=None)
    assert found["answer"].numpy() == answers[0]
    assert (float(found["score"]), float(found["no_answer_score"])) == (13.0, 15.0)


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_fillers_sort_last(preprocessor, threshold):
    context = "bird sings"
    x, windows = preprocessor.make_windows("", context)
    # "No answer" scores more than any span.
    start, end = logits_of(windows, x["input_ids"].shape[1], none=30.0)
    found = decode_answers(start, end, windows, context, num_best=6, no_answer_threshold=threshold)
    answers = [text.decode() for text in found["answer"].numpy()]
    spans = ["bird", "bird sings", "sings"]
    real = 3 if threshold is None else 4
    assert sorted(answers[:real]) == sorted(["", *spans] if real == 4 else spans)
    assert answers[real:] == [""] * (6 - real)
    assert np.isneginf(found["score"][real:]).all()
    assert np.isfinite(found["score"][:real]).all()
    assert not found["confidence"][real:].numpy().any()
    by_score = np.argsort(-found["score"].numpy(), kind="stable")
    np.testing.assert_array_equal(by_score, np.arange(6))


class TestConfidence:
    @pytest.fixture
    def asked(self, preprocessor):
        context = "bird sings"
        x, windows = preprocessor.make_windows("", context)
        first = piece_at(windows, 0, 0)
        start, end = logits_of(windows, x["input_ids"].shape[1], (0, first, first, 2.0))
        is_bird_one_piece = bool(windows["ends_word"][0, first])
        assert is_bird_one_piece
        return lambda **options: decode_answers(start, end, windows, context, **options)

    def test_it_is_the_probability(self, asked):
        # Of two places each, with logits 1 and 0.
        expected = (np.e / (np.e + 1)) ** 2
        found = asked(num_best=3)
        assert found["answer"].numpy().tolist()[0] == b"bird"
        np.testing.assert_allclose(found["confidence"][0], expected, rtol=1e-5)
        np.testing.assert_allclose(found["confidence"][1], 1 - expected, rtol=1e-5)
        assert float(found["confidence"][2]) < 1e-9

    def test_calibrated(self, asked):
        probability = (np.e / (np.e + 1)) ** 2
        odds = np.log(probability / (1 - probability))
        found = asked(calibration=AnswerCalibration(weight=0.5, bias=-1.0))
        np.testing.assert_allclose(found["confidence"], 1 / (1 + np.exp(1 - odds / 2)), rtol=1e-5)

    @pytest.mark.parametrize("no_answer_threshold", [None, 0.0])
    def test_threshold(self, asked, no_answer_threshold):
        probability = (np.e / (np.e + 1)) ** 2
        options = {"no_answer_threshold": no_answer_threshold}
        kept = asked(confidence_threshold=probability - 1e-3, **options)
        assert kept["answer"].numpy() == b"bird"
        refused = asked(confidence_threshold=probability + 1e-3, **options)
        assert refused["answer"].numpy() == b""
        assert (int(refused["start"]), int(refused["end"])) == (0, 0)
        assert refused["score"] == refused["no_answer_score"]
        np.testing.assert_allclose(refused["confidence"], 1 - probability, rtol=1e-5)
        n_best = asked(confidence_threshold=probability + 1e-3, num_best=2, **options)
        assert n_best["answer"].numpy().tolist() == [b"", b"bird"]

    def test_nothing_to_answer_from(self, preprocessor):
        x, windows = preprocessor.make_windows("", " ")
        logits = tf.zeros(x["input_ids"].shape)
        found = decode_answers(logits, logits, windows, " ", num_best=2, no_answer_threshold=None)
        np.testing.assert_array_equal(found["confidence"], [1.0, 0.0])
        np.testing.assert_array_equal(found["score"], [0.0, -np.inf])

    def test_windows_without_an_answer_take_nothing_from_one_with_it(self, preprocessor):
        """Their "no answer" is the same one."""
        x, windows = preprocessor.make_windows("", CONTEXTS[3])
        row = len(windows["example"]) // 2
        whole = windows["can_start"][row] & windows["begins_word"][row] & windows["ends_word"][row]
        first = int(np.flatnonzero(whole)[0])
        start, end = logits_of(windows, x["input_ids"].shape[1], (row, first, first, 9.0))
        found = decode_answers(start, end, windows, CONTEXTS[3])
        share = np.exp(4.5) / (np.exp(4.5) + 1)
        np.testing.assert_allclose(found["confidence"], share**2, rtol=1e-4)

    def test_impossible_threshold(self, asked):
        with pytest.raises(ValueError, match="`confidence_threshold`"):
            asked(confidence_threshold=1.0)
