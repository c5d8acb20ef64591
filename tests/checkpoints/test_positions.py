import numpy as np

from bigbird_tf.checkpoints.positions import tile_positions


def test_rows_are_repeated_and_cut():
    table = np.arange(6.0).reshape(3, 2)
    expected = [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3], [4, 5], [0, 1]]
    np.testing.assert_array_equal(tile_positions(table, 7), expected)
    np.testing.assert_array_equal(tile_positions(table, 3), table)
    np.testing.assert_array_equal(tile_positions(table, 2), table[:2])
