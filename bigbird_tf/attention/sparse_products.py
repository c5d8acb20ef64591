"""The products of block-sparse attention, in linear time and memory, forward and backward.

One formulation serves every pattern: an index table lists the key blocks of each row, a gather
fetches them, then come two batched matrix products and one softmax. Two things keep it fast and
small:

* The work goes in chunks of a few heads (and, for long sequences, of some rows), so that what was
  gathered is still in the processor's cache when it is multiplied.
* The backward pass is written out. It keeps queries, keys, values and the result, nothing else, and
  computes scores again, chunk by chunk; so a training step never holds all scores at a time. What
  flows back to keys is added up by the pattern, which says who read them (`readers`).

Shapes use B for batch, N for heads, n for blocks, b for block size, T = n * b for length, H for
head size, G for heads of a group, R for rows of a chunk in all heads of a group, S for slots of a
row (see `BlockPattern`).
"""

import itertools
from typing import NamedTuple

import keras
from keras import ops

from bigbird_tf.attention.pattern_index import PatternIndex
from bigbird_tf.attention.readers import sums_by_order, sums_by_slot
from bigbird_tf.nn.backend import (
    call_traced_once,
    has_exact_bfloat16_softmax,
    is_compiled_by_xla,
    serial_map,
)
from bigbird_tf.nn.dense import as_matrix
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.nn.serialized_execution import SerializedExecution

__all__ = ["MASKED", "attention_weights", "block_sparse_products"]

# Added to the scores of padded keys, as in the originals: not infinity, so that rows without any
# real key stay finite.
MASKED = -1e4

# What one chunk gathers of the keys, in bytes. Measured on CPU (benchmarks/RESULTS.md): larger
# chunks leave the cache, and smaller ones pay more for the loop than they gain. The backward pass,
# which holds more beside it, takes half of that.
_CHUNK_BYTES = 8 * 2**20


class _Layout(NamedTuple):
    """What of the pattern and the shapes is known before any tensor."""

    block_size: int
    num_left: int
    num_right: int
    num_window: int
    scale: float
    group: int
    edges: tuple[int, ...]  # where chunks of rows begin and end; empty for one chunk of all rows
    for_xla: bool

    def chunks(self, num_rows) -> list[tuple]:
        return list(itertools.pairwise(self.edges)) or [(0, num_rows)]


def block_sparse_products(
    query, key, value, key_bias, index: PatternIndex, block_size: int, *, scale: float = 1.0
):
    """Computes block-sparse attention (BigBird paper, section 2).

    Args:
        query: Tensor `(B, N, T, H)`; T is a multiple of `block_size`.
        key: Tensor `(B, N, T, H)`, of the same dtype.
        value: Tensor `(B, N, T, H)`, of the same dtype.
        key_bias: float32 tensor `(B, T)`, added to the scores of each key (`MASKED` for padding).
        index: The pattern, for T; not all of its blocks may be global.
        block_size: b.
        scale: What scores are multiplied by, before the bias.

    Returns:
        Tensor `(B, N, T, H)` of the query's dtype. Softmax is computed in float32 at least.
    """
    layout = _plan(query, index, block_size, scale, _CHUNK_BYTES)
    backward_layout = _plan(query, index, block_size, scale, _CHUNK_BYTES // 2)
    key_bias = ops.convert_to_tensor(key_bias, "float32")

    @ops.custom_gradient
    def products(query, key, value, key_bias):
        # Made here: a tensor from outside would be one of another trace where JAX computes again.
        tables = (
            ops.convert_to_tensor(index.key_blocks, "int32"),
            ops.convert_to_tensor(index.slot_bias, "float32"),
        )
        context = call_traced_once(_forward, query, key, value, key_bias, *tables, layout=layout)

        def gradient(upstream, **_):
            inputs = (query, key, value, key_bias, *tables, context, upstream)
            # A function traced before may be differentiated in one that goes to XLA.
            for_xla = backward_layout.for_xla or is_compiled_by_xla()
            layout = backward_layout._replace(for_xla=for_xla)
            gradients = call_traced_once(_backward, *inputs, layout=layout)
            return (*gradients, ops.zeros_like(key_bias))

        return context, gradient

    return products(query, key, value, key_bias)


def _plan(query, index, block_size, scale, chunk_bytes) -> _Layout:
    """Decides how much goes into a chunk."""
    _, num_heads, length, head_size = query.shape
    _, num_rows, num_slots = index.key_blocks.shape
    group, edges = 1, ()
    if length is not None and num_rows is not None:
        itemsize = {"float64": 8, "float32": 4}.get(keras.backend.standardize_dtype(query.dtype), 2)
        rows_of_chunk = max(1, chunk_bytes // (num_slots * block_size * head_size * itemsize))
        divisors = [g for g in range(1, num_heads + 1) if num_heads % g == 0]
        group = max(g for g in divisors if g == 1 or g * num_rows <= rows_of_chunk)
        # Chunks of a head are as equal as they can be.
        num_chunks = -(-num_rows // rows_of_chunk)
        edges = tuple(num_rows * i // num_chunks for i in range(num_chunks + 1))
    return _Layout(
        block_size,
        index.num_left,
        index.num_right,
        index.num_window,
        scale,
        group,
        edges,
        is_compiled_by_xla(),
    )


def _forward(query, key, value, key_bias, key_blocks, slot_bias, layout):
    """Gives the context `(B, N, T, H)`."""

    def one_group(q, k, v, bias, ids):
        in_order = SerializedExecution()
        ends, rows = None, []
        if layout.num_left + layout.num_right:
            q_ends = _ends(q, layout)
            weights = in_order(attention_weights, q_ends, k[:, None], bias, layout.scale)
            ends = in_order(ops.matmul, ops.cast(weights, v.dtype), v[:, None])
        for start, end in layout.chunks(ops.shape(ids)[1]):
            chunk = _Chunk(start, end, ids, slot_bias, layout)
            (keys,) = in_order(chunk.gather, k)
            weights = in_order(
                attention_weights, chunk.rows(q), keys, chunk.bias(bias), layout.scale
            )
            (values,) = in_order(chunk.gather, v)
            rows.append(in_order(ops.matmul, ops.cast(weights, v.dtype), values))
        return [_with_ends(rows, ends, layout)]

    inputs = (query, key, value)
    return _map_groups(one_group, inputs, key_bias, key_blocks, layout, num_outputs=1)[0]


def _backward(query, key, value, key_bias, key_blocks, slot_bias, context, upstream, layout):
    """Gives what flows back to query, key and value, `(B, N, T, H)` each."""

    def one_group(q, k, v, context, upstream, bias, ids):
        in_order = SerializedExecution()
        inner = _inner(context, upstream)
        query_ends, rows, parts = None, [], []
        if layout.num_left + layout.num_right:
            q_ends, up_ends, inner_ends = (_ends(x, layout) for x in (q, upstream, inner))
            query_ends, *ends = _gradients(
                *(q_ends, k[:, None], v[:, None], bias, up_ends, inner_ends), layout, in_order
            )
        for start, end in layout.chunks(ops.shape(ids)[1]):
            chunk = _Chunk(start, end, ids, slot_bias, layout)
            keys, values = in_order(chunk.gather, k, v)
            query_rows, *of_slots = _gradients(
                *(chunk.rows(q), keys, values, chunk.bias(bias)),
                *(chunk.rows(upstream), chunk.rows(inner), layout, in_order),
            )
            rows.append(query_rows)
            parts.append(of_slots)
        gradients = [_with_ends(rows, query_ends, layout)]
        for number, of_chunks in enumerate(zip(*parts, strict=True)):
            total = _sums_of_readers(of_chunks, ids, layout)
            if query_ends is not None:
                total += ops.cast(ends[number][:, 0], total.dtype)
            gradients.append(total)
        scales = (layout.scale, layout.scale, 1.0)
        return [ops.cast(x * scale, q.dtype) for x, scale in zip(gradients, scales, strict=True)]

    inputs = (query, key, value, context, upstream)
    return _map_groups(one_group, inputs, key_bias, key_blocks, layout, num_outputs=3)


def _map_groups(function, tensors, key_bias, key_blocks, layout, num_outputs):
    """Applies a function to each group of heads, one after the other.

    Args:
        function: Takes the tensors of a group, `(G, T, H)` each, the bias of its sequence's keys
            `(1, 1, 1, T)` and its table `(G, rows, S)`; gives a list of tensors `(G, T, H)`.
        tensors: Tensors `(B, N, T, H)`.
        key_bias: float32 `(B, T)`.
        key_blocks: As in `PatternIndex`.
        layout: The layout.
        num_outputs: How many tensors the function gives.

    Returns:
        A list of tensors `(B, N, T, H)`.
    """
    _, num_heads, length, head_size = ops.shape(tensors[0])
    num_groups = num_heads // layout.group
    shape = (layout.group, length, head_size)
    grouped = [ops.reshape(x, (-1, *shape)) for x in tensors]
    tables = ops.reshape(key_blocks, (num_groups, layout.group, -1, key_blocks.shape[-1]))

    def turn(number):
        bias = key_bias[number // num_groups][None, None, None]
        # By number: to hand a map whole tensors would copy every one of them.
        return function(*(x[number] for x in grouped), bias, tables[number % num_groups])

    static = [size if isinstance(size, int) else None for size in shape]
    count = ops.shape(grouped[0])[0]
    outputs = serial_map(turn, count, static, tensors[0].dtype, num_outputs)
    return [ops.reshape(x, (-1, num_heads, length, head_size)) for x in outputs]


class _Chunk:
    """Rows of a group's heads, from row `start` to `end`: R in all."""

    def __init__(self, start, end, ids, slot_bias, layout):
        self.start, self.end, self.layout = start, end, layout
        self.ids, self.slot_bias = ids[:, start:end], slot_bias[start:end]

    def rows(self, x):
        """The queries of these rows, from `(G, T, H)` to `(R, 1, b, H)`."""
        block_size, group = self.layout.block_size, self.layout.group
        first = (self.layout.num_left + self.start) * block_size
        last = (self.layout.num_left + self.end) * block_size
        # A slice of the first dimension needs no copy.
        x = as_matrix(x)[first:last] if group == 1 else x[:, first:last]
        return ops.reshape(x, (-1, 1, block_size, x.shape[-1]))

    def gather(self, *tensors):
        """The key blocks that these rows read, from `(G, T, H)` to `(R, 1, S * b, H)` each."""
        group, length, head_size = ops.shape(tensors[0])
        block_size, num_slots = self.layout.block_size, self.ids.shape[-1]
        ids = self.ids
        if group != 1:
            offsets = ops.arange(group, dtype="int32") * (length // block_size)
            ids = ids + ops.reshape(offsets, (-1, 1, 1))
        ids = ops.reshape(ids, (-1,))
        blocks = (ops.reshape(x, (-1, block_size * head_size)) for x in tensors)
        blocks = (ops.take(x, ids, axis=0) for x in blocks)
        return [ops.reshape(x, (-1, 1, num_slots * block_size, head_size)) for x in blocks]

    def bias(self, key_bias):
        """The bias of these rows' scores `(R, 1, 1, S * b)`, from that of keys `(1, 1, 1, T)`."""
        blocks = ops.reshape(key_bias, (-1, self.layout.block_size))
        bias = ops.take(blocks, self.ids, axis=0) + self.slot_bias[None, :, :, None]
        return ops.reshape(bias, (-1, 1, 1, self.ids.shape[-1] * self.layout.block_size))


def attention_weights(query, key, bias, scale: float = 1.0):
    """Gives softmax(query × key × scale + bias), `(…, Tq, Tk)`, computed in float32 at least.

    The result is float32 at least; bfloat16 where the kernel computes in float32 all the same.
    """
    dtype = keras.backend.standardize_dtype(query.dtype)
    if dtype == "float16":
        # The product of unscaled ones could overflow.
        query, scale = query * scale, 1.0
    if dtype != "bfloat16" or not has_exact_bfloat16_softmax():
        dtype = keras.backend.result_type(dtype, "float32")
    # TensorFlow makes one kernel of product, scale and bias.
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    scores = scores if scale == 1.0 else scores * scale
    scores = ops.cast(scores, dtype) + ops.cast(bias, dtype)
    # Keras warns of a softmax over a single entry.
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores)


def _inner(context, upstream):
    """Gives the sum of weight × what flows back to it, for each query: `(…, 1)`.

    Softmax's derivative needs it. It is the product of the result and what flows back to that.
    """
    return ops.sum(at_least_float32(context) * at_least_float32(upstream), axis=-1, keepdims=True)


def _gradients(query, key, value, bias, upstream, inner, layout, in_order):
    """Gives what flows back to queries (before scaling), keys (likewise) and values."""

    def score_gradient(weights):
        weight_grad = ops.matmul(upstream, ops.swapaxes(value, -1, -2))
        difference = ops.cast(at_least_float32(weight_grad) - inner, weights.dtype)
        return ops.cast(weights * difference, query.dtype)

    weights = in_order(attention_weights, query, key, bias, layout.scale)
    score_grad = in_order(score_gradient, weights)
    weights = ops.cast(weights, query.dtype)
    value_grad = in_order(_transposed_matmul, weights, upstream)
    query_grad = in_order(ops.matmul, score_grad, key)
    return query_grad, in_order(_transposed_matmul, score_grad, query), value_grad


def _transposed_matmul(a, b):
    return ops.matmul(ops.swapaxes(a, -1, -2), b)


def _sums_of_readers(parts, ids, layout):
    """Adds up what flows back to gathered blocks, `(R, 1, S * b, H)` a chunk: `(G, T, H)`."""
    num_rows, num_slots = ops.shape(ids)[1:]
    num_blocks = layout.num_left + num_rows + layout.num_right

    def put_together(chunks):
        x = _concatenate(chunks, 0)
        return ops.reshape(x, (layout.group, -1, num_slots * layout.block_size, x.shape[-1]))

    if layout.for_xla:
        sides = layout.num_left, layout.num_right, layout.num_window
        return sums_by_slot(put_together(parts), ids, num_blocks, *sides)
    # Two chunks are summed one by one, which is faster than to put them together first. Each sum
    # is as long as the sequence, so there must not be more of them for longer ones.
    chunks = layout.chunks(num_rows)
    half = -(-len(chunks) // 2)
    total = 0.0
    for first in range(0, len(chunks), half):
        last = min(first + half, len(chunks)) - 1
        of_rows = ids[:, chunks[first][0] : chunks[last][1]]
        sums = sums_by_order(put_together(parts[first : last + 1]), of_rows, num_blocks)
        total += at_least_float32(sums)
    return total


def _ends(x, layout):
    """The queries of global blocks, from `(G, T, H)` to `(G, 1, blocks * b, H)`."""
    left = layout.num_left * layout.block_size
    right = ops.shape(x)[1] - layout.num_right * layout.block_size
    return ops.concatenate([x[:, :left], x[:, right:]], axis=1)[:, None]


def _with_ends(rows, ends, layout):
    """Puts global queries `(G, 1, blocks * b, H)` around chunks `(R, 1, b, H)`: `(G, T, H)`."""
    head_size = rows[0].shape[-1]
    rows = [ops.reshape(x, (layout.group, -1, head_size)) for x in rows]
    if ends is not None:
        left = layout.num_left * layout.block_size
        rows = [ends[:, 0, :left], *rows, ends[:, 0, left:]]
    return _concatenate(rows, 1)


def _concatenate(parts, axis):
    return parts[0] if len(parts) == 1 else ops.concatenate(list(parts), axis=axis)
