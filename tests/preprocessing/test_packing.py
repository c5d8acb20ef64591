"""The length that a batch is padded to, at lengths that just fit and just do not."""

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.packing import padded_length


@pytest.mark.parametrize(
    ("longest", "max_length", "step", "expected"),
    [
        (4, 7, 4, 4),
        (5, 7, 4, 7),
        (7, 7, 4, 7),
        # Rows that were left longer than the limit stay whole.
        (9, 7, 4, 9),
        (8, None, 4, 8),
        (9, None, 4, 12),
        (9, 7, None, 9),
        # A batch without rows, or of empty ones, has one place.
        (0, None, None, 1),
        (0, 7, 4, 4),
    ],
)
def test_longest(longest, max_length, step, expected):
    lengths = tf.constant([1, longest] if longest else [], tf.int32)
    assert int(padded_length(lengths, max_length, "longest", step)) == expected


def test_max_length_is_known_without_the_batch():
    assert padded_length(tf.constant([3]), 7, "max_length", 4) == 7
