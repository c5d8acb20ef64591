"""Pieces of a relative bias: what scores of labels add to scores of one kind of keys.

A piece has its columns, and what flows back from them to scores of labels. Nothing is gathered:
along a row of distances every query's scores are the ones before it, moved by one. Shapes use Q for
queries, E for labels, K for keys of a piece, b for block size.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["Far", "Labels", "Members", "Near", "Pieces", "columns_of", "gradient_of"]


class Labels(NamedTuple):
    """The labels of pairs.

    Attributes:
        max_distance: D. The first 2 D + 1 labels are distances from -D to D.
        num_side: Tokens beside the sequence, which stand before it. If there are any, two more
            labels are of pairs of one of them with one of the sequence: no member, and member.
    """

    max_distance: int
    num_side: int = 0

    @property
    def num_labels(self) -> int:
        """E."""
        return self.num_distances + (2 if self.num_side else 0)

    @property
    def num_distances(self) -> int:
        """2 D + 1."""
        return 2 * self.max_distance + 1


class Near(NamedTuple):
    """Keys in a row, of which each query has its own distances.

    Attributes:
        labels: The labels.
        first: Where the first query stands among the keys.
        width: K.
    """

    labels: Labels
    first: Any
    width: Any

    def _parts(self, num_queries: Any) -> tuple:
        """Returns how many columns are left of the distances, which of these there are, and how
        many there are in all.

        Column m is the distance m - (first + Q - 1): the last query's, which is farthest right.
        """
        total = self.width + num_queries
        start = self.first + num_queries - 1 - self.labels.max_distance
        low, high = _maximum(-start, 0), _minimum(total - start, self.labels.num_distances)
        return _maximum(start, 0), low, high, total

    def columns(self, scores: Tensor) -> Tensor:
        """Returns `(…, Q, K)` of scores `(…, Q, E)`."""
        *outer, num_queries, _ = ops.shape(scores)
        left, low, high, total = self._parts(num_queries)
        last = self.labels.num_distances - 1
        right = total - left - (high - low)
        x = ops.concatenate(
            [
                ops.broadcast_to(scores[..., :1], (*outer, num_queries, left)),
                scores[..., low:high],
                ops.broadcast_to(scores[..., last : last + 1], (*outer, num_queries, right)),
            ],
            axis=-1,
        )
        # The query before has the same distances one column to the left: rows of one entry less.
        flat = ops.reshape(x, (*outer, num_queries * total))
        flat = flat[..., num_queries - 1 : num_queries * total - 1]
        return ops.reshape(flat, (*outer, num_queries, total - 1))[..., : self.width]

    def gradient(self, grad: Tensor) -> Tensor:
        """Returns what flows back from columns `(…, Q, K)` to scores, `(…, Q, E)`."""
        *outer, num_queries, _ = ops.shape(grad)
        left, low, high, total = self._parts(num_queries)
        none = ((0, 0),) * len(outer)
        x = ops.pad(grad, (*none, (0, 0), (0, num_queries - 1)))
        x = ops.reshape(x, (*outer, num_queries * (total - 1)))
        x = ops.reshape(ops.pad(x, (*none, (num_queries - 1, 1))), (*outer, num_queries, total))
        end = left + high - low
        middle = ops.pad(x[..., left:end], (*none, (0, 0), (low, self.labels.num_distances - high)))
        ends = (_sum(part) for part in (x[..., :left], x[..., end:]))
        first, last = (ops.cast(x, middle.dtype) for x in ends)
        return ops.concatenate(
            [
                middle[..., :1] + first,
                middle[..., 1:-1],
                middle[..., -1:] + last,
                ops.zeros(
                    (*outer, num_queries, self.labels.num_labels - self.labels.num_distances),
                    x.dtype,
                ),
            ],
            axis=-1,
        )


class Far(NamedTuple):
    """Blocks of keys that are farther than the largest distance from all queries.

    Attributes:
        labels: The labels.
        is_right: Whether a block comes after the queries: a bool, or a bool tensor that broadcasts
            to `(…, 1, blocks)`.
        num_blocks: How many.
        block_size: b.
    """

    labels: Labels
    is_right: Any
    num_blocks: int
    block_size: int

    @property
    def width(self) -> int:
        """K."""
        return self.num_blocks * self.block_size

    def columns(self, scores: Tensor) -> Tensor:
        """Returns `(…, Q, K)` of scores `(…, Q, E)`."""
        last = self.labels.num_distances - 1
        of_blocks = ops.where(self.is_right, scores[..., last : last + 1], scores[..., :1])
        shape = (*ops.shape(of_blocks)[:-1], self.num_blocks, self.block_size)
        return ops.reshape(ops.broadcast_to(of_blocks[..., None], shape), (*shape[:-2], self.width))

    def gradient(self, grad: Tensor) -> Tensor:
        """Returns what flows back from columns `(…, Q, K)` to scores, `(…, Q, E)`."""
        shape = (*ops.shape(grad)[:-1], self.num_blocks, self.block_size)
        of_blocks = _sum(ops.reshape(grad, shape))[..., 0]
        of_right = ops.where(self.is_right, of_blocks, ops.zeros((), of_blocks.dtype))
        right = ops.sum(of_right, axis=-1, keepdims=True)
        left = ops.sum(of_blocks, axis=-1, keepdims=True) - right
        between = ops.zeros((*shape[:-2], self.labels.num_distances - 2), grad.dtype)
        after = ops.zeros(
            (*shape[:-2], self.labels.num_labels - self.labels.num_distances), grad.dtype
        )
        left, right = (ops.cast(x, grad.dtype) for x in (left, right))
        return ops.concatenate([left, between, right, after], axis=-1)


class Members(NamedTuple):
    """Pairs of tokens beside the sequence with tokens of it.

    Attributes:
        labels: The labels.
        is_member: Whether they belong together, a bool tensor that broadcasts to `(…, Q, K)`;
            `None` for none of them.
        width: K.
    """

    labels: Labels
    is_member: Any
    width: Any

    def columns(self, scores: Tensor) -> Tensor:
        """Returns `(…, Q, K)` of scores `(…, Q, E)`."""
        first = self.labels.num_distances
        none, member = scores[..., first : first + 1], scores[..., first + 1 : first + 2]
        if self.is_member is None:
            return ops.broadcast_to(none, (*ops.shape(scores)[:-1], self.width))
        return ops.where(self.is_member, member, none)

    def gradient(self, grad: Tensor) -> Tensor:
        """Returns what flows back from columns `(…, Q, K)` to scores, `(…, Q, E)`."""
        every = _sum(grad)
        if self.is_member is None:
            member = ops.zeros_like(every)
        else:
            member = _sum(ops.where(self.is_member, grad, ops.zeros((), grad.dtype)))
        shape = (*ops.shape(grad)[:-1], self.labels.num_distances)
        both = [ops.cast(x, grad.dtype) for x in (every - member, member)]
        return ops.concatenate([ops.zeros(shape, grad.dtype), *both], axis=-1)


Pieces = Sequence[Near | Far | Members]


def columns_of(pieces: Pieces, scores: Tensor) -> Tensor:
    """Returns the columns of some pieces, side by side."""
    columns = [piece.columns(scores) for piece in pieces]
    return columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=-1)


def gradient_of(pieces: Pieces, grad: Tensor) -> Tensor:
    """Returns what flows back from such columns to scores `(…, Q, E)`."""
    total: Tensor = 0.0
    start: Any = 0
    for piece in pieces:
        total += piece.gradient(grad[..., start : start + piece.width])
        start += piece.width
    return total


def _sum(x: Tensor) -> Tensor:
    return ops.sum(at_least_float32(x), axis=-1, keepdims=True)


def _maximum(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def _minimum(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)
