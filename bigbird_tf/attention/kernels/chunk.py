"""The parts of a turn: chunks of rows, and the queries of global blocks, with their biases.

Shapes use the letters of `chunked`, and E for labels of relative positions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from keras import ops

from bigbird_tf.attention.kernels.plan import Tiles
from bigbird_tf.attention.kernels.relative_bias import GlobalQueries, RowQueries
from bigbird_tf.attention.kernels.relative_pieces import Labels
from bigbird_tf.attention.pattern.slots import SlotLayout
from bigbird_tf.nn.backend import take
from bigbird_tf.nn.dense import as_matrix
from bigbird_tf.nn.serialized_execution import SerializedExecution
from bigbird_tf.types import Tensor

__all__ = [
    "Chunk",
    "Static",
    "concatenate",
    "global_pieces",
    "global_queries",
    "global_query_bias",
    "of_global_queries",
    "with_global_queries",
]


class Static(NamedTuple):
    """What is known before any tensor; hashable."""

    layout: SlotLayout
    block_size: int
    scale: float
    tiles: Tiles
    sums: str
    serialize: bool
    in_float32: bool = False
    compute_once: bool = False
    labels: Labels | None = None
    has_members: bool = False

    def execution(self) -> Any:
        """Returns what calls functions of a turn: one after the other, or as the backend likes."""
        return SerializedExecution() if self.serialize else lambda function, *args: function(*args)


class Chunk:
    """Rows of the heads of a turn, from row `start` to `end`: R in all."""

    def __init__(self, start: Any, end: Any, ids: Tensor, slot_bias: Tensor, static: Static):
        self.start, self.end, self.static = start, end, static
        self.ids, self.slot_bias = ids[:, start:end], slot_bias[start:end]

    def rows(self, x: Tensor) -> Tensor:
        """The queries of these rows, from `(G, T, H)` to `(R, 1, b, H)`."""
        block_size, offset = self.static.block_size, self.static.layout.row_offset
        first, last = (offset + self.start) * block_size, (offset + self.end) * block_size
        # A slice of the first dimension needs no copy.
        x = as_matrix(x)[first:last] if self.static.tiles.heads == 1 else x[:, first:last]
        return ops.reshape(x, (-1, 1, block_size, x.shape[-1]))

    def gather(self, *tensors: Any) -> list[Tensor]:
        """The key blocks that these rows read, from `(G, T, H)` to `(R, 1, S * b, H)` each."""
        heads, length, head_size = ops.shape(tensors[0])
        block_size, num_slots = self.static.block_size, self.ids.shape[-1]
        ids = self.ids
        if self.static.tiles.heads != 1:
            offsets = ops.arange(heads, dtype="int32") * (length // block_size)
            ids = ids + ops.reshape(offsets, (-1, 1, 1))
        ids = ops.reshape(ids, (-1,))
        blocks = (ops.reshape(x, (-1, block_size * head_size)) for x in tensors)
        blocks = (take(x, ids) for x in blocks)
        return [ops.reshape(x, (-1, 1, num_slots * block_size, head_size)) for x in blocks]

    def pieces(self, biases: Sequence[Tensor]) -> RowQueries:
        """What relative positions add to these rows' scores."""
        static, members = self.static, biases[1] if self.static.has_members else None
        first = static.layout.row_offset + self.start
        labels = cast(Labels, static.labels)
        return RowQueries(labels, static.layout, static.block_size, first, self.ids, members)

    def bias(self, biases: Sequence[Tensor], of_labels: Sequence[Tensor], run: Any) -> Tensor:
        """The bias of these rows' scores, from that of keys `(1 or G, 1, 1, T)` and of labels.

        Of each key, `(R, 1, 1, S * b)`; of each query and key, `(R, 1, b, S * b)`, where blocks are
        read in part, or positions are relative.
        """
        key_bias = biases[0]
        block_size, num_slots = self.static.block_size, self.ids.shape[-1]
        blocks = ops.reshape(key_bias, (-1, block_size))
        ids = self.ids
        if not self.static.tiles.heads:
            # The keys of several sequences.
            heads, _, _, length = ops.shape(key_bias)
            offsets = ops.arange(heads, dtype="int32") * (length // block_size)
            ids = ids + ops.reshape(offsets, (-1, 1, 1))
        bias = take(blocks, ids) + self.slot_bias[None, :, :, None]
        bias = ops.reshape(bias, (-1, 1, 1, num_slots * block_size))
        for scores in of_labels:
            # It stays float32 beside half precision.
            bias = ops.add(bias, run(self.pieces(biases).columns, self.rows(scores)))
        partial = self.static.layout.partial_bias(block_size)
        return bias if partial is None else bias + partial.reshape(1, 1, block_size, -1)


def of_global_queries(global_bias: Tensor, static: Static) -> Tensor:
    """Returns a bias of the first queries, `(B, K, T)`, as one of all queries of global blocks."""
    num_queries = (static.layout.num_start + static.layout.num_end) * static.block_size
    batch, count, length = ops.shape(global_bias)
    others = ops.zeros((batch, num_queries - count, length), "float32")
    return ops.concatenate([ops.convert_to_tensor(global_bias, "float32"), others], axis=1)


def global_pieces(biases: Sequence[Tensor], static: Static) -> GlobalQueries:
    """Returns what relative positions add to scores of global queries."""
    length, members = ops.shape(biases[0])[-1], biases[1] if static.has_members else None
    labels = cast(Labels, static.labels)
    return GlobalQueries(labels, static.layout, static.block_size, length, members)


def global_query_bias(
    biases: Sequence[Tensor], of_labels: Sequence[Tensor], static: Static, run: Any
) -> Tensor:
    """Returns the bias of global queries' scores, `(1 or G, 1, 1 or K, T)`."""
    bias = sum(biases[1 + static.has_members :], biases[0])
    for scores in of_labels:
        of_queries = global_queries(scores, static)
        bias = ops.add(bias, run(global_pieces(biases, static).columns, of_queries))
    return bias


def global_queries(x: Tensor, static: Static) -> Tensor:
    """The queries of global blocks, from `(G, T, H)` to `(G, 1, blocks * b, H)`."""
    left = static.layout.row_offset * static.block_size
    right = ops.shape(x)[1] - static.layout.num_end * static.block_size
    return ops.concatenate([x[:, :left], x[:, right:]], axis=1)[:, None]


def with_global_queries(rows: Tensor, from_global: Tensor, heads: int, static: Static) -> Tensor:
    """Returns `(G, T, H)`: global queries `(G, 1, blocks * b, H)` around chunks `(R, 1, b, H)`."""
    rows = [ops.reshape(x, (heads, -1, x.shape[-1])) for x in rows]
    if from_global is not None:
        left = static.layout.row_offset * static.block_size
        rows = [from_global[:, 0, :left], *rows, from_global[:, 0, left:]]
    return concatenate(rows, 1)


def concatenate(parts: Any, axis: int) -> Tensor:
    """Returns tensors side by side, and a single one as it is."""
    return parts[0] if len(parts) == 1 else ops.concatenate(list(parts), axis=axis)
