"""Runs rows of different lengths in groups of one length, a few at a time, inside the graph."""

from collections.abc import Callable

import tensorflow as tf

__all__ = ["run_by_length"]

# Bounds what a step holds, however many rows there are: the widest activation of a base model is
# 200 MB at so many tokens.
TOKENS_AT_ONCE = 16384


def run_by_length(
    compute: Callable[[tf.Tensor], tuple[tf.Tensor, dict[str, tf.Tensor]]],
    lengths: tf.Tensor,
    results: dict[str, tf.Tensor],
    *,
    length_step: int,
    same_up_to: int,
    tokens_at_once: int = TOKENS_AT_ONCE,
    tokens_besides: int = 0,
) -> dict[str, tf.Tensor]:
    """Computes something for all rows, in a loop over groups of rows of about one length.

    The pattern of sparse attention depends on the padded length. So only rows that are padded to
    the same length by themselves run together, and the result of a row never depends on what else
    is in the batch. Up to `same_up_to` attention is full and padding changes nothing: there, rows
    of different lengths share a step.

    Args:
        compute: Gets the indices of some rows, int32 of shape (R,), R at least 1; gives
            `(indices, values)`, where results belong, int32 of shape (S,), and the results by name,
            each with S as its first dimension.
        lengths: int32 of shape (W,), each row's tokens.
        results: What `compute` puts its results into, by name; what it leaves out stays.
        length_step: Lengths are padded to its multiples.
        same_up_to: The longest padded length at which attention is full.
        tokens_at_once: The most tokens of a step that has more than one row.
        tokens_besides: What a row holds besides its own tokens.

    Returns:
        The results.
    """
    num_rows = tf.shape(lengths)[0]
    order = tf.argsort(lengths, stable=True)
    padded = -(-tf.gather(lengths, order) // length_step) * length_step
    group = tf.where(padded <= same_up_to, 0, padded)

    def step(done: tf.Tensor, results: dict[str, tf.Tensor]) -> tuple:
        group_end = tf.searchsorted(group, group[done, tf.newaxis], side="right")[0]
        at_most = tf.maximum(1, tokens_at_once // (padded[group_end - 1] + tokens_besides))
        end = tf.minimum(group_end, done + at_most)
        indices, values = compute(order[done:end])
        results = {
            name: tf.tensor_scatter_nd_update(result, indices[:, tf.newaxis], values[name])
            for name, result in results.items()
        }
        return end, results

    shapes = {name: tf.TensorShape([None, *x.shape[1:]]) for name, x in results.items()}
    _, results = tf.while_loop(
        lambda done, _: done < num_rows,
        step,
        (tf.constant(0), results),
        shape_invariants=(tf.TensorShape([]), shapes),
        parallel_iterations=1,
    )
    return results
