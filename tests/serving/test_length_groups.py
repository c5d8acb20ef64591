import itertools

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.serving.length_groups import run_by_length


def run(lengths, steps=None, **options):
    """Returns each row's index and its length as padded by its group."""
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


def test_what_a_row_holds_besides_counts():
    """Ten rows of padded length 5, by 60 tokens; one at least where none fits."""
    for besides, expected in ((0, 10), (7, 5), (55, 1), (1000, 1)):
        steps = []
        run([4] * 10, steps, same_up_to=10, tokens_at_once=60, tokens_besides=besides)
        assert max(map(len, steps)) == expected


def test_bound_on_a_step_of_unlike_lengths():
    """Rows of full attention share steps, and what a step holds is as long as its longest row."""
    lengths, steps = [2, 2, 2, 2, 2, 28, 28, 11], []
    found = run(lengths, steps, same_up_to=30, tokens_at_once=60)
    np.testing.assert_array_equal(found[:, 0], range(len(lengths)))
    assert sorted(itertools.chain(*steps)) == list(range(len(lengths)))
    for step in steps:
        longest = -(-max(lengths[i] for i in step) // 5) * 5
        assert len(step) * longest <= 60
    # Two rows of 30 are 60.
    assert max(map(len, steps)) == 2
    # One more token than that allows makes three rows of 20 of it.
    steps.clear()
    run([16, 20, 17, 1], steps, same_up_to=20, tokens_at_once=59)
    assert [len(step) for step in steps] == [2, 2]


def test_the_longest_of_full_attention_is_still_full():
    """20 tokens are; 21 are padded to 25, and have a step of their own."""
    lengths, steps = [20, 21, 3], []
    run(lengths, steps, same_up_to=20)
    assert [sorted(step) for step in steps] == [[0, 2], [1]]


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
