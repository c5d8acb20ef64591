"""Biases of relative positions: what a query's scores of labels add to its scores of keys.

A pair of query and key has a label: how far the key is from the query, clipped; or, of a token
beside the sequence and one of the sequence, whether the second belongs to the first. A label has a
vector, which is added to keys (Shaw et al., 2018; ETC: Ainslie et al., 2020). The products of a
query with all of these vectors are its scores of labels, `(…, Q, E)`. Here they are laid out onto
keys: of full attention, of rows of a pattern, and of the queries of global blocks.

Shapes use Q for queries, E for labels, b for block size; the others are those of `chunked`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from bigbird_tf.attention.kernels.relative_pieces import (
    Far,
    Labels,
    Members,
    Near,
    Pieces,
    columns_of,
    gradient_of,
)
from bigbird_tf.attention.pattern.slots import SlotLayout
from bigbird_tf.types import Tensor

__all__ = ["GlobalQueries", "RelativeScores", "RowQueries", "relative_bias"]


class RelativeScores(NamedTuple):
    """Scores of labels, and what says which pairs have which.

    Attributes:
        scores: Tensor `(B, N, T, E)`: products of queries with the labels' vectors.
        labels: The labels.
        membership: Numbers `(B, T)`: to which token beside the sequence each token of it belongs,
            -1 for none; `None` for none of them.
    """

    scores: Tensor
    labels: Labels
    membership: Tensor | None = None


def of_side(labels: Labels, length: Any, members: Tensor | None) -> Pieces:
    """Returns the pieces of the queries of all tokens beside the sequence.

    Args:
        labels: The labels.
        length: Keys of all; the sequence's and those beside it.
        members: Numbers `(…, 1, length)`: to which token beside it one of the sequence belongs, -1
            for none; `None` for none of them.
    """
    side = labels.num_side
    is_member = None
    if members is not None:
        numbers = ops.arange(side, dtype="int32")[:, None]
        is_member = ops.equal(members[..., side:], ops.cast(numbers, members.dtype))
    return Near(labels, 0, side), Members(labels, is_member, length - side)


def of_sequence(
    labels: Labels, first: Any, num_queries: Any, length: Any, members: Tensor | None
) -> Pieces:
    """Returns the pieces of some queries of the sequence, one after the other.

    Args:
        labels: The labels.
        first: Where the first of them stands in the sequence.
        num_queries: Q.
        length, members: As of `of_side`.
    """
    near = Near(labels, first, length - labels.num_side)
    if not labels.num_side:
        return (near,)
    start = labels.num_side + first
    own = None if members is None else members[..., start : start + num_queries]
    return side_keys(labels, own), near


def side_keys(labels: Labels, members: Tensor | None) -> Members:
    """Returns the piece of the tokens beside the sequence, as keys of queries of the sequence.

    Args:
        labels: The labels.
        members: Numbers `(…, 1, Q)`, to which of them each query belongs; `None` for none.
    """
    is_member = None
    if members is not None:
        numbers = ops.cast(ops.arange(labels.num_side, dtype="int32"), members.dtype)
        is_member = ops.equal(ops.swapaxes(members, -1, -2), numbers)
    return Members(labels, is_member, labels.num_side)


class RowQueries:
    """The pieces of rows of a pattern, one after the other, with the keys of their slots.

    Args:
        labels: The labels.
        layout: What each slot of a row is for.
        block_size: b.
        first: The first row's block.
        ids: int32 `(G, rows, S)`, the rows' key blocks.
        members: Numbers `(1 or G, 1, 1, T)`, see `RelativeScores`.
    """

    def __init__(
        self,
        labels: Labels,
        layout: SlotLayout,
        block_size: int,
        first: Any,
        ids: Tensor,
        members: Tensor | None,
    ):
        self.shape = (*ops.shape(ids)[:2], block_size)
        self.labels, self.layout, self.block_size = labels, layout, block_size
        self.first, self.ids, self.members = first, ids, members

    def _pieces(self) -> Pieces:
        labels, layout, size = self.labels, self.layout, self.block_size
        num_rows, random = self.shape[1], layout.groups["random"]
        pieces: list[Near | Far | Members] = []
        if labels.num_side:
            own = None
            if self.members is not None:
                own = ops.reshape(self.members, (ops.shape(self.members)[0], -1, 1, size))
                own = own[:, self.first : self.first + num_rows]
            pieces.append(side_keys(labels, own))
        if num_start := layout.num_start - labels.num_side // size:
            pieces.append(Far(labels, False, num_start, size))
        before = layout.window_before * size
        pieces.append(Near(labels, before, layout.num_window * size))
        if layout.num_end:
            pieces.append(Far(labels, True, layout.num_end, size))
        if layout.num_random:
            rows = self.first + ops.arange(num_rows, dtype="int32")[:, None]
            is_right = (self.ids[:, :, random] > rows)[:, :, None]
            pieces.append(Far(labels, is_right, layout.num_random, size))
        return pieces

    def columns(self, scores: Tensor) -> Tensor:
        """Returns `(R, 1, b, S * b)` of scores `(R, 1, b, E)`."""
        scores = ops.reshape(scores, (*self.shape, self.labels.num_labels))
        columns = columns_of(self._pieces(), scores)
        return ops.reshape(columns, (-1, 1, self.block_size, columns.shape[-1]))

    def gradient(self, grad: Tensor) -> Tensor:
        """Returns what flows back from `(R, 1, b, S * b)`: `(R, 1, b, E)`."""
        grad = ops.reshape(grad, (*self.shape, grad.shape[-1]))
        grad = gradient_of(self._pieces(), grad)
        return ops.reshape(grad, (-1, 1, self.block_size, self.labels.num_labels))


class GlobalQueries:
    """The pieces of the queries of global blocks, which read everything.

    Args:
        labels, layout, block_size: As `RowQueries`'s.
        length: T.
        members: Numbers `(1 or G, 1, 1, T)`, see `RelativeScores`.
    """

    def __init__(
        self,
        labels: Labels,
        layout: SlotLayout,
        block_size: int,
        length: Any,
        members: Tensor | None,
    ):
        side, end = labels.num_side, layout.num_end * block_size
        start = layout.num_start * block_size - side
        self.spans: list[tuple[int, Pieces]] = []
        if side:
            self.spans.append((side, of_side(labels, length, members)))
        if start:
            self.spans.append((start, of_sequence(labels, 0, start, length, members)))
        if end:
            first = length - side - end
            self.spans.append((end, of_sequence(labels, first, end, length, members)))

    def columns(self, scores: Tensor) -> Tensor:
        """Returns `(G, 1, K, T)` of scores `(G, 1, K, E)`."""
        return self._join(columns_of, scores)

    def gradient(self, grad: Tensor) -> Tensor:
        """Returns what flows back from `(G, 1, K, T)`: `(G, 1, K, E)`."""
        return self._join(gradient_of, grad)

    def _join(self, function: Callable, x: Tensor) -> Tensor:
        parts, start = [], 0
        for count, pieces in self.spans:
            parts.append(function(pieces, x[:, :, start : start + count]))
            start += count
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=2)


def relative_bias(relative: RelativeScores) -> Tensor:
    """Returns what full attention adds to scores, `(B, N, T, T)`."""
    scores, labels, membership = relative
    length, side = ops.shape(scores)[2], labels.num_side
    members = None if membership is None else membership[:, None, None]
    pieces = of_sequence(labels, 0, length - side, length, members)
    bias = columns_of(pieces, scores[:, :, side:])
    if not side:
        return bias
    of_tokens = columns_of(of_side(labels, length, members), scores[:, :, :side])
    return ops.concatenate([of_tokens, bias], axis=2)
