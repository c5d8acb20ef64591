"""Block-sparse attention as fused kernels, where the backend has such: on JAX, for a GPU.

What XLA makes of `chunked` writes gathered keys and all scores to memory and reads them again; that
takes most of the time on a GPU. Here a kernel goes along a query block's list, and another one, for
what flows back to keys, along the list of a key block's readers. The backward pass computes scores
again; it keeps queries, keys, values, the result and the logarithm of each query's sum.

Shapes use B for batch, N for heads, n for blocks, b for block size, T = n * b for length, H for
head size, R = B * N.
"""

from types import ModuleType
from typing import Any

import numpy as np
from keras import ops

from bigbird_tf.attention.pattern.slots import NOT_READ, SlotLayout, Slots
from bigbird_tf.nn.backend import call_on_shares, fused_kernels
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["can_be_fused", "fused_attention"]

# Key blocks that one kernel reads for a global query block. There are few of these, and they read
# the whole sequence: shared out, they take no longer than the others.
_GLOBAL_SLOTS = 16
# Sizes of blocks and heads that the kernels take, and bytes that a block of keys may have. A kernel
# holds four of these in a multiprocessor's shared memory, of which few GPUs have more than 100 KB.
_SIZES = (16, 32, 64, 128)
_BLOCK_BYTES = 2**14


def can_be_fused(slots: Slots, block_size: int, head_size: int, itemsize: int) -> bool:
    """Returns whether the kernels take a pattern, sizes and a dtype.

    Args:
        slots: What each row of the pattern lists.
        block_size: b.
        head_size: H.
        itemsize: Bytes of a number.
    """
    return (
        isinstance(slots.key_blocks, np.ndarray)
        and block_size in _SIZES
        and head_size in _SIZES
        and itemsize < 8
        and block_size * head_size * itemsize <= _BLOCK_BYTES
    )


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    slots: Slots,
    block_size: int,
    scale: float,
) -> Tensor:
    """Computes block-sparse attention (BigBird paper, section 2).

    Args:
        query, key, value, key_bias, slots, block_size, scale: As `chunked`'s
            `block_sparse_attention` takes them, where `can_be_fused`.

    Returns:
        Tensor `(B, N, T, H)` of the query's dtype.

    Raises:
        NotImplementedError: If the backend has no fused kernels.
    """
    kernels = fused_kernels()
    if kernels is None:
        raise NotImplementedError(
            "Fused kernels of attention are there on Keras' JAX backend only: leave `plan` out."
        )
    lists = _Lists(slots, ops.shape(query)[2] // block_size, kernels)

    @ops.custom_gradient
    def attention(query, key, value, key_bias):
        tables = [ops.convert_to_tensor(x, "int32") for x in lists.tables]
        inputs = (query, key, value, key_bias)

        def forward(query, key, value, key_bias, key_blocks, *_):
            q, k, v = (_by_row(x) for x in (query, key, value))
            found = _forward(q, k, v, key_bias, key_blocks, lists, block_size, scale)
            return [ops.reshape(x, (*query.shape[:2], *x.shape[1:])) for x in found]

        def backward(query, key, value, key_bias, key_blocks, edges, readers, *others):
            q, k, v = (_by_row(x) for x in (query, key, value))
            tables, rows = (key_blocks, edges, readers), [_by_row(x) for x in others]
            found = _backward(q, k, v, key_bias, tables, rows, lists, block_size, scale)
            return [ops.reshape(x, query.shape) for x in found]

        axes = ("BN", "BN", "BN", "B", "N", "N", "N")
        context, log_sum = call_on_shares(forward, (*inputs, *tables), axes)

        def gradient(grad_output, **_):
            others = (context, log_sum, ops.cast(grad_output, query.dtype))
            gradients = call_on_shares(
                backward, (*inputs, *tables, *others), (*axes, "BN", "BN", "BN")
            )
            return (*gradients, ops.zeros_like(key_bias))

        return context, gradient

    return attention(query, key, value, key_bias)


def _by_row(x: Tensor) -> Tensor:
    """From `(B, N, …)` to `(R, …)`."""
    return ops.reshape(x, (-1, *x.shape[2:]))


class _Lists:
    """A pattern as the kernels read it; all of it is known before any tensor.

    Attributes:
        kernels: The backend's.
        tables: int32 arrays: the key blocks of each row, `(N, rows, S)`; where the readers of each
            key block begin, `(N, n + 1)`; and the readers, `(N, slots)`, see `key_gradients`.
        row_bias: float32 `(rows, S)`.
        global_blocks: int32 `(1, lists, slots)`: all key blocks, once for each global query block.
        global_bias: float32 `(lists, slots)`.
        num_splits: Lists of a global query block.
        in_part: Which slots are read in part.
    """

    def __init__(self, slots: Slots, num_blocks: int, kernels: ModuleType):
        self.kernels = kernels
        self.layout: SlotLayout = slots.layout
        self.num_blocks = num_blocks
        self.row_bias = np.asarray(slots.bias, "float32")
        key_blocks = np.asarray(slots.key_blocks, "int32")
        self.tables = key_blocks, *self._readers(key_blocks)
        count = min(_GLOBAL_SLOTS, num_blocks)
        self.num_splits = -(-num_blocks // count)
        blocks = np.arange(self.num_splits * count, dtype="int32").reshape(-1, count)
        is_read = blocks < num_blocks
        shape = (self.num_global, 1)
        self.global_blocks = np.tile(np.where(is_read, blocks, 0), shape)[None]
        self.global_bias = np.tile(np.where(is_read, 0, NOT_READ).astype("float32"), shape)
        window = self.layout.groups["window"]
        self.in_part = self.layout.token_window and kernels.InPart(
            window.start, window.stop, *self.layout.token_window, NOT_READ
        )

    @property
    def num_global(self) -> int:
        """Query blocks that read everything."""
        return self.layout.row_offset + self.layout.num_end

    def _readers(self, key_blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        num_heads, num_rows, num_slots = key_blocks.shape
        is_in_part = np.zeros(num_slots, "int32")
        if self.layout.token_window:
            is_in_part[self.layout.groups["window"]] = 1
        readers = 2 * (np.arange(num_rows)[:, None] + self.layout.row_offset) + is_in_part
        is_read = (self.row_bias == 0).reshape(-1)
        readers = readers.reshape(-1)[is_read]
        ids = key_blocks.reshape(num_heads, -1)[:, is_read]
        order = np.argsort(ids, axis=1, kind="stable")
        starts = np.arange(self.num_blocks + 1)
        in_order = np.take_along_axis(ids, order, axis=1)
        edges = np.stack([np.searchsorted(x, starts) for x in in_order])
        return edges.astype("int32"), readers[order].astype("int32")

    def row(self, number: Any) -> Any:
        """The query block of a row."""
        return self.layout.row_offset + number

    def global_block(self, number: Any) -> Any:
        """The query block of a global one by its number."""
        is_at_end = ops.cast(number >= self.layout.row_offset, "int32")
        return number + is_at_end * (self.num_blocks - self.num_global)

    def split_block(self, number: Any) -> Any:
        """The query block of one of the lists that global query blocks have."""
        return self.global_block(number // self.num_splits)

    def by_work(self, number: Any) -> Any:
        """Key blocks, the global ones first: all rows read these."""
        return (number + self.num_blocks - self.layout.num_end) % self.num_blocks


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    key_blocks: Tensor,
    lists: _Lists,
    block_size: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Returns the context `(R, T, H)`, and the logarithms of sums `(R, T)`."""
    inputs = query, key, value, key_bias
    context, log_sum = lists.kernels.attend_to_blocks(
        *(*inputs, key_blocks, ops.convert_to_tensor(lists.row_bias)),
        *(lists.row, block_size, scale),
        in_part=lists.in_part,
    )
    if lists.num_global:
        parts, log_sums = lists.kernels.attend_to_blocks(
            *(*inputs, *_global_tables(lists), lists.split_block, block_size, scale), apart=True
        )
        log_sums = ops.reshape(log_sums, (-1, lists.num_global, lists.num_splits, block_size))
        parts = ops.reshape(parts, (*log_sums.shape, -1))
        total = ops.logsumexp(log_sums, axis=2)
        shares = ops.exp(log_sums - total[:, :, None])
        context = _with_global_blocks(context, ops.sum(parts * shares[..., None], axis=2), lists)
        log_sum = _with_global_blocks(log_sum, total, lists)
    return context, log_sum


def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_bias: Tensor,
    tables: Any,
    others: Any,
    lists: _Lists,
    block_size: int,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what flows back to query, key and value, `(R, T, H)` each."""
    key_blocks, edges, readers = tables
    context, log_sum, grad_output = others
    delta = ops.sum(at_least_float32(context) * at_least_float32(grad_output), axis=-1)
    inputs = query, key, value, key_bias
    flowing = log_sum, grad_output, delta
    query_grad = lists.kernels.query_gradients(
        *(*inputs, key_blocks, ops.convert_to_tensor(lists.row_bias), *flowing),
        *(lists.row, block_size, scale),
        in_part=lists.in_part,
    )
    if lists.num_global:
        parts = lists.kernels.query_gradients(
            *(*inputs, *_global_tables(lists), *flowing, lists.split_block, block_size, scale),
            apart=True,
        )
        shape = -1, lists.num_global, lists.num_splits, block_size, query.shape[-1]
        total = ops.sum(ops.reshape(parts, shape), axis=2)
        query_grad = _with_global_blocks(query_grad, total, lists)
    key_grad, value_grad = lists.kernels.key_gradients(
        *(*inputs, *flowing, edges, readers, lists.num_global, lists.global_block, lists.by_work),
        *(block_size, scale),
        in_part=lists.in_part,
    )
    return query_grad, key_grad, value_grad


def _global_tables(lists: _Lists) -> tuple[Tensor, Tensor]:
    return ops.convert_to_tensor(lists.global_blocks), ops.convert_to_tensor(lists.global_bias)


def _with_global_blocks(x: Tensor, blocks: Tensor, lists: _Lists) -> Tensor:
    """Returns `(R, T, …)` with that of global query blocks, `(R, global, b, …)`, put in."""
    num_start, block_size = lists.layout.row_offset, blocks.shape[2]
    blocks = ops.cast(blocks, x.dtype)
    zeros = (0,) * (len(x.shape) - 2)
    for at, part in (
        (0, blocks[:, :num_start]),
        (x.shape[1] - lists.layout.num_end * block_size, blocks[:, num_start:]),
    ):
        if part.shape[1]:
            part = ops.reshape(part, (part.shape[0], -1, *x.shape[2:]))
            x = ops.slice_update(x, (0, at, *zeros), part)
    return x
