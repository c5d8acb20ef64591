"""From labels of tokens to intervals of bases, and back."""

from collections.abc import Iterable, Sequence

import numpy as np

from bigbird_tf.preprocessing.genomics.bed import Interval

__all__ = ["intervals_to_labels", "labels_to_intervals"]

OUTSIDE = "O"


def labels_to_intervals(
    labels: Sequence[int] | np.ndarray,
    starts: Sequence[int] | np.ndarray,
    ends: Sequence[int] | np.ndarray,
    names: Sequence[str],
    *,
    chrom: str,
    offset: int = 0,
    outside: str = OUTSIDE,
) -> list[Interval]:
    """Joins neighbouring tokens of one label to intervals of bases.

    Of tokens that overlap, each has the bases before the next one.

    Args:
        labels: The label of each token, of shape (T,), as indices of `names`.
        starts: The first base of each, ascending, as `tokenize_with_offsets` returns it.
        ends: The base behind its last one.
        names: The labels' names.
        chrom: The record that the sequence is of.
        offset: Where in the record the sequence begins.
        outside: The label of tokens that are in no interval.

    Returns:
        The intervals, by their places; a label `"gene+"` or `"gene-"` is a name and a strand.

    Raises:
        ValueError: If the lists are not of one length, or a label is none of `names`.
    """
    labels, starts, ends = (
        np.asarray(values, int).reshape(-1) for values in (labels, starts, ends)
    )
    _check_offsets(starts, ends, labels)
    if labels.size and not 0 <= labels.min() <= labels.max() < len(names):
        raise ValueError(
            f"`labels` must be indices of the {len(names)} `names`. Received: labels from "
            f"{labels.min()} to {labels.max()}"
        )
    ends = _own_ends(starts, ends)
    # A new interval begins where the label changes, or bases are left out.
    begins = np.ones(labels.size, bool)
    begins[1:] = (labels[1:] != labels[:-1]) | (starts[1:] != ends[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], labels.size) - 1 if first.size else first
    found = []
    for one, other in zip(first, last, strict=True):
        name = names[labels[one]]
        if name != outside:
            bare = name.rstrip("+-") or name
            strand = name[-1] if name[-1:] in ("+", "-") and bare != name else "."
            place = offset + int(starts[one]), offset + int(ends[other])
            found.append(Interval(chrom, *place, bare, 0, strand))
    return found


def intervals_to_labels(
    intervals: Iterable[Interval],
    starts: Sequence[int] | np.ndarray,
    ends: Sequence[int] | np.ndarray,
    names: Sequence[str],
    *,
    chrom: str,
    offset: int = 0,
    outside: str = OUTSIDE,
) -> np.ndarray:
    """Returns the label that most bases of each token have; of as many, the first of `names`.

    Of tokens that overlap, each has the bases before the next one. Where intervals overlap, a base
    is in the last of them.

    Args:
        intervals: Those of other records than `chrom` are left out.
        starts: The first base of each token, ascending, as `tokenize_with_offsets` returns it.
        ends: The base behind its last one.
        names: The labels' names: that of an interval, or that and its strand, as `"gene+"`.
        chrom: The record that the sequence is of.
        offset: Where in the record the sequence begins.
        outside: The label of bases that are in no interval.

    Returns:
        int32 of shape (T,): indices of `names`.

    Raises:
        ValueError: If `starts` and `ends` are not of one length, or an interval's name, or
            `outside`, is none of `names`.
    """
    starts, ends = (np.asarray(values, int).reshape(-1) for values in (starts, ends))
    _check_offsets(starts, ends)
    ids = {name: index for index, name in enumerate(names)}
    if outside not in ids:
        raise ValueError(f"`names` must have `outside`. Received: {outside!r}, {list(names)}")
    length = int(ends.max(initial=0))
    of_base = np.full(length, ids[outside], np.int32)
    for interval in intervals:
        if interval.chrom != chrom:
            continue
        begin, end = (min(max(x - offset, 0), length) for x in (interval.start, interval.end))
        if begin == end:
            continue
        label = ids.get(interval.name + interval.strand, ids.get(interval.name))
        if label is None:
            raise ValueError(
                f"`names` must have the name of every interval, {list(names)}. Received: {interval}"
            )
        of_base[begin:end] = label
    ends = _own_ends(starts, ends)
    # How many bases before each place have the label.
    counts = [np.append(0, np.cumsum(of_base == label)) for label in range(len(names))]
    own = np.stack([count[ends] - count[starts] for count in counts])
    return own.argmax(axis=0).astype(np.int32)


def _check_offsets(starts: np.ndarray, ends: np.ndarray, *others: np.ndarray) -> None:
    sizes = {values.size for values in (starts, ends, *others)}
    if len(sizes) > 1:
        raise ValueError(
            "There must be a start, an end and a label of each token. Received: "
            f"{starts.size} starts, {ends.size} ends, {[other.size for other in others]} labels"
        )
    if np.any(starts[1:] < starts[:-1]) or np.any(ends < starts):
        raise ValueError("`starts` must ascend, and `ends` must not be before them")


def _own_ends(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns where each token ends, or the next one begins."""
    own = ends.copy()
    own[:-1] = np.minimum(ends[:-1], starts[1:])
    return own
