"""Answers that are just as good as a threshold asks for are given."""

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing import AnswerCalibration
from bigbird_tf.preprocessing.answer_confidence import log_odds
from bigbird_tf.preprocessing.answer_decoding import choose_answers

CONTEXT = tf.constant(["bird river"])


def choose(scores, no_answer, log_total=3.0, **options):
    """Chooses among two spans, "bird" and "river", of one window."""
    spans = {
        "score": tf.constant([scores]),
        "start": tf.constant([[0, 5]]),
        "end": tf.constant([[4, 10]]),
        "no_answer_score": tf.constant([no_answer]),
        "log_total": tf.constant([log_total]),
    }
    found = choose_answers(spans, tf.constant([0]), CONTEXT, **options)
    return [text.decode() for text in found["answer"][0].numpy()]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        # "bird" exceeds "no answer" by 1.5, "river" by 0.25.
        (0.0, ["bird", "river"]),
        (-0.25, ["bird", "river"]),
        (-0.2500001, ["bird", ""]),
        (-1.5, ["bird", ""]),
        (-1.500001, ["", "bird"]),
        (None, ["bird", "river"]),
    ],
)
def test_no_answer_on_a_tie_is_behind(threshold, expected):
    assert choose([2.0, 0.75], 0.5, no_answer_threshold=threshold) == expected


def test_a_span_as_good_as_no_answer_is_given():
    assert choose([0.5, 0.25], 0.5, no_answer_threshold=0.0) == ["bird", ""]
    # And below it, by as much as is allowed.
    assert choose([0.0, -0.25], 0.5, no_answer_threshold=0.5) == ["bird", ""]


def test_the_least_confidence_is_enough():
    """The threshold is one half, and the bias makes it that of the first span, to the bit."""
    odds = float(log_odds(tf.constant(2.0) - tf.constant(3.0)))
    options = {"no_answer_threshold": None, "confidence_threshold": 0.5}
    exactly = AnswerCalibration(bias=-odds)
    assert choose([2.0, 1.0], 0.0, calibration=exactly, **options) == ["bird", ""]
    less = AnswerCalibration(bias=-odds - 1e-5)
    assert choose([2.0, 1.0], 0.0, calibration=less, **options) == ["", "bird"]
    assert choose(
        [2.0, 1.0], 0.0, calibration=less, no_answer_threshold=None, confidence_threshold=0.0
    ) == ["bird", "river"]


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_a_document_without_spans_has_the_least_no_answer_of_its_windows(threshold):
    nothing = float("-inf")
    spans = {
        "score": tf.constant([[nothing], [nothing], [2.0], [nothing]]),
        "start": tf.constant([[3], [4], [0], [5]]),
        "end": tf.constant([[4], [5], [4], [6]]),
        "no_answer_score": tf.constant([4.0, 1.5, 0.5, 3.0]),
        "log_total": tf.constant([5.0, 2.5, 3.0, 4.0]),
    }
    contexts = tf.constant(["a word", "bird", ""])
    found = choose_answers(
        spans, tf.constant([0, 0, 1, 2]), contexts, no_answer_threshold=threshold
    )
    assert found["answer"].numpy().tolist() == [[b""], [b"bird"], [b""]]
    assert found["no_answer_score"].numpy().tolist() == [1.5, 0.5, 3.0]
    assert found["score"].numpy().tolist() == [[1.5], [2.0], [3.0]]
    assert found["start"].numpy().tolist() == [[0], [0], [0]]
    assert found["end"].numpy().tolist() == [[0], [4], [0]]
    assert found["confidence"].numpy()[[0, 2], 0].tolist() == [1.0, 1.0]
