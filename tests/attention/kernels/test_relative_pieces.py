"""Pieces of a relative bias, against a loop over pairs of queries and keys."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf.attention.kernels.relative_pieces import (
    Far,
    Labels,
    Members,
    Near,
    columns_of,
    gradient_of,
)

QUERIES = 5


def check(pieces, labels, label_of):
    """Compares columns, and what flows back, with those of a table of labels `(B, Q, K)`."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(2, QUERIES, labels.num_labels)).astype("float32")
    columns = np.asarray(columns_of(pieces, ops.convert_to_tensor(scores)))
    label_of = np.broadcast_to(label_of, (2, *label_of.shape[-2:]))
    np.testing.assert_array_equal(columns, np.take_along_axis(scores, label_of, axis=-1))
    grad = rng.normal(size=columns.shape).astype("float32")
    expected = np.zeros(scores.shape)
    for row, query in np.ndindex(2, QUERIES):
        np.add.at(expected[row, query], label_of[row, query], grad[row, query])
    found = np.asarray(gradient_of(pieces, ops.convert_to_tensor(grad)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def distances(first, width, most):
    """Returns the label of each pair of a query, from `first` on, and a key."""
    distance = np.arange(width) - (first + np.arange(QUERIES)[:, None])
    return np.clip(distance, -most, most) + most


@pytest.mark.parametrize("num_side", [0, 3])
@pytest.mark.parametrize("most", [1, 4, 30])
@pytest.mark.parametrize(("first", "width"), [(0, 5), (0, 17), (6, 17), (12, 17), (0, 1)])
def test_near(first, width, most, num_side):
    labels = Labels(most, num_side)
    check([Near(labels, first, width)], labels, distances(first, width, most))


@pytest.mark.parametrize("num_side", [0, 3])
def test_far(num_side):
    labels = Labels(2, num_side)
    is_right = np.array([[[0, 1, 1]], [[1, 0, 0]]], bool)
    piece = Far(labels, ops.convert_to_tensor(is_right), 3, 4)
    label_of = np.repeat(4 * is_right.astype(int), 4, axis=-1)
    check([piece], labels, np.broadcast_to(label_of, (2, QUERIES, 12)))


@pytest.mark.parametrize("is_known", [False, True])
def test_members_beside_others(is_known):
    labels = Labels(2, 6)
    is_member = np.random.default_rng(5).random((2, QUERIES, 6)) < 0.4
    members = Members(labels, ops.convert_to_tensor(is_member) if is_known else None, 6)
    label_of = np.broadcast_to(5 + (is_member if is_known else 0 * is_member), (2, QUERIES, 6))
    near = np.broadcast_to(distances(1, 9, 2), (2, QUERIES, 9))
    label_of = np.concatenate([label_of.astype(int), near], axis=-1)
    check([members, Near(labels, 1, 9)], labels, label_of)
