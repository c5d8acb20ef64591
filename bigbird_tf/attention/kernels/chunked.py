"""Block-sparse attention in linear time and memory, forward and backward, in chunks.

One formulation serves every pattern: a table of slots lists the key blocks of each row, a gather
fetches them, then come two batched matrix products and one softmax. It says what is computed; a
`Plan` says in which pieces, and by which of several equal ways.

The backward pass is written out. It keeps queries, keys, values and the result, nothing else, and
computes scores again, chunk by chunk; so a training step never holds all scores at a time.
Gradients of gathered key blocks become those of keys by segment sums (`key_sums`).

Shapes use B for batch, N for heads, n for blocks, b for block size, T = n * b for length, H for
head size, G for heads of a turn, R for rows of a chunk in all heads of a turn, S for slots of a
row.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from bigbird_tf.attention.kernels.attention_weights import attention_weights
from bigbird_tf.attention.kernels.fused import can_be_fused, fused_attention
from bigbird_tf.attention.kernels.key_sums import sums_by_product, sums_by_slot, sums_by_sorting
from bigbird_tf.attention.kernels.plan import Plan, Tiles, make_plan
from bigbird_tf.attention.kernels.turns import map_turns
from bigbird_tf.attention.pattern.slots import SlotLayout, Slots
from bigbird_tf.nn.backend import (
    call_on_shares,
    call_traced_once,
    computed_once,
    is_compiled_by_xla,
    share_of,
    take,
)
from bigbird_tf.nn.dense import as_matrix
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.nn.serialized_execution import SerializedExecution
from bigbird_tf.types import Tensor

__all__ = ["block_sparse_attention"]


# Of queries, keys, values, the biases, and the two tables.
_AXES = ("BN", "BN", "BN", "B", "N", "")


class _Static(NamedTuple):
    """What is known before any tensor; hashable."""

    layout: SlotLayout
    block_size: int
    scale: float
    tiles: Tiles
    sums: str
    serialize: bool
    in_float32: bool = False
    compute_once: bool = False

    def execution(self) -> Any:
        """Returns what calls functions of a turn: one after the other, or as the backend likes."""
        return SerializedExecution() if self.serialize else lambda function, *args: function(*args)


def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    slots: Slots,
    block_size: int,
    *,
    scale: float = 1.0,
    plan: Plan | None = None,
    global_bias: Tensor | None = None,
) -> Tensor:
    """Computes block-sparse attention (BigBird paper, section 2).

    Args:
        query: Tensor `(B, N, T, H)`; T is a multiple of `block_size`.
        key: Tensor `(B, N, T, H)`, of the same dtype.
        value: Tensor `(B, N, T, H)`, of the same dtype.
        key_bias: float32 tensor `(B, T)`, added to the scores of each key (`MASKED` for padding).
        slots: What each row of the pattern lists, for T; not all of its blocks may be global.
        block_size: b.
        scale: What scores are multiplied by, before the bias.
        plan: How to divide the work; `None` for what suits shapes, dtype, device and compiler.
        global_bias: float32 tensor `(B, K, T)`, added to the scores of the first K queries, all of
            them in global blocks at the start; `None` for none.

    Returns:
        Tensor `(B, N, T, H)` of the query's dtype. Softmax is computed in float32 at least.

    Raises:
        ValueError: If `plan` asks for fused kernels beside a `global_bias`.
        NotImplementedError: If it asks for them where the backend has none.
    """
    if query.shape[0] == 0:
        # JAX has no loop of no turns. All three are in the sum for gradients of their shapes.
        return query + 0 * (key + value)
    if plan is None:
        itemsize = {"float64": 8, "float32": 4}.get(keras.backend.standardize_dtype(query.dtype), 2)
        num_rows = None if query.shape[2] is None else slots.key_blocks.shape[1]
        plan = make_plan(
            *(share_of(tuple(query.shape)), itemsize, slots.layout, block_size, num_rows),
            # The fused kernels have no bias of global queries.
            fusable=global_bias is None
            and can_be_fused(slots, block_size, query.shape[-1], itemsize),
        )
    if plan.fused:
        if global_bias is not None:
            raise ValueError("Fused kernels have no `global_bias`. Received one, and a fused plan")
        return fused_attention(query, key, value, key_bias, slots, block_size, scale)
    choices = plan.forward, plan.sums, plan.serialize, plan.in_float32
    static = _Static(slots.layout, block_size, scale, *choices)
    biases = [ops.convert_to_tensor(key_bias, "float32")]
    if global_bias is not None:
        biases.append(_of_global_queries(global_bias, static))

    @ops.custom_gradient
    def attention(query, key, value, *biases):
        # Made here: a tensor from outside would be one of another trace where JAX computes again.
        tables = (
            ops.convert_to_tensor(slots.key_blocks, "int32"),
            ops.convert_to_tensor(slots.bias, "float32"),
        )
        inputs = (query, key, value, biases, *tables)
        context = call_on_shares(
            lambda *x: call_traced_once(_forward, *x, static=static), inputs, _AXES
        )

        def gradient(grad_output, **_):
            # A function traced before may be differentiated in one that goes to XLA.
            compiled = is_compiled_by_xla()
            backward = static._replace(
                tiles=plan.backward,
                sums="slots" if plan.sums == "sorted" and compiled else plan.sums,
                compute_once=plan.compute_once and compiled,
            )
            gradients = call_on_shares(
                lambda *x: call_traced_once(_backward, *x, static=backward),
                (*inputs, context, grad_output),
                (*_AXES, "BN", "BN"),
            )
            return (*gradients, *map(ops.zeros_like, biases))

        return context, gradient

    return attention(query, key, value, *biases)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    biases: tuple[Tensor, ...],
    key_blocks: Tensor,
    slot_bias: Tensor,
    static: _Static,
) -> Any:
    """Returns the context `(B, N, T, H)`."""
    layout, scale = static.layout, static.scale

    def one_turn(q, k, v, biases, ids):
        run, bias = static.execution(), biases[0]
        from_global, rows = None, []
        if layout.row_offset + layout.num_end:
            q_global = _global_queries(q, static)
            weights = run(attention_weights, q_global, k[:, None], sum(biases[1:], bias), scale)
            from_global = run(ops.matmul, ops.cast(weights, v.dtype), v[:, None])
        for start, end in static.tiles.chunks(ops.shape(ids)[1]):
            chunk = _Chunk(start, end, ids, slot_bias, static)
            (keys,) = run(chunk.gather, k)
            weights = run(attention_weights, chunk.rows(q), keys, chunk.bias(bias), scale)
            (values,) = run(chunk.gather, v)
            rows.append(run(ops.matmul, ops.cast(weights, v.dtype), values))
        return [_with_global_queries(rows, from_global, ops.shape(ids)[0], static)]

    inputs, how = (query, key, value), (static.tiles.heads, static.in_float32)
    return map_turns(one_turn, inputs, biases, key_blocks, *how, num_outputs=1)[0]


def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    biases: tuple[Tensor, ...],
    key_blocks: Tensor,
    slot_bias: Tensor,
    context: Tensor,
    grad_output: Tensor,
    static: _Static,
) -> Any:
    """Returns what flows back to query, key and value, `(B, N, T, H)` each."""
    layout, scale = static.layout, static.scale

    def one_turn(q, k, v, context, grad_output, biases, ids):
        run, bias = static.execution(), biases[0]
        delta = _delta(context, grad_output)
        query_global, rows, parts = None, [], []
        if layout.row_offset + layout.num_end:
            q_global, grad_global, delta_global = (
                _global_queries(x, static) for x in (q, grad_output, delta)
            )
            query_global, *from_global = _gradients(
                *(q_global, k[:, None], v[:, None], sum(biases[1:], bias)),
                *(grad_global, delta_global, static, run),
            )
        for start, end in static.tiles.chunks(ops.shape(ids)[1]):
            chunk = _Chunk(start, end, ids, slot_bias, static)
            keys, values = run(chunk.gather, k, v)
            query_rows, *of_slots = _gradients(
                *(chunk.rows(q), keys, values, chunk.bias(bias)),
                *(chunk.rows(grad_output), chunk.rows(delta), static, run),
            )
            rows.append(query_rows)
            parts.append(of_slots)
        gradients = [_with_global_queries(rows, query_global, ops.shape(ids)[0], static)]
        for number, of_chunks in enumerate(zip(*parts, strict=True)):
            total = _key_sums(of_chunks, ids, static)
            if query_global is not None:
                total += ops.cast(from_global[number][:, 0], total.dtype)
            gradients.append(total)
        scales = (scale, scale, 1.0)
        return [ops.cast(x * s, q.dtype) for x, s in zip(gradients, scales, strict=True)]

    inputs = (query, key, value, context, grad_output)
    how = static.tiles.heads, static.in_float32
    return map_turns(one_turn, inputs, biases, key_blocks, *how, num_outputs=3)


class _Chunk:
    """Rows of the heads of a turn, from row `start` to `end`: R in all."""

    def __init__(self, start: Any, end: Any, ids: Tensor, slot_bias: Tensor, static: _Static):
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

    def bias(self, key_bias: Tensor) -> Tensor:
        """The bias of these rows' scores, from that of keys `(1 or G, 1, 1, T)`.

        Of each key, `(R, 1, 1, S * b)`; of each query and key, `(R, 1, b, S * b)`, where blocks are
        read in part.
        """
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
        partial = self.static.layout.partial_bias(block_size)
        return bias if partial is None else bias + partial.reshape(1, 1, block_size, -1)


def _delta(context: Tensor, grad_output: Tensor) -> Tensor:
    """Returns the sum of weight × gradient of the weight, for each query: `(…, 1)`.

    Softmax's derivative needs it. It equals the inner product of context and `grad_output`.
    """
    return ops.sum(
        at_least_float32(context) * at_least_float32(grad_output), axis=-1, keepdims=True
    )


def _gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    grad_output: Tensor,
    delta: Tensor,
    static: _Static,
    run: Any,
) -> Any:
    """Returns what flows back to queries (before scaling), keys (likewise) and values."""
    once = computed_once if static.compute_once else lambda x: x

    def score_gradient(weights):
        weight_grad = ops.matmul(grad_output, ops.swapaxes(value, -1, -2))
        difference = ops.cast(at_least_float32(weight_grad) - delta, weights.dtype)
        return ops.cast(weights * difference, query.dtype)

    weights = once(run(attention_weights, query, key, bias, static.scale))
    score_grad = once(run(score_gradient, weights))
    weights = ops.cast(weights, query.dtype)
    transposed_matmul = _matmul_to_transposed if static.compute_once else _transposed_matmul
    value_grad = run(transposed_matmul, weights, grad_output)
    query_grad = run(ops.matmul, score_grad, key)
    return query_grad, run(transposed_matmul, score_grad, query), value_grad


def _transposed_matmul(a: Tensor, b: Tensor) -> Tensor:
    return ops.matmul(ops.swapaxes(a, -1, -2), b)


def _matmul_to_transposed(a: Tensor, b: Tensor) -> Tensor:
    """Returns the same; what is transposed are `b` and the result, not `a`, which is larger."""
    return ops.swapaxes(ops.matmul(ops.swapaxes(b, -1, -2), a), -1, -2)


def _key_sums(parts: Any, ids: Tensor, static: _Static) -> Any:
    """Adds up what flows back to gathered blocks, `(R, 1, S * b, H)` a chunk: `(G, T, H)`."""
    layout = static.layout
    heads, num_rows, num_slots = ops.shape(ids)
    num_blocks = layout.row_offset + num_rows + layout.num_end

    def put_together(chunks):
        shape = heads, -1, num_slots * static.block_size
        return _concatenate([ops.reshape(x, (*shape, x.shape[-1])) for x in chunks], 1)

    chunks = static.tiles.chunks(num_rows)
    if static.sums == "slots":
        return sums_by_slot(put_together(parts), ids, num_blocks, layout)
    if static.sums == "product":
        total = 0.0
        for (start, end), readers in zip(chunks, parts, strict=True):
            readers = put_together([readers])
            total += sums_by_product(readers, ids[:, start:end], num_blocks, layout, start)
        return total
    # Two chunks are summed one by one, which is faster than to put them together first. Each sum
    # is as long as the sequence, so there must not be more of them for longer ones.
    half = -(-len(chunks) // 2)
    total = 0.0
    for first in range(0, len(chunks), half):
        last = min(first + half, len(chunks)) - 1
        of_rows = ids[:, chunks[first][0] : chunks[last][1]]
        readers = put_together(parts[first : last + 1])
        total += at_least_float32(sums_by_sorting(readers, of_rows, num_blocks))
    return total


def _of_global_queries(global_bias: Tensor, static: _Static) -> Tensor:
    """Returns a bias of the first queries, `(B, K, T)`, as one of all queries of global blocks."""
    num_queries = (static.layout.num_start + static.layout.num_end) * static.block_size
    batch, count, length = ops.shape(global_bias)
    others = ops.zeros((batch, num_queries - count, length), "float32")
    return ops.concatenate([ops.convert_to_tensor(global_bias, "float32"), others], axis=1)


def _global_queries(x: Tensor, static: _Static) -> Tensor:
    """The queries of global blocks, from `(G, T, H)` to `(G, 1, blocks * b, H)`."""
    left = static.layout.row_offset * static.block_size
    right = ops.shape(x)[1] - static.layout.num_end * static.block_size
    return ops.concatenate([x[:, :left], x[:, right:]], axis=1)[:, None]


def _with_global_queries(rows: Tensor, from_global: Tensor, heads: int, static: _Static) -> Tensor:
    """Puts global queries `(G, 1, blocks * b, H)` around chunks `(R, 1, b, H)`: `(G, T, H)`."""
    rows = [ops.reshape(x, (heads, -1, x.shape[-1])) for x in rows]
    if from_global is not None:
        left = static.layout.row_offset * static.block_size
        rows = [from_global[:, 0, :left], *rows, from_global[:, 0, left:]]
    return _concatenate(rows, 1)


def _concatenate(parts: Any, axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concatenate(list(parts), axis=axis)
