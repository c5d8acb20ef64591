"""Which words are chosen where a bound is just reached."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.masking import (
    LONGEST_WORD,
    MaskingRates,
    MaskingVocabulary,
    check_masking_rates,
    mask_words,
)

# Id 0 is special, 1 begins words, 2 goes on with them; 9 is the mask.
VOCABULARY = MaskingVocabulary(
    9,
    np.array([True, False, False, *[False] * 7]),
    np.array([False, True, *[False] * 8]),
    np.arange(1, 9, dtype=np.int32),
)
# Words of 1, 2 and 3 pieces, at 1, 2 and 4.
ROW = [0, 1, 1, 2, 1, 2, 2, 0]


def chosen(row, order, rate, max_masked, **rates):
    """The positions that are chosen, where words come in the order of these numbers."""
    uniform = np.zeros((1, len(row), 3), "float32")
    uniform[0, : len(order), 0] = order
    rates = MaskingRates(rate, **{"mask": 1.0, "random": 0.0, **rates})
    ids, masked = mask_words(
        tf.constant([row]), tf.constant(uniform), VOCABULARY, rates, max_masked
    )
    used = masked["masked_weights"][0].numpy() > 0
    positions = masked["masked_positions"][0].numpy()[used].tolist()
    assert np.flatnonzero(ids[0] == 9).tolist() == positions
    return positions


# Of words 0 ([CLS]) to 4 ([SEP]): the one of three pieces first, then that of two.
LARGEST_FIRST = [0.0, 0.9, 0.5, 0.1, 0.0]


@pytest.mark.parametrize(
    ("max_masked", "expected"),
    [
        (2, []),
        (3, [4, 5, 6]),
        (4, [4, 5, 6]),
        (5, [2, 3, 4, 5, 6]),
        (6, [1, 2, 3, 4, 5, 6]),
        (7, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_word_that_exactly_fills_max_masked(max_masked, expected):
    assert chosen(ROW, LARGEST_FIRST, 1.0, max_masked) == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        # Of six pieces 0, 0.48 (but one at least), 3 and 3.54, rounded to 4.
        (0.0, []),
        (0.08, [4, 5, 6]),
        (0.5, [4, 5, 6]),
        (0.59, [2, 3, 4, 5, 6]),
        (5 / 6, [2, 3, 4, 5, 6]),
        (1.0, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_share_that_a_word_exactly_reaches(rate, expected):
    assert chosen(ROW, LARGEST_FIRST, rate, 7) == expected


@pytest.mark.parametrize(("length", "parts"), [(9, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_the_longest_word(length, parts):
    """Ten pieces without a space are one word, eleven are two."""
    assert LONGEST_WORD == 10
    row = [0, 1, *[2] * (length - 1), 0]
    positions = chosen(row, [0.0, 0.1, 0.2, 0.3, 0.0], 0.01, 30)
    assert positions == list(range(1, 1 + min(length, 10)))
    all_of_them = chosen(row, [0.0, 0.1, 0.2, 0.3, 0.0], 1.0, 30)
    assert all_of_them == list(range(1, 1 + length))
    # Of the last part the share is reached before the parts in front of it are.
    last_first = [0.0, *np.linspace(0.9, 0.1, parts), 0.0]
    begin = 1 + 10 * (parts - 1)
    assert chosen(row, last_first, 0.01, 30) == list(range(begin, 1 + length))


@pytest.mark.parametrize(
    ("way", "expected"),
    [(0.0, 9), (0.49, 9), (0.5, 3), (0.74, 3), (0.75, 1), (0.99, 1)],
)
def test_shares_of_the_three_ways(way, expected):
    """Below the first share the mask, below both together a random piece, else the piece."""
    uniform = tf.constant([[[0.0, way, 0.25]]])
    ids, _ = mask_words(
        tf.constant([[1]]), uniform, VOCABULARY, MaskingRates(1.0, 0.5, 0.25), max_masked=1
    )
    # A quarter of the way through the ids 1 to 8.
    assert ids.numpy().tolist() == [[expected]]


def test_rates_at_their_bounds():
    check_masking_rates(MaskingRates(0, 0, 0))
    check_masking_rates(MaskingRates(1, 0.75, 0.25))
    check_masking_rates(MaskingRates(1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="at most 1 together"):
        check_masking_rates(MaskingRates(1.0, 0.75, 0.2500001))
