"""The products of block-sparse attention, in linear time and memory, forward and backward.

One formulation serves every pattern: an index table lists the key blocks of each row, a gather
fetches them, then come two batched matrix products and one softmax. Two things keep it fast and
small:

* The work goes in chunks of a few heads (and, for long sequences, of some rows), so that what was
  gathered is still in the processor's cache when it is multiplied.
* The backward pass is written out. It keeps queries, keys, values and the result, nothing else, and
  computes scores again, chunk by chunk; so a training step never holds all scores at a time. What
  flows back to keys needs almost no scatter: the pattern says who read them. Global blocks were
  read by all rows (a sum), window blocks by their neighbours (shifted sums); the random ones alone
  are added by index.

Shapes use B for batch, N for heads, n for blocks, b for block size, T = n * b for length, H for
head size, G for heads of a chunk, S for slots of a row (see `BlockPattern`).
"""

import functools
import itertools
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from bigbird_tf.attention.block_pattern import BlockPattern

__all__ = ["MASKED", "NOT_READ", "PatternIndex", "attention_weights", "block_sparse_products"]

# Added to the scores of padded keys, as in the originals: not infinity, so that rows without any
# real key stay finite.
MASKED = -1e4
# Added to the scores of slots that are not read: far below padding, so that they are nothing even
# beside padded keys.
NOT_READ = -1e9

# What one chunk gathers of the keys, in bytes. Measured on CPU (benchmarks/RESULTS.md): larger
# chunks leave the cache, and smaller ones pay more for the loop than they gain.
_CHUNK_BYTES = 8 * 2**20


class PatternIndex(NamedTuple):
    """A `BlockPattern` as the products use it; arrays, or tensors if the length is dynamic.

    Attributes:
        key_blocks: int32 `(N, rows, S)`.
        slot_bias: float32 `(rows, S)`, 0 where a slot is read and `NOT_READ` where not.
        num_left, num_right, num_window: Global blocks at the start and the end, and the window's
            width, in blocks. The first slots of a row are these; random ones follow.
    """

    key_blocks: Any
    slot_bias: Any
    num_left: int
    num_right: int
    num_window: int

    @classmethod
    def of(cls, pattern: BlockPattern) -> "PatternIndex":
        """Gives the index of a pattern whose length is known."""
        slot_bias = np.where(pattern.is_read, np.float32(0), np.float32(NOT_READ))
        return cls(
            pattern.key_blocks,
            slot_bias,
            pattern.num_left,
            pattern.num_right,
            pattern.num_window_blocks,
        )

    @classmethod
    def of_dynamic_length(
        cls, num_blocks, tables, starts, *, num_left: int, num_right: int, num_window: int
    ) -> "PatternIndex":
        """Gives the index for a number of blocks that is a tensor.

        Args:
            num_blocks: int32 scalar tensor, n.
            tables, starts: As `random_blocks_of_all_lengths` gives them.
            num_left, num_right, num_window: As the attributes.
        """
        num_heads, num_random = tables.shape[1:]
        num_rows = num_blocks - num_left - num_right
        start = ops.take(ops.convert_to_tensor(starts), num_blocks)
        row = ops.arange(num_rows)
        # Saved graphs have the tables of every layer, and few have as many blocks as a byte counts.
        smallest = np.min_scalar_type(tables.max(initial=0))
        tables = ops.cast(ops.convert_to_tensor(tables.astype(smallest)), "int32")
        random = ops.take(tables, start + row, axis=0)
        random = ops.transpose(random, (1, 0, 2))

        half = num_window // 2
        window = row[:, None] + np.arange(num_left - half, num_left + half + 1, dtype="int32")
        end = num_blocks - num_right
        is_read = ops.logical_and(window >= num_left, window < end)
        zeros = ops.zeros_like(row)[:, None]
        shared = ops.concatenate(
            [
                zeros + np.arange(num_left, dtype="int32"),
                ops.where(is_read, window, 0),
                zeros + end + np.arange(num_right, dtype="int32"),
            ],
            axis=1,
        )
        shared = ops.tile(shared[None], (num_heads, 1, 1))
        window_bias = ops.where(is_read, 0.0, NOT_READ)
        slot_bias = ops.concatenate(
            [
                ops.cast(zeros, "float32") * np.zeros(num_left, "float32"),
                ops.cast(window_bias, "float32"),
                ops.cast(zeros, "float32") * np.zeros(num_right + num_random, "float32"),
            ],
            axis=1,
        )
        key_blocks = ops.concatenate([shared, random], axis=2)
        return cls(key_blocks, slot_bias, num_left, num_right, num_window)


class _Layout(NamedTuple):
    """What of the pattern and the shapes is known before any tensor."""

    block_size: int
    num_left: int
    num_right: int
    num_window: int
    group: int
    edges: tuple[int, ...]  # where chunks of rows begin and end; empty for one chunk of all rows

    def chunks(self, num_rows) -> list[tuple]:
        return list(itertools.pairwise(self.edges)) or [(0, num_rows)]


def block_sparse_products(query, key, value, key_bias, index: PatternIndex, block_size: int):
    """Computes block-sparse attention (BigBird paper, section 2).

    Args:
        query: Tensor `(B, N, T, H)`, already scaled; T is a multiple of `block_size`.
        key: Tensor `(B, N, T, H)`, of the same dtype.
        value: Tensor `(B, N, T, H)`, of the same dtype.
        key_bias: float32 tensor `(B, T)`, added to the scores of each key (`MASKED` for padding).
        index: The pattern, for T.
        block_size: b.

    Returns:
        Tensor `(B, N, T, H)` of the query's dtype. Softmax is computed in float32 at least.
    """
    layout = _plan(query, index, block_size)
    tables = (
        ops.convert_to_tensor(index.key_blocks, "int32"),
        ops.convert_to_tensor(index.slot_bias, "float32"),
    )

    @ops.custom_gradient
    def products(query, key, value, key_bias):
        context = _call(_forward, query, key, value, key_bias, *tables, layout=layout)

        def gradient(upstream, **_):
            inputs = (query, key, value, key_bias, *tables, context, upstream)
            return (*_call(_backward, *inputs, layout=layout), ops.zeros_like(key_bias))

        return context, gradient

    return products(query, key, value, key_bias)


def _plan(query, index, block_size) -> _Layout:
    """Decides how much goes into a chunk."""
    _, num_heads, length, head_size = query.shape
    _, num_rows, num_slots = index.key_blocks.shape
    group, edges = 1, ()
    if length is not None and num_rows is not None:
        itemsize = 4 if keras.backend.standardize_dtype(query.dtype) == "float32" else 2
        rows_of_chunk = max(1, _CHUNK_BYTES // (num_slots * block_size * head_size * itemsize))
        divisors = [g for g in range(1, num_heads + 1) if num_heads % g == 0]
        group = max(g for g in divisors if g == 1 or g * num_rows <= rows_of_chunk)
        # Chunks of a head are as equal as they can be.
        num_chunks = -(-num_rows // rows_of_chunk)
        edges = tuple(num_rows * i // num_chunks for i in range(num_chunks + 1))
    return _Layout(block_size, index.num_left, index.num_right, index.num_window, group, edges)


def _forward(query, key, value, key_bias, key_blocks, slot_bias, layout):
    """Gives the context `(B, N, T, H)`."""

    def one_group(q, k, v, bias, group_id):
        table, row_bias = _table_and_bias(key_blocks, slot_bias, bias, group_id, layout)
        rows = _middle(q, layout)
        context = []
        for start, end in layout.chunks(ops.shape(rows)[1]):
            ids = table[:, start:end]
            weights = attention_weights(rows[:, start:end], _gather(k, ids), row_bias[:, start:end])
            context.append(ops.matmul(ops.cast(weights, v.dtype), _gather(v, ids)))
        context = _concatenate(context, 1)
        if layout.num_left + layout.num_right:
            weights = attention_weights(_ends(q, layout), _flat(k), bias[None, None])
            ends = ops.matmul(ops.cast(weights, v.dtype), _flat(v))
            context = _with_ends(context, ends, layout)
        return [context]

    return _map_groups(one_group, (query, key, value), key_bias, layout, num_outputs=1)[0]


def _backward(query, key, value, key_bias, key_blocks, slot_bias, context, upstream, layout):
    """Gives what flows back to query, key and value, `(B, N, T, H)` each."""

    def one_group(q, k, v, context, upstream, bias, group_id):
        table, row_bias = _table_and_bias(key_blocks, slot_bias, bias, group_id, layout)
        # Softmax's derivative needs the sum of weight × derivative for each query, which is the
        # product of the result and what flows back to it.
        inner = ops.sum(
            ops.cast(context, "float32") * ops.cast(upstream, "float32"), axis=-1, keepdims=True
        )
        rows, upstream_rows, inner_rows = (_middle(x, layout) for x in (q, upstream, inner))
        query_grad, key_parts, value_parts = [], [], []
        for start, end in layout.chunks(ops.shape(rows)[1]):
            ids = table[:, start:end]
            q_rows, up_rows = rows[:, start:end], upstream_rows[:, start:end]
            gathered_keys = _gather(k, ids)
            weights, score_grad = _score_gradient(
                q_rows,
                gathered_keys,
                _gather(v, ids),
                row_bias[:, start:end],
                up_rows,
                inner_rows[:, start:end],
            )
            query_grad.append(ops.matmul(score_grad, gathered_keys))
            num_slots = table.shape[-1]
            key_parts.append(_by_slot(_transposed_matmul(score_grad, q_rows), num_slots, layout))
            value_parts.append(_by_slot(_transposed_matmul(weights, up_rows), num_slots, layout))
        query_grad = _concatenate(query_grad, 1)
        random_ids = table[:, :, layout.num_left + layout.num_window + layout.num_right :]
        num_blocks = ops.shape(k)[1]
        key_grad = _sum_of_readers(key_parts, random_ids, num_blocks, layout)
        value_grad = _sum_of_readers(value_parts, random_ids, num_blocks, layout)
        key_grad, value_grad = (ops.reshape(x, ops.shape(k)) for x in (key_grad, value_grad))
        if layout.num_left + layout.num_right:
            q_ends, up_ends = _ends(q, layout), _ends(upstream, layout)
            weights, score_grad = _score_gradient(
                q_ends, _flat(k), _flat(v), bias[None, None], up_ends, _ends(inner, layout)
            )
            query_grad = _with_ends(query_grad, ops.matmul(score_grad, _flat(k)), layout)
            key_ends = ops.reshape(_transposed_matmul(score_grad, q_ends), ops.shape(k))
            value_ends = ops.reshape(_transposed_matmul(weights, up_ends), ops.shape(v))
            key_grad += ops.cast(key_ends, key_grad.dtype)
            value_grad += ops.cast(value_ends, value_grad.dtype)
        return [query_grad, ops.cast(key_grad, k.dtype), ops.cast(value_grad, v.dtype)]

    inputs = (query, key, value, context, upstream)
    return _map_groups(one_group, inputs, key_bias, layout, num_outputs=3)


def _map_groups(function, tensors, key_bias, layout, num_outputs):
    """Applies a function to each group of heads, one after the other.

    One at a time is the point: parallel iterations hold several chunks, and leave the cache.

    Args:
        function: Takes the tensors of a group, `(G, n, b, H)` each, the key bias `(T,)` of its
            sequence and its number; gives a list of tensors `(G, n, b, H)`.
        tensors: Tensors `(B, N, T, H)`.
        key_bias: float32 `(B, T)`.
        layout: The layout.
        num_outputs: How many tensors the function gives.

    Returns:
        A list of tensors `(B, N, T, H)`.
    """
    _, num_heads, length, head_size = ops.shape(tensors[0])
    blocks = (layout.group, length // layout.block_size, layout.block_size, head_size)
    tensors = [ops.reshape(x, (-1, *blocks)) for x in tensors]
    num_groups = num_heads // layout.group
    # The bias depends on the sequence but not on the head.
    inputs = (
        *tensors,
        ops.repeat(key_bias, num_groups, axis=0),
        ops.arange(ops.shape(tensors[0])[0], dtype="int32") % num_groups,
    )
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # `keras.ops.map` runs ten at once here, and traces the function twice.
        shape = [size if isinstance(size, int) else None for size in blocks]
        outputs = tf.map_fn(
            lambda slices: function(*slices),
            inputs,
            fn_output_signature=[tf.TensorSpec(shape, tensors[0].dtype)] * num_outputs,
            parallel_iterations=1,
        )
    else:
        outputs = ops.map(lambda slices: function(*slices), inputs)
    return [ops.reshape(x, (-1, num_heads, length, head_size)) for x in outputs]


def _call(function, *tensors, layout):
    """Calls a pass. In a TensorFlow graph all layers of a model share one trace of it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return _graph_function(function)(*tensors, layout=layout)
    return function(*tensors, layout=layout)


@functools.cache
def _graph_function(function):
    import tensorflow as tf

    return tf.function(function, autograph=False)


def _table_and_bias(key_blocks, slot_bias, key_bias, group_id, layout):
    """Gives the table `(G, rows, S)` of a group, and the bias of its scores `(G, rows, 1, S * b)`.

    Args:
        key_blocks, slot_bias: As in `PatternIndex`.
        key_bias: float32 `(T,)`.
        group_id: The number of the group among the heads.
        layout: The layout.
    """
    num_heads, _, num_slots = key_blocks.shape
    shape = (num_heads // layout.group, layout.group, ops.shape(key_blocks)[1], num_slots)
    table = ops.take(ops.reshape(key_blocks, shape), group_id, axis=0)
    bias = ops.take(ops.reshape(key_bias, (-1, layout.block_size)), table, axis=0)
    bias = bias + slot_bias[None, :, :, None]
    return table, ops.reshape(bias, (layout.group, shape[2], 1, num_slots * layout.block_size))


def _gather(x, ids):
    """`(G, n, b, H)` and ids `(G, rows, S)` to the listed blocks, `(G, rows, S * b, H)`."""
    group, num_blocks, block_size, head_size = ops.shape(x)
    if group != 1:
        ids = ids + ops.reshape(ops.arange(group, dtype="int32") * num_blocks, (-1, 1, 1))
    flat = ops.reshape(x, (-1, block_size * head_size))
    blocks = ops.take(flat, ops.reshape(ids, (-1,)), axis=0)
    return ops.reshape(blocks, (group, ops.shape(ids)[1], ids.shape[2] * block_size, head_size))


def attention_weights(query, key, bias):
    """Gives softmax(query × key + bias) in float32, `(…, Tq, Tk)`."""
    scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32") + bias
    # Keras warns of a softmax over a single entry.
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores)


def _score_gradient(query, key, value, bias, upstream, inner):
    """Gives the weights, computed again, and what flows back to the scores."""
    weights = attention_weights(query, key, bias)
    weight_grad = ops.matmul(upstream, ops.swapaxes(value, -1, -2))
    score_grad = weights * (ops.cast(weight_grad, "float32") - inner)
    return ops.cast(weights, query.dtype), ops.cast(score_grad, query.dtype)


def _transposed_matmul(a, b):
    return ops.matmul(ops.swapaxes(a, -1, -2), b)


def _by_slot(x, num_slots, layout):
    """Splits what flows back to gathered keys `(G, rows, S * b, H)` by who they were.

    Returns:
        Sums for the left and right global blocks, float32 `(G, blocks, b * H)`; and what window
        and random slots get, `(G, rows, slots, b * H)`.
    """
    group, num_rows, width, head_size = ops.shape(x)
    x = ops.reshape(x, (group, num_rows, num_slots, width // num_slots * head_size))
    after_window = layout.num_left + layout.num_window
    after_right = after_window + layout.num_right
    left = ops.sum(ops.cast(x[:, :, : layout.num_left], "float32"), axis=1)
    right = ops.sum(ops.cast(x[:, :, after_window:after_right], "float32"), axis=1)
    return left, right, x[:, :, layout.num_left : after_window], x[:, :, after_right:]


def _sum_of_readers(parts, random_ids, num_blocks, layout):
    """Adds up what flows back to each key block: `(G, n, b * H)`, float32 at least."""
    left, right, window, random = zip(*parts, strict=True)
    left, right = sum(left[1:], left[0]), sum(right[1:], right[0])
    window, random = _concatenate(window, 1), _concatenate(random, 1)
    window = ops.cast(window, "float32")

    half = layout.num_window // 2
    total = 0.0
    for slot in range(layout.num_window):
        # Row i read block i + num_left + offset. Rows at the edges read less (their weights in
        # slots that are not read are zero), so what falls outside is cut off.
        before = layout.num_left + slot
        after = layout.num_right + 2 * half - slot
        total += ops.pad(window[:, :, slot], ((0, 0), (before, after), (0, 0)))
    total = total[:, half : half + num_blocks]

    middle = ops.zeros_like(total[:, layout.num_left : num_blocks - layout.num_right])
    total += ops.concatenate([left, middle, right], axis=1)

    group, _, num_random, width = random.shape
    if num_random:
        offsets = ops.reshape(ops.arange(group, dtype="int32") * num_blocks, (-1, 1, 1))
        ids = ops.reshape(random_ids + offsets, (-1,))
        flat = ops.reshape(ops.cast(random, "float32"), (-1, width))
        random_sum = ops.segment_sum(flat, ids, group * num_blocks)
        total += ops.reshape(random_sum, (group, num_blocks, width))
    return total


def _middle(x, layout):
    """The rows of `(G, n, …)`: blocks that are not global."""
    return x[:, layout.num_left : ops.shape(x)[1] - layout.num_right]


def _flat(x):
    """`(G, n, b, H)` to `(G, n * b, H)`."""
    return ops.reshape(x, (x.shape[0], -1, x.shape[-1]))


def _ends(x, layout):
    """The global blocks of `(G, n, b, H)`, in one row of queries: `(G, blocks * b, H)`."""
    num_blocks = ops.shape(x)[1]
    ends = [x[:, : layout.num_left], x[:, num_blocks - layout.num_right :]]
    return _flat(ops.concatenate(ends, axis=1))


def _with_ends(rows, ends, layout):
    """Puts global blocks `(G, blocks * b, H)` around rows `(G, rows, b, H)`."""
    group, _, block_size, head_size = rows.shape
    ends = ops.reshape(ends, (group, -1, block_size, head_size))
    return ops.concatenate([ends[:, : layout.num_left], rows, ends[:, layout.num_left :]], axis=1)


def _concatenate(parts, axis):
    return parts[0] if len(parts) == 1 else ops.concatenate(list(parts), axis=axis)
