import numpy as np
import pytest

import bigbird_tf as bb
from bigbird_tf.preprocessing.genomics import (
    Interval,
    intervals_to_labels,
    labels_to_intervals,
)

NAMES = ["O", "gene+", "gene-", "repeat"]
STARTS, ENDS = [0, 3, 5, 9, 10, 14], [3, 5, 9, 10, 14, 15]


def to_intervals(labels, starts=STARTS, ends=ENDS, **options):
    return labels_to_intervals(labels, starts, ends, NAMES, chrom="chr1", **options)


def to_labels(intervals, starts=STARTS, ends=ENDS, **options):
    found = intervals_to_labels(intervals, starts, ends, NAMES, chrom="chr1", **options)
    assert found.dtype == np.int32
    return found.tolist()


def test_intervals_by_hand():
    assert to_intervals([0, 1, 1, 2, 0, 3], offset=100) == [
        Interval("chr1", 103, 109, "gene", 0, "+"),
        Interval("chr1", 109, 110, "gene", 0, "-"),
        Interval("chr1", 114, 115, "repeat", 0, "."),
    ]
    assert to_intervals([0] * 6) == []
    assert to_intervals([], [], []) == []
    # Bases that no token has are in no interval.
    assert to_intervals([1, 1], [0, 5], [3, 9]) == [
        Interval("chr1", 0, 3, "gene", 0, "+"),
        Interval("chr1", 5, 9, "gene", 0, "+"),
    ]


def test_tokens_that_overlap():
    """Each has the bases before the next one."""
    starts, ends = [0, 1, 2, 3], [3, 4, 5, 6]
    assert to_intervals([0, 1, 1, 0], starts, ends) == [Interval("chr1", 1, 3, "gene", 0, "+")]
    assert to_intervals([0, 0, 0, 3], starts, ends) == [Interval("chr1", 3, 6, "repeat", 0, ".")]
    assert to_labels([Interval("chr1", 1, 3, "gene", 0, "+")], starts, ends) == [0, 1, 1, 0]
    # Of the last one's three bases, one is not enough.
    assert to_labels([Interval("chr1", 5, 6, "repeat")], starts, ends) == [0, 0, 0, 0]


def test_labels_by_hand():
    found = to_labels(
        [
            Interval("chr1", 101, 105, "gene", 0, "+"),
            Interval("other", 0, 999, "repeat"),
            Interval("chr1", 107, 109, "gene", 0, "-"),
            Interval("chr1", 114, 200, "repeat", 0, "-"),
            Interval("chr1", 0, 100, "repeat"),
        ],
        offset=100,
    )
    # Half of the third token's bases are not most.
    assert found == [1, 1, 0, 0, 0, 3]
    assert to_labels([]) == [0] * 6
    assert to_labels([], [], []) == []
    assert to_labels(
        [Interval("chr1", 0, 15, "gene", 0, "+"), Interval("chr1", 5, 9, "repeat")]
    ) == [*(1, 1, 3, 1, 1, 1)]


def test_there_and_back():
    """Of intervals that begin and end where tokens do."""
    rng = np.random.default_rng(5)
    sequence = "".join(rng.choice(list("ACGTN"), 997))
    for tokenizer in (bb.DnaTokenizer(k=3), bb.DnaTokenizer(k=5, overlapping=True)):
        _, starts, ends = (v.numpy() for v in tokenizer.tokenize_with_offsets(sequence))
        labels = np.repeat(rng.integers(0, 4, len(starts)), 7)[: len(starts)]
        intervals = to_intervals(labels, starts, ends, offset=50)
        assert to_labels(intervals, starts, ends, offset=50) == labels.tolist()


def test_impossible():
    with pytest.raises(ValueError, match="a start, an end and a label of each token"):
        to_intervals([0])
    with pytest.raises(ValueError, match="`labels` must be indices of the 4 `names`"):
        to_intervals([0, 1, 1, 2, 0, 4])
    with pytest.raises(ValueError, match="`starts` must ascend"):
        to_intervals([0, 0], [5, 0], [6, 1])
    with pytest.raises(ValueError, match="`names` must have the name of every interval"):
        to_labels([Interval("chr1", 0, 5, "promoter")])
    with pytest.raises(ValueError, match="`names` must have `outside`"):
        to_labels([], outside="none")
