"""The length that a batch is padded to, at lengths that just fit and just do not."""

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.packing import (
    align_with_pieces,
    check_length_arguments,
    keep_range,
    pack_ended,
    pack_segments,
    padded_length,
    trim_longest_first,
)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, "longest", 1), None),
        ((1, "longest", 1), "`max_length` must be an integer, 2 or more.*max_length=1"),
        ((3, "longest", 1, 3), None),
        ((2, "longest", 1, 3), "`max_length` must be an integer, 3 or more.*max_length=2"),
        ((7, "max_length", 0), "`pad_to_multiple_of` must be an integer, 1 or more.*=0"),
        ((7, "max_length", True), "`pad_to_multiple_of` must be an integer.*=True"),
        ((7.0, "max_length", None), r"`max_length` must be an integer.*=7\.0"),
        ((None, "longest", None), None),
        ((None, "max_length", None), "`padding='max_length'` needs a `max_length`"),
        ((7, "shortest", None), "`padding` must be 'longest' or 'max_length'.*'shortest'"),
    ],
)
def test_arguments_of_length(arguments, message):
    if message is None:
        check_length_arguments(*arguments)
        return
    with pytest.raises(ValueError, match=message):
        check_length_arguments(*arguments)


def rows(*lengths, first=10):
    """Pieces that are all different, of rows of these lengths."""
    return tf.RaggedTensor.from_row_lengths(
        tf.range(first, first + sum(lengths), dtype=tf.int32), lengths
    )


@pytest.mark.parametrize(
    ("first", "second", "room", "expected"),
    [
        (5, 3, 8, (5, 3)),
        (5, 3, 7, (4, 3)),
        (3, 5, 7, (3, 4)),
        (5, 3, 6, (3, 3)),
        # An odd place stays with the longer one, of equal ones with the second.
        (6, 4, 5, (3, 2)),
        (4, 6, 5, (2, 3)),
        (4, 4, 5, (2, 3)),
        (9, 1, 3, (2, 1)),
        (0, 9, 3, (0, 3)),
        (9, 0, 3, (3, 0)),
        (4, 4, 0, (0, 0)),
    ],
)
def test_the_longer_one_loses_pieces_first(first, second, room, expected):
    """From its end."""
    given = rows(first), rows(second, first=50)
    found = trim_longest_first(list(given), room)
    assert tuple(int(part.row_lengths()[0]) for part in found) == expected
    for part, whole, count in zip(found, given, expected, strict=True):
        assert part.to_list() == [whole.to_list()[0][:count]]
    assert trim_longest_first([given[0]], room)[0].to_list() == [given[0].to_list()[0][:room]]


def test_stretches_of_rows():
    found = keep_range(rows(4, 0, 3, 2), tf.constant([1, 0, 0, 1]), tf.constant([2, 5, 9, 0]))
    assert found.to_list() == [[11, 12], [], [14, 15, 16], []]
    assert keep_range(rows(3, 1), 1, tf.constant([1, 1])).to_list() == [[11], []]


SPECIAL = {"cls_token_id": 1, "sep_token_id": 2, "pad_token_id": 7}


@pytest.mark.parametrize("truncation", [True, False])
@pytest.mark.parametrize(("padding", "width"), [("longest", 8), ("max_length", 8)])
def test_packed_pairs(truncation, padding, width):
    segments = [rows(1, 3), rows(2, 5, first=50)]
    options = {"max_length": 8, "padding": padding, "pad_to_multiple_of": None}
    found = pack_segments(segments, **SPECIAL, **options, truncation=truncation)
    second = [11, 12, 2, 52, 53, 54, 2] if truncation else [11, 12, 13, 2, 52, 53, 54, 55, 56, 2]
    # Of eight places five are for pieces: two and three.
    width = width if truncation else 1 + len(second)
    expected = [[1, 10, 2, 50, 51, 2], [1, *second]]
    assert found["input_ids"].numpy().tolist() == [
        row + [7] * (width - len(row)) for row in expected
    ]
    lengths = [len(row) for row in expected]
    assert found["attention_mask"].numpy().tolist() == [
        [1] * length + [0] * (width - length) for length in lengths
    ]
    assert found["token_type_ids"].numpy().sum(axis=1).tolist() == [3, 4 if truncation else 6]
    assert {value.dtype for value in found.values()} == {tf.int32}


@pytest.mark.parametrize(("end", "row"), [(3, [10, 50, 51, 3]), (None, [10, 11, 50, 51])])
def test_packed_with_an_end(end, row):
    options = {"pad_token_id": 7, "max_length": 4, "padding": "longest", "pad_to_multiple_of": 3}
    found = pack_ended([rows(0, 5), rows(0, 5, first=50)], eos_token_id=end, **options)
    # Three places for two segments of five: the odd one is the second's.
    first = [end] if end else []
    assert found["input_ids"].numpy().tolist() == [first + [7] * (4 - len(first)), row]
    assert found["attention_mask"].numpy().sum(axis=1).tolist() == [len(first), 4]
    assert list(found) == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(("max_length", "kept"), [(5, 3), (6, 4), (9, 4)])
def test_values_beside_pieces(max_length, kept):
    """One place behind [CLS], and nothing at [SEP]."""
    found = align_with_pieces(rows(4, 1), max_length, tf.constant(max_length), max_length)
    whole = [0, *range(10, 10 + kept), *[0] * (max_length - 1 - kept)]
    assert found.numpy().tolist() == [whole, [0, 14, *[0] * (max_length - 2)]]
