"""Attention of query blocks to listed key blocks, as fused kernels for a GPU: Pallas on Triton.

Scores stay in a multiprocessor's registers: what is read and written are queries, keys, values and
results. On a device that is no GPU the same kernels are interpreted, which is slow: for tests.

Shapes use R for sequences × heads, N for heads, n for blocks, b for block size, T = n * b for
length, H for head size, L for query blocks of a call, S for slots of a query block.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from bigbird_tf.types import Tensor

__all__ = ["InPart", "attend_to_blocks", "is_interpreted", "key_gradients", "query_gradients"]

# Of Triton: threads of a block in units of 32, and steps of a loop whose loads are under way.
_FORWARD = triton.CompilerParams(num_warps=4, num_stages=3)
_BACKWARD = triton.CompilerParams(num_warps=4, num_stages=2)


class InPart(NamedTuple):
    """Slots of which a query reads no more than some tokens before and behind it.

    Attributes:
        first, end: The slots.
        before, after: How many tokens it reads.
        bias: Added to the scores of others.
    """

    first: int
    end: int
    before: int
    after: int
    bias: float

    def of_slot(self, scores: Tensor, query_block: Any, key_block: Any, slot: Any) -> Tensor:
        """Returns scores of queries and the keys of a slot, with the bias."""
        block_size = scores.shape[0]
        distance = (key_block - query_block) * block_size - _distances(block_size)
        is_in_part = jnp.logical_and(slot >= self.first, slot < self.end)
        return self._of(scores, distance, is_in_part)

    def of_reader(self, scores: Tensor, key_block: Any, reader: Any) -> Tensor:
        """Returns scores of keys and a reader's queries, with the bias."""
        block_size = scores.shape[0]
        distance = (key_block - reader // 2) * block_size + _distances(block_size)
        return self._of(scores, distance, reader % 2 == 1)

    def _of(self, scores: Tensor, distance: Tensor, is_in_part: Any) -> Tensor:
        is_far = jnp.logical_or(distance < -self.before, distance > self.after)
        return jnp.where(jnp.logical_and(is_far, is_in_part), scores + self.bias, scores)


def attend_to_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    key_blocks: Tensor,
    slot_bias: Tensor,
    query_block: Callable,
    block_size: int,
    scale: float,
    *,
    in_part: InPart | None = None,
    apart: bool = False,
) -> Any:
    """Returns what query blocks read of the key blocks that are listed for them.

    Args:
        query: Tensor `(R, T, H)`.
        key: Tensor `(R, T, H)`, of the same dtype.
        value: Tensor `(R, T, H)`, of the same dtype.
        key_bias: float32 `(B, T)`, added to the scores of each key.
        key_blocks: int32 `(N or 1, L, S)`.
        slot_bias: float32 `(L, S)`, added to the scores of each slot.
        query_block: From a number below L to that of a query block.
        block_size: b.
        scale: What scores are multiplied by, before the biases.
        in_part: Which slots are read in part; `None` for none.
        apart: Whether results are a list's, `(R, L, …)`, and float32; or a sequence's, `(R, T, …)`,
            where query blocks that have no list are left as they were in memory.

    Returns:
        `(context, log_sum)`: what is read, `(R, T, H)` or `(R, L, b, H)`, and the logarithm of the
        exponentials' sum, float32, `(R, T)` or `(R, L, b)`.
    """
    num_slots = key_blocks.shape[-1]

    def kernel(q_ref, k_ref, v_ref, bias_ref, blocks_ref, slot_bias_ref, out_ref, log_sum_ref):
        row, q = query_block(pl.program_id(0)), q_ref[...]
        scores_of = _slot_scores(k_ref, bias_ref, blocks_ref, slot_bias_ref, scale, in_part)

        def step(slot, carry):
            out, largest, total = carry
            keys, _, scores = scores_of(q, row, slot)
            new_largest = jnp.maximum(largest, jnp.max(scores, axis=1))
            weights = jnp.exp(scores - new_largest[:, None])
            shrink = jnp.exp(largest - new_largest)
            read = _product(weights.astype(v_ref.dtype), v_ref[keys, :])
            total = total * shrink + jnp.sum(weights, axis=1)
            return out * shrink[:, None] + read, new_largest, total

        start = (
            jnp.zeros(q.shape, jnp.float32),
            jnp.full(q.shape[:1], -jnp.inf, jnp.float32),
            jnp.zeros(q.shape[:1], jnp.float32),
        )
        out, largest, total = jax.lax.fori_loop(0, num_slots, step, start)
        out_ref[...] = (out / total[:, None]).astype(out_ref.dtype)
        log_sum_ref[...] = largest + jnp.log(total)

    call = _Call(query, key_bias, key_blocks, query_block, block_size)
    outputs = [call.output(apart, query.dtype, True), call.output(apart, "float32", False)]
    return pl.pallas_call(
        kernel,
        grid=call.grid,
        in_specs=[call.of_query(True), call.whole, call.whole, *call.lists],
        out_specs=[spec for spec, _ in outputs],
        out_shape=[shape for _, shape in outputs],
        compiler_params=_FORWARD,
        interpret=is_interpreted(),
    )(query, key, value, key_bias, key_blocks, slot_bias)


def query_gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    key_blocks: Tensor,
    slot_bias: Tensor,
    log_sum: Tensor,
    grad_output: Tensor,
    delta: Tensor,
    query_block: Callable,
    block_size: int,
    scale: float,
    *,
    in_part: InPart | None = None,
    apart: bool = False,
) -> Tensor:
    """Returns what flows back to query blocks.

    Args:
        query, key, value, key_bias, key_blocks, slot_bias: As `attend_to_blocks`'.
        log_sum: float32 `(R, T)`: of all that a query reads.
        grad_output: Tensor `(R, T, H)`, of the query's dtype.
        delta: float32 `(R, T)`, the inner product of context and `grad_output`.
        query_block, block_size, scale, in_part, apart: As `attend_to_blocks`'.

    Returns:
        Tensor `(R, T, H)` of the query's dtype, or float32 `(R, L, b, H)`.
    """
    num_slots = key_blocks.shape[-1]

    def kernel(q_ref, k_ref, v_ref, bias_ref, blocks_ref, slot_bias_ref, *others):
        log_sum_ref, grad_ref, delta_ref, out_ref = others
        row, q, grad = query_block(pl.program_id(0)), q_ref[...], grad_ref[...]
        log_sum, delta = log_sum_ref[...][:, None], delta_ref[...][:, None]
        scores_of = _slot_scores(k_ref, bias_ref, blocks_ref, slot_bias_ref, scale, in_part)

        def step(slot, out):
            keys, k, scores = scores_of(q, row, slot)
            weights = jnp.exp(scores - log_sum)
            of_weights = _transposed_product(grad, v_ref[keys, :])
            of_scores = (weights * (of_weights - delta)).astype(k.dtype)
            return out + _product(of_scores, k)

        out = jax.lax.fori_loop(0, num_slots, step, jnp.zeros(q.shape, jnp.float32))
        out_ref[...] = (out * scale).astype(out_ref.dtype)

    call = _Call(query, key_bias, key_blocks, query_block, block_size)
    out_spec, out_shape = call.output(apart, query.dtype, True)
    rows = call.of_query(False)
    return pl.pallas_call(
        kernel,
        grid=call.grid,
        in_specs=[
            *(call.of_query(True), call.whole, call.whole, *call.lists),
            *(rows, call.of_query(True), rows),
        ],
        out_specs=out_spec,
        out_shape=out_shape,
        compiler_params=_BACKWARD,
        interpret=is_interpreted(),
    )(query, key, value, key_bias, key_blocks, slot_bias, log_sum, grad_output, delta)


def key_gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    log_sum: Tensor,
    grad_output: Tensor,
    delta: Tensor,
    edges: Tensor,
    readers: Tensor,
    num_regular: int,
    regular: Callable,
    order: Callable,
    block_size: int,
    scale: float,
    *,
    in_part: InPart | None = None,
) -> Any:
    """Returns what flows back to keys and values, from all query blocks that read them.

    Args:
        query, key, value, key_bias, log_sum, grad_output, delta: As `query_gradients`'.
        edges: int32 `(N, n + 1)`: where those who read a key block begin among the readers.
        readers: int32 `(N, slots)`: twice the number of a query block; and 1, if it reads the key
            block in part.
        num_regular: How many query blocks read all key blocks, and are not among the readers.
        regular: From a number below this to a query block.
        order: From a number below n to the key block that is computed then: those that take long
            should be the first ones.
        block_size, scale, in_part: As `attend_to_blocks`'.

    Returns:
        `(key_grad, value_grad)`, `(R, T, H)` of the query's dtype.
    """
    num_rows, length, head_size = query.shape
    num_heads, num_blocks = edges.shape[0], edges.shape[1] - 1
    num_readers = readers.shape[1]

    def kernel(q_ref, k_ref, v_ref, bias_ref, log_sum_ref, grad_ref, delta_ref, *others):
        edges_ref, readers_ref, key_grad_ref, value_grad_ref = others
        block = order(pl.program_id(0))
        k, v, bias = k_ref[...], v_ref[...], bias_ref[...][:, None]
        first = edges_ref[block]

        def step(number, carry):
            key_grad, value_grad = carry
            listed = readers_ref[jnp.clip(first + number - num_regular, 0, num_readers - 1)]
            reader = jnp.where(number < num_regular, 2 * regular(number), listed)
            rows = _block(reader // 2, block_size)
            q, grad = q_ref[rows, :], grad_ref[rows, :]
            # Of keys and queries: nothing needs to be transposed.
            scores = _transposed_product(k, q) * scale + bias
            if in_part:
                scores = in_part.of_reader(scores, block, reader)
            weights = jnp.exp(scores - log_sum_ref[rows][None, :])
            value_grad += _product(weights.astype(grad.dtype), grad)
            of_weights = _transposed_product(v, grad)
            of_scores = weights * (of_weights - delta_ref[rows][None, :])
            return key_grad + _product(of_scores.astype(q.dtype), q), value_grad

        zeros = jnp.zeros(k.shape, jnp.float32)
        count = num_regular + edges_ref[block + 1] - first
        key_grad, value_grad = jax.lax.fori_loop(0, count, step, (zeros, zeros))
        key_grad_ref[...] = (key_grad * scale).astype(key_grad_ref.dtype)
        value_grad_ref[...] = value_grad.astype(value_grad_ref.dtype)

    per_sequence = num_rows // key_bias.shape[0]
    whole = pl.BlockSpec((None, length, head_size), lambda i, r: (r, 0, 0))
    rows = pl.BlockSpec((None, length), lambda i, r: (r, 0))
    block = pl.BlockSpec((None, block_size, head_size), lambda i, r: (r, order(i), 0))
    of_keys = pl.BlockSpec((None, block_size), lambda i, r: (r // per_sequence, order(i)))
    tables = [
        pl.BlockSpec((None, x.shape[1]), lambda i, r: (r % num_heads, 0)) for x in (edges, readers)
    ]
    shape = jax.ShapeDtypeStruct(query.shape, query.dtype)
    return pl.pallas_call(
        kernel,
        grid=(num_blocks, num_rows),
        in_specs=[whole, block, block, of_keys, rows, whole, rows, *tables],
        out_specs=[block, block],
        out_shape=[shape, shape],
        compiler_params=_BACKWARD,
        interpret=is_interpreted(),
    )(query, key, value, key_bias, log_sum, grad_output, delta, edges, readers)


def _slot_scores(
    k_ref: Any,
    bias_ref: Any,
    blocks_ref: Any,
    slot_bias_ref: Any,
    scale: float,
    in_part: InPart | None,
) -> Callable:
    """Returns a function of queries `(b, H)`, their block and a slot.

    It returns the slot's tokens, their keys `(b, H)`, and the scores `(b, b)`.
    """

    def scores_of(q, row, slot):
        number = blocks_ref[slot]
        keys = _block(number, q.shape[0])
        k = k_ref[keys, :]
        scores = _transposed_product(q, k) * scale
        scores += bias_ref[keys][None, :] + slot_bias_ref[slot]
        return keys, k, in_part.of_slot(scores, row, number, slot) if in_part else scores

    return scores_of


def _distances(block_size: int) -> Tensor:
    """Returns `(b, b)`: the number of a row, less that of a column."""
    rows, columns = (jax.lax.broadcasted_iota("int32", (block_size,) * 2, i) for i in (0, 1))
    return rows - columns


def _block(number: Any, block_size: int) -> Any:
    """Returns the tokens of a block."""
    return pl.ds(number * block_size, block_size)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Returns `a` × `b`, float32."""
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _transposed_product(a: Tensor, b: Tensor) -> Tensor:
    """Returns `a` × the transposed `b`, float32."""
    sides = (((1,), (1,)), ((), ()))
    return jax.lax.dot_general(a, b, sides, preferred_element_type=jnp.float32)


def is_interpreted() -> bool:
    """Returns whether kernels are interpreted instead of compiled: where there is no GPU."""
    return jax.default_backend() == "cpu"


class _Call:
    """Which part of each tensor a kernel of query blocks gets."""

    def __init__(
        self,
        query: Tensor,
        key_bias: Tensor,
        key_blocks: Tensor,
        query_block: Callable,
        block_size: int,
    ):
        self.shape, self.block_size, self.query_block = query.shape, block_size, query_block
        num_rows, length, head_size = query.shape
        num_tables, num_lists, num_slots = key_blocks.shape
        per_sequence = num_rows // key_bias.shape[0]
        self.grid = (num_lists, num_rows)
        self.whole = pl.BlockSpec((None, length, head_size), lambda i, r: (r, 0, 0))
        self.lists = [
            pl.BlockSpec((None, length), lambda i, r: (r // per_sequence, 0)),
            pl.BlockSpec((None, None, num_slots), lambda i, r: (r % num_tables, i, 0)),
            pl.BlockSpec((None, num_slots), lambda i, r: (i, 0)),
        ]

    def of_query(self, has_heads: bool) -> Any:
        """A query block's part of a tensor `(R, T, H)` or `(R, T)`."""
        if not has_heads:
            return pl.BlockSpec((None, self.block_size), lambda i, r: (r, self.query_block(i)))
        shape = None, self.block_size, self.shape[-1]
        return pl.BlockSpec(shape, lambda i, r: (r, self.query_block(i), 0))

    def output(self, apart: bool, dtype: Any, has_heads: bool) -> tuple[Any, Any]:
        """The specification and the shape of a result."""
        num_rows, length, head_size = self.shape
        last = (head_size,) if has_heads else ()
        if not apart:
            shape = jax.ShapeDtypeStruct((num_rows, length, *last), dtype)
            return self.of_query(has_heads), shape
        shape = jax.ShapeDtypeStruct((num_rows, self.grid[0], self.block_size, *last), "float32")
        zeros = (0,) * (len(last) + 1)
        spec = pl.BlockSpec((None, None, self.block_size, *last), lambda i, r: (r, i, *zeros))
        return spec, shape
