"""Runs rows of different lengths in groups of one length, a few at a time, inside the graph."""

from collections.abc import Callable

import tensorflow as tf

__all__ = ["run_by_length"]

# Bounds what a step holds, however many rows there are: the widest activation of a base model is
# 200 MB at so many tokens.
TOKENS_AT_ONCE = 16384


def run_by_length(
    compute: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    lengths: tf.Tensor,
    specs: dict[str, tf.TensorSpec],
    *,
    length_step: int,
    same_up_to: int,
) -> dict[str, tf.Tensor]:
    """Computes something for each row, in a loop over groups of rows of about one length.

    The pattern of sparse attention depends on the padded length. So only rows that are padded to
    the same length by themselves run together, and the result of a row never depends on what else
    is in the batch. Up to `same_up_to` attention is full and padding changes nothing: there, rows
    of different lengths share a step.

    Args:
        compute: Gets the indices of some rows, int32 of shape (R,), and gives a dict of tensors of
            which each has R as its first dimension. R is 1 or more, and so that at most
            `TOKENS_AT_ONCE` tokens are in a step, or one row.
        lengths: int32 of shape (W,), each row's tokens.
        specs: What `compute` gives: dtypes, and shapes with `None` first and all else known.
        length_step: Lengths are padded to its multiples.
        same_up_to: The longest padded length at which attention is full.

    Returns:
        What `compute` gave, for all W rows in their order.
    """
    num_rows = tf.shape(lengths)[0]
    order = tf.argsort(lengths, stable=True)
    padded = -(-tf.gather(lengths, order) // length_step) * length_step
    group = tf.where(padded <= same_up_to, 0, padded)
    results = {
        name: tf.zeros([num_rows, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()
    }

    def step(done: tf.Tensor, results: dict[str, tf.Tensor]):
        group_end = tf.searchsorted(group, group[done, tf.newaxis], side="right")[0]
        at_most = tf.maximum(1, TOKENS_AT_ONCE // padded[group_end - 1])
        end = tf.minimum(group_end, done + at_most)
        rows = order[done:end]
        computed = compute(rows)
        results = {
            name: tf.tensor_scatter_nd_update(value, rows[:, tf.newaxis], computed[name])
            for name, value in results.items()
        }
        return end, results

    _, results = tf.while_loop(
        lambda done, _: done < num_rows,
        step,
        (tf.constant(0), results),
        shape_invariants=(
            tf.TensorShape([]),
            {name: tf.TensorShape([None, *spec.shape[1:]]) for name, spec in specs.items()},
        ),
        parallel_iterations=1,
    )
    return results
