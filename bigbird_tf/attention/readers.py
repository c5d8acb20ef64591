"""What flows back to the key blocks, from the rows that have read them.

Shapes: see `sparse_products`.
"""

from keras import ops

from bigbird_tf.nn.precision import at_least_float32

__all__ = ["sums_by_order", "sums_by_slot"]


def sums_by_order(parts, ids, num_blocks):
    """Adds up in an order in which all readers of a key block stand together.

    That is one pass over the memory. It takes a kernel of TensorFlow which XLA does not have.

    Args:
        parts: Tensor `(G, rows, S * b, H)`: for each slot of a row, what flows back to whom it
            read.
        ids: int32 `(G, rows, S)`, who that was.
        num_blocks: n.

    Returns:
        Tensor `(G, n * b, H)` of the parts' dtype; half precision is added up in float32.
    """
    import tensorflow as tf

    group, _, num_slots = ids.shape
    *_, width, head_size = parts.shape
    block_size = width // num_slots
    ids = tf.reshape(ids + tf.range(group)[:, None, None] * num_blocks, (-1,))
    order = tf.argsort(ids, stable=True)
    sums = tf.raw_ops.SparseSegmentSumWithNumSegments(
        data=tf.reshape(parts, (-1, block_size * head_size)),
        indices=order,
        segment_ids=tf.gather(ids, order),
        num_segments=group * num_blocks,
    )
    return tf.reshape(sums, (group, -1, head_size))


def sums_by_slot(parts, ids, num_blocks, num_left: int, num_right: int, num_window: int):
    """Adds up by what a slot is for, with hardly any scatter: the pattern says who read whom.

    Global blocks were read by all rows (a sum), window blocks by their neighbours (shifted sums);
    the random ones alone are added by index.

    Args:
        parts, ids, num_blocks: As `sums_by_order`'s.
        num_left, num_right, num_window: As `PatternIndex`'s.

    Returns:
        Tensor `(G, n * b, H)`, float32 at least.
    """
    group, num_rows, num_slots = ops.shape(ids)
    *_, width, head_size = parts.shape
    parts = ops.reshape(parts, (group, num_rows, num_slots, width // num_slots * head_size))
    after_window = num_left + num_window
    after_right = after_window + num_right
    left, window, right, random = (
        at_least_float32(parts[:, :, start:end])
        for start, end in (
            (0, num_left),
            (num_left, after_window),
            (after_window, after_right),
            (after_right, num_slots),
        )
    )

    half = num_window // 2
    total = 0.0
    for slot in range(num_window):
        # Row i read block i + num_left + offset. Rows at the edges read less (their weights in
        # slots that are not read are zero), so what falls outside is cut off.
        before = num_left + slot
        after = num_right + 2 * half - slot
        total += ops.pad(window[:, :, slot], ((0, 0), (before, after), (0, 0)))
    total = total[:, half : half + num_blocks]

    middle = ops.zeros_like(total[:, num_left : num_blocks - num_right])
    total += ops.concatenate([ops.sum(left, axis=1), middle, ops.sum(right, axis=1)], axis=1)

    if num_slots > after_right:
        offsets = ops.reshape(ops.arange(group, dtype="int32") * num_blocks, (-1, 1, 1))
        readers = ops.reshape(ids[:, :, after_right:] + offsets, (-1,))
        random = ops.reshape(random, (-1, random.shape[-1]))
        random_sum = ops.segment_sum(random, readers, group * num_blocks)
        total += ops.reshape(random_sum, (group, num_blocks, -1))
    return ops.reshape(total, (group, -1, head_size))
