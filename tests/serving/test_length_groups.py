import itertools

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.serving.length_groups import run_by_length


def run(lengths, steps=None, **options):
    """Gives each row's index and its length as padded by its group."""
    lengths = tf.constant(lengths, tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def graph(lengths):
        def compute(rows):
            longest = -(-tf.reduce_max(tf.gather(lengths, rows)) // 5) * 5
            if steps is not None:
                tf.py_function(lambda r: steps.append(r.numpy().tolist()), [rows], [])
            return rows, {"row": tf.stack([rows, tf.fill(tf.shape(rows), longest)], axis=1)}

        results = {"row": tf.fill([tf.shape(lengths)[0], 2], -1)}
        return run_by_length(compute, lengths, results, length_step=5, **options)["row"]

    return graph(lengths).numpy()


def test_only_rows_of_one_length_share_a_step():
    lengths, steps = [31, 3, 29, 7, 30, 16, 26, 11], []
    found = run(lengths, steps, same_up_to=15)
    np.testing.assert_array_equal(found[:, 0], range(len(lengths)))
    np.testing.assert_array_equal(found[:, 1], [35, 15, 30, 15, 30, 20, 30, 15])
    assert [sorted(step) for step in steps] == [[1, 3, 7], [5], [2, 4, 6], [0]]


@pytest.mark.parametrize("tokens_at_once", [1, 30, 59, 60, 1000])
def test_bound_on_a_step(tokens_at_once):
    lengths, steps = [29, 28, 27, 26, 30] + [2] * 11, []
    found = run(lengths, steps, same_up_to=10, tokens_at_once=tokens_at_once)
    np.testing.assert_array_equal(found[:, 0], range(len(lengths)))
    assert sorted(itertools.chain(*steps)) == list(range(len(lengths)))
    for step in steps:
        longest = -(-max(lengths[i] for i in step) // 5) * 5
        assert len(step) == 1 or len(step) * longest <= tokens_at_once
    assert max(map(len, steps)) == min(11, max(1, tokens_at_once // 5))


def test_no_rows():
    assert run([], same_up_to=0).shape == (0, 2)


def test_results_of_several_indices_a_row():
    lengths = tf.constant([4, 1, 3])

    def compute(rows):
        pieces = tf.ragged.range(tf.gather(lengths, rows))
        starts = tf.gather(tf.constant([0, 4, 5]), rows)
        indices = (pieces + starts[:, tf.newaxis]).flat_values
        return indices, {"value": 10 * indices}

    results = run_by_length(
        compute, lengths, {"value": tf.fill([9], -1)}, length_step=2, same_up_to=0
    )
    assert results["value"].numpy().tolist() == [0, 10, 20, 30, 40, 50, 60, 70, -1]
