"""Where windows begin and end, by hand, at lengths that just fit and just do not."""

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.context_windows import WindowLayout, plan_overlapping
from bigbird_tf.preprocessing.tokenizers.text_layout import TextLayout


def plan(length, capacity=10, doc_stride=4, max_windows=None):
    """The windows of one context behind a question of three pieces."""
    made = plan_overlapping(
        tf.constant([3]), tf.constant([length]), tf.constant([capacity]), doc_stride, max_windows
    )
    assert set(made.example.numpy().tolist()) == {0}
    assert set(made.question_length.numpy().tolist()) == {3}
    return [tuple(row) for row in tf.stack(made[2:], axis=1).numpy().tolist()]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        # First and end of each window, and the pieces between that begin answers.
        (0, [(0, 0, 0, 0)]),
        (1, [(0, 1, 0, 1)]),
        (10, [(0, 10, 0, 10)]),
        # The eleventh makes a second window, of pieces 4 to 10; they share 4 to 9.
        (11, [(0, 10, 0, 7), (4, 11, 7, 11)]),
        (14, [(0, 10, 0, 7), (4, 14, 7, 14)]),
        (15, [(0, 10, 0, 7), (4, 14, 7, 11), (8, 15, 11, 15)]),
        (18, [(0, 10, 0, 7), (4, 14, 7, 11), (8, 18, 11, 18)]),
    ],
)
def test_by_hand(length, expected):
    assert plan(length) == expected


def test_an_odd_middle_belongs_to_the_second():
    """Windows share pieces 5 to 9: the middle is 7, of which 5 and 6 are before it."""
    assert plan(15, doc_stride=5) == [(0, 10, 0, 7), (5, 15, 7, 15)]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, [(0, 10, 0, 10)]),
        (2, [(0, 10, 0, 7), (4, 14, 7, 14)]),
        (3, [(0, 10, 0, 7), (4, 14, 7, 11), (8, 18, 11, 18)]),
        (4, [(0, 10, 0, 7), (4, 14, 7, 11), (8, 18, 11, 18)]),
    ],
)
def test_the_most_windows(most, expected):
    """The last one that is kept has all answers that it can begin."""
    assert plan(18, max_windows=most) == expected


def test_windows_that_just_touch():
    """A stride as long as a window leaves no gap and shares nothing."""
    assert plan(20, doc_stride=10) == [(0, 10, 0, 10), (10, 20, 10, 20)]
    assert plan(21, doc_stride=10)[2] == (20, 21, 20, 21)


def test_each_context_by_its_own_room_and_stride():
    made = plan_overlapping(
        tf.constant([3, 5, 1]),
        tf.constant([11, 8, 0]),
        tf.constant([10, 8, 12]),
        tf.constant([4, 2, 6]),
    )
    assert made.example.numpy().tolist() == [0, 0, 1, 2]
    assert made.question_length.numpy().tolist() == [3, 3, 5, 1]
    assert made.first.numpy().tolist() == [0, 4, 0, 0]
    assert made.end.numpy().tolist() == [10, 11, 8, 0]
    # Of the question-answering layout of BigBird, three special pieces beside; of Pegasus, one.
    for special_pieces, lengths in (
        ((2, 3, 3), [16, 13, 16, 4]),
        ((None, None, 1), [14, 11, 14, 2]),
    ):
        layout = WindowLayout(TextLayout(*special_pieces), 0, 99, 1, None, "longest", None)
        assert made.lengths(layout).numpy().tolist() == lengths
