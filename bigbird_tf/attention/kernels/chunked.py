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

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.kernels.attention_weights import attention_weights
from bigbird_tf.attention.kernels.chunk import (
    Chunk,
    Static,
    concatenate,
    global_pieces,
    global_queries,
    global_query_bias,
    of_global_queries,
    with_global_queries,
)
from bigbird_tf.attention.kernels.fused import can_be_fused, fused_attention
from bigbird_tf.attention.kernels.key_sums import sums_by_product, sums_by_slot, sums_by_sorting
from bigbird_tf.attention.kernels.plan import Plan, make_plan
from bigbird_tf.attention.kernels.relative_bias import RelativeScores
from bigbird_tf.attention.kernels.turns import map_turns
from bigbird_tf.attention.pattern.slots import Slots
from bigbird_tf.nn.backend import (
    call_on_shares,
    call_traced_once,
    computed_once,
    is_compiled_by_xla,
    share_of,
)
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["block_sparse_attention"]


# Of queries, keys, values, scores of labels, the biases, and the two tables.
_AXES = ("BN", "BN", "BN", "BN", "B", "N", "")


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
    relative: RelativeScores | None = None,
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
        relative: What relative positions add to scores; `None` for nothing.

    Returns:
        Tensor `(B, N, T, H)` of the query's dtype. Softmax is computed in float32 at least.

    Raises:
        ValueError: If `plan` asks for fused kernels beside a `global_bias` or `relative`.
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
            # The fused kernels have no bias of single queries.
            fusable=global_bias is None
            and relative is None
            and can_be_fused(slots, block_size, query.shape[-1], itemsize),
        )
    if plan.fused:
        if global_bias is not None:
            raise ValueError("Fused kernels have no `global_bias`. Received one, and a fused plan")
        if relative is not None:
            raise ValueError("Fused kernels have no `relative`. Received it, and a fused plan")
        return fused_attention(query, key, value, key_bias, slots, block_size, scale)
    choices = plan.forward, plan.sums, plan.serialize, plan.in_float32
    static = Static(slots.layout, block_size, scale, *choices)
    biases, of_labels = [ops.convert_to_tensor(key_bias, "float32")], []
    if relative is not None:
        of_labels.append(relative.scores)
        has_members = relative.membership is not None
        static = static._replace(labels=relative.labels, has_members=has_members)
        if has_members:
            # As numbers that may have a gradient.
            biases.append(ops.cast(relative.membership, "float32"))
    if global_bias is not None:
        biases.append(of_global_queries(global_bias, static))

    @ops.custom_gradient
    def attention(query, key, value, *others):
        of_labels, biases = others[: static.labels is not None], others[static.labels is not None :]
        # Made here: a tensor from outside would be one of another trace where JAX computes again.
        tables = (
            ops.convert_to_tensor(slots.key_blocks, "int32"),
            ops.convert_to_tensor(slots.bias, "float32"),
        )
        inputs = (query, key, value, of_labels, biases, *tables)
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

    return attention(query, key, value, *of_labels, *biases)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    of_labels: tuple[Tensor, ...],
    biases: tuple[Tensor, ...],
    key_blocks: Tensor,
    slot_bias: Tensor,
    static: Static,
) -> Any:
    """Returns the context `(B, N, T, H)`."""
    layout, scale = static.layout, static.scale

    def one_turn(q, k, v, *others):
        (*of_labels, biases, ids), run = others, static.execution()
        from_global, rows = None, []
        if layout.row_offset + layout.num_end:
            q_global = global_queries(q, static)
            bias = global_query_bias(biases, of_labels, static, run)
            weights = run(attention_weights, q_global, k[:, None], bias, scale)
            from_global = run(ops.matmul, ops.cast(weights, v.dtype), v[:, None])
        for start, end in static.tiles.chunks(ops.shape(ids)[1]):
            chunk = Chunk(start, end, ids, slot_bias, static)
            (keys,) = run(chunk.gather, k)
            bias = chunk.bias(biases, of_labels, run)
            weights = run(attention_weights, chunk.rows(q), keys, bias, scale)
            (values,) = run(chunk.gather, v)
            rows.append(run(ops.matmul, ops.cast(weights, v.dtype), values))
        return [with_global_queries(rows, from_global, ops.shape(ids)[0], static)]

    inputs, how = (query, key, value, *of_labels), (static.tiles.heads, static.in_float32)
    return map_turns(one_turn, inputs, biases, key_blocks, *how, num_outputs=1)[0]


def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    of_labels: tuple[Tensor, ...],
    biases: tuple[Tensor, ...],
    key_blocks: Tensor,
    slot_bias: Tensor,
    context: Tensor,
    grad_output: Tensor,
    static: Static,
) -> Any:
    """Returns what flows back to query, key and value, `(B, N, T, H)` each.

    And to scores of labels, `(B, N, T, E)`, if there are any.
    """
    layout, scale, num_labels = static.layout, static.scale, len(of_labels)

    def one_turn(q, k, v, *others):
        of_labels, (context, grad_output, biases, ids) = others[:num_labels], others[num_labels:]
        run, delta = static.execution(), _delta(context, grad_output)
        query_global, label_global, rows, parts, labels = None, None, [], [], []
        if layout.row_offset + layout.num_end:
            q_global, grad_global, delta_global = (
                global_queries(x, static) for x in (q, grad_output, delta)
            )
            bias = global_query_bias(biases, of_labels, static, run)
            score_grad, query_global, *from_global = _gradients(
                *(q_global, k[:, None], v[:, None], bias),
                *(grad_global, delta_global, static, run),
            )
            if of_labels:
                pieces = global_pieces(biases, static)
                label_global = run(pieces.gradient, score_grad)
        for start, end in static.tiles.chunks(ops.shape(ids)[1]):
            chunk = Chunk(start, end, ids, slot_bias, static)
            keys, values = run(chunk.gather, k, v)
            bias = chunk.bias(biases, of_labels, run)
            score_grad, query_rows, *of_slots = _gradients(
                *(chunk.rows(q), keys, values, bias),
                *(chunk.rows(grad_output), chunk.rows(delta), static, run),
            )
            rows.append(query_rows)
            parts.append(of_slots)
            if of_labels:
                labels.append(run(chunk.pieces(biases).gradient, score_grad))
        gradients = [with_global_queries(rows, query_global, ops.shape(ids)[0], static)]
        for number, of_chunks in enumerate(zip(*parts, strict=True)):
            total = _key_sums(of_chunks, ids, static)
            if query_global is not None:
                total += ops.cast(from_global[number][:, 0], total.dtype)
            gradients.append(total)
        scales = (scale, scale, 1.0, 1.0)
        if of_labels:
            gradients.append(with_global_queries(labels, label_global, ops.shape(ids)[0], static))
        return [ops.cast(x * s, q.dtype) for x, s in zip(gradients, scales, strict=False)]

    inputs = (query, key, value, *of_labels, context, grad_output)
    how = static.tiles.heads, static.in_float32
    return map_turns(one_turn, inputs, biases, key_blocks, *how, num_outputs=3 + num_labels)


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
    static: Static,
    run: Any,
) -> Any:
    """Returns what flows back to scores, queries (before scaling), keys (likewise) and values."""
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
    return score_grad, query_grad, run(transposed_matmul, score_grad, query), value_grad


def _transposed_matmul(a: Tensor, b: Tensor) -> Tensor:
    return ops.matmul(ops.swapaxes(a, -1, -2), b)


def _matmul_to_transposed(a: Tensor, b: Tensor) -> Tensor:
    """Returns the same; what is transposed are `b` and the result, not `a`, which is larger."""
    return ops.swapaxes(ops.matmul(ops.swapaxes(b, -1, -2), a), -1, -2)


def _key_sums(parts: Any, ids: Tensor, static: Static) -> Any:
    """Adds up what flows back to gathered blocks, `(R, 1, S * b, H)` a chunk: `(G, T, H)`."""
    layout = static.layout
    heads, num_rows, num_slots = ops.shape(ids)
    num_blocks = layout.row_offset + num_rows + layout.num_end

    def put_together(chunks):
        shape = heads, -1, num_slots * static.block_size
        return concatenate([ops.reshape(x, (*shape, x.shape[-1])) for x in chunks], 1)

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
