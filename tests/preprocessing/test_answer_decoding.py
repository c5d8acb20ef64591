import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.answer_decoding import decode_answers
from bigbird_tf.preprocessing.question_answering_preprocessor import QuestionAnsweringPreprocessor
from tests.preprocessing.test_question_answering_preprocessor import CONTEXTS, QUESTIONS
from tests.preprocessing.test_tokenizer import strings


@pytest.fixture
def preprocessor(tokenizer):
    return QuestionAnsweringPreprocessor(
        tokenizer, max_length=29, doc_stride=9, max_question_length=5
    )


def random_logits(shape, seed):
    """All sums of two are different, so that the best spans are in one order only."""
    generator = np.random.default_rng(seed)
    return [
        generator.permuted(np.arange(np.prod(shape)) * s + s).reshape(shape).astype(np.float32)
        for s in (1.0, 0.37)
    ]


def reference(start, end, windows, contexts, longest, threshold):
    """All spans of a context by brute force, and "no answer", the best first."""
    windows = {key: value.numpy() for key, value in windows.items()}
    found = []
    for example, context in enumerate(contexts):
        rows = np.flatnonzero(windows["example"] == example)
        none = min(start[row, 0] + end[row, 0] for row in rows)
        spans = []
        for row in rows:
            for i in np.flatnonzero(windows["can_start"][row]):
                for j in range(i, min(i + longest, start.shape[1])):
                    if windows["can_end"][row, j]:
                        begin, stop = windows["token_starts"][row, i], windows["token_ends"][row, j]
                        text = context.encode()[begin:stop]
                        spans.append((start[row, i] + end[row, j], text, begin, stop))
        spans.sort(key=lambda span: -span[0])
        if threshold is not None:
            place = sum(span[0] >= none - threshold for span in spans)
            spans.insert(place, (none, b"", 0, 0))
        found.append((none, spans))
    return found


@pytest.mark.parametrize("threshold", [None, 0.0, -40.0, 1e9])
@pytest.mark.parametrize("longest", [1, 4, 100])
@pytest.mark.parametrize("num_best", [None, 1, 7])
def test_equals_brute_force(preprocessor, threshold, longest, num_best):
    x, windows = preprocessor.make_windows(QUESTIONS, CONTEXTS)
    start, end = random_logits(x["input_ids"].shape, seed=longest)
    actual = decode_answers(
        start,
        end,
        windows,
        CONTEXTS,
        max_answer_length=longest,
        num_best=num_best,
        no_answer_threshold=threshold,
    )
    expected = reference(start, end, windows, CONTEXTS, longest, threshold)
    for example, (none, spans) in enumerate(expected):
        assert float(actual["no_answer_score"][example]) == none
        filled = spans + [(none, b"", 0, 0)] * 7
        for rank in range(num_best or 1):
            place = (example,) if num_best is None else (example, rank)
            score, text, begin, stop = filled[rank]
            assert actual["answer"][place].numpy() == text
            assert (int(actual["start"][place]), int(actual["end"][place])) == (begin, stop)
            np.testing.assert_allclose(actual["score"][place], score)
    rank = 1 if num_best is None else 2
    assert {len(actual[key].shape) for key in ("answer", "score", "start", "end")} == {rank}


def test_labels_come_back_as_the_answers(preprocessor):
    """Preprocessor and decoder together: certain logits give the text that was asked for."""
    context = CONTEXTS[3]
    words = context.split()[4:60:7]
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
    for context, text, begin, stop in zip(
        contexts, answers, found["start"].numpy(), found["end"].numpy(), strict=True
    ):
        assert context[begin:stop] == text == text.strip(b" \t\n\r\v\f")
    # Without an answer are only the contexts in which nothing is visible.
    without = [c for c, answer in zip(contexts, answers, strict=True) if not answer]
    assert {context.strip(b" \t\n\r\v\f") for context in without} == {b""}


@pytest.mark.parametrize(
    ("character", "start", "answer"),
    [
        # As many pieces as characters; and an unknown one, of which SentencePiece makes one piece.
        ("a", 200_002, b"a"),
        ("\u2603", 0, "\u2603".encode() * 20_011),
    ],
)
def test_one_character_very_often(tokenizer, character, start, answer):
    context = character * (200_003 if start else 20_011)
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
