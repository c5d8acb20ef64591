"""Names of labels, looked up."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.labels import check_label_names, holds_strings, label_ids

NAMES = ["low", "high", "Zürich"]


def test_names():
    assert check_label_names(None) is None
    assert check_label_names(("a", "b")) == ["a", "b"]
    assert check_label_names([]) == []
    for names in ("ab", ["a", "b", "a"]):
        with pytest.raises(ValueError, match="`labels` must be a sequence of different names"):
            check_label_names(names)


@pytest.mark.parametrize("value", ["a", b"a", ["a"], [[], ["a"]], np.array(["a"])])
def test_what_holds_strings(value):
    assert holds_strings(value)
    assert holds_strings(tf.constant(["a"]))
    assert holds_strings(tf.ragged.constant([["a"], []]))
    assert holds_strings(np.array(["a"], object))
    assert holds_strings(np.array([b"a"]))


@pytest.mark.parametrize("value", [1, 0.5, [1], [[1], []], np.array([1]), [], ()])
def test_what_holds_none(value):
    assert not holds_strings(value)
    assert not holds_strings(tf.constant([1]))
    assert not holds_strings(tf.ragged.constant([[1], []]))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("high", 1),
        (["Zürich", "low"], [2, 0]),
        ([["high"], ["low", "high"]], [[1], [0, 1]]),
        (tf.constant([["low", "high"]]), [[0, 1]]),
    ],
)
def test_ids(label, expected):
    found = label_ids(label, NAMES)
    assert found.dtype == tf.int32
    is_ragged = isinstance(found, tf.RaggedTensor)
    assert (found.to_list() if is_ragged else found.numpy().tolist()) == expected


def test_no_name():
    assert label_ids(["", "high"], NAMES, optional=True).numpy().tolist() == [-1, 1]
    assert label_ids([["", "high"], []], NAMES, optional=True).to_list() == [[-1, 1], []]
    for label, optional in (
        (["low", ""], False),
        (["Low"], True),
        ([["hig"], []], True),
        ("x", False),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`label` must be one of"):
            label_ids(label, NAMES, optional)
    with pytest.raises(ValueError, match="Labels that are strings need the preprocessor's"):
        label_ids(["low"], None)
