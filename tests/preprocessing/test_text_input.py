"""Python values into tensors, at the entrance of tokenizers and preprocessors."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.text_input import (
    first_of_batch,
    split_pairs,
    to_batch,
    to_integer_tensor,
    to_ragged_strings,
    to_string_tensor,
)


@pytest.mark.parametrize(
    ("value", "shape", "is_scalar"),
    [
        ("bird", [1], True),
        (b"bird", [1], True),
        (["a", b"b"], [2], False),
        (("a", "b", "c"), [3], False),
        ([], [0], False),
        (np.array(["a", "b"]), [2], False),
        (tf.constant("a"), [1], True),
    ],
    ids=str,
)
def test_batches(value, shape, is_scalar):
    found, found_is_scalar = to_batch("text", value)
    assert (found.shape.as_list(), found.dtype) == (shape, tf.string)
    assert found_is_scalar is is_scalar


@pytest.mark.parametrize("value", [[["a", "b"]], tf.constant([["a"]]), [["a"], ["b", "c"]]])
def test_more_than_a_batch(value):
    with pytest.raises(ValueError, match=r"`text` must be one string or a batch.*`text_pair`"):
        to_batch("text", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "`x` must be of strings. Received: x of dtype int32"),
        ([None], r"`x` must be a string, bytes.* Received: x=\[None\] of type list"),
        (["a", 3], r"`x` must be a string, bytes"),
        ("\ud800", "without lone surrogates"),
        (tf.constant([1.5]), "`x` must be of strings. Received: x of dtype float32"),
    ],
    ids=repr,
)
def test_what_is_no_string(value, message):
    with pytest.raises(TypeError, match=message):
        to_string_tensor("x", value)


@pytest.mark.parametrize(("length", "is_cut"), [(80, False), (81, True)])
def test_long_values_are_cut_in_messages(length, is_cut):
    value = [None, "a" * (length - len("[None, '']"))]
    assert len(repr(value)) == length
    shown = f"{repr(value)[:77]}..." if is_cut else repr(value)
    with pytest.raises(TypeError) as caught:
        to_string_tensor("x", value)
    assert f"Received: x={shown} of type list" in str(caught.value)


def test_pairs_are_tuples_of_two_strings_in_a_list():
    assert split_pairs([("a", "b"), (b"c", "d")]) == (["a", b"c"], ["b", "d"])
    assert split_pairs((("a", "b"),)) == (["a"], ["b"])
    for other in ("ab", [], ["ab"], [["a", "b"]], [("a", "b"), "c"], [("a", "b", "c")], [("a", 1)]):
        assert split_pairs(other) == (other, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        ([1, 2], [1, 2]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (np.array([5], np.int64), [5]),
        ([], []),
        (True, None),
        (1.0, None),
        ([0.5], None),
        ("a", None),
    ],
    ids=repr,
)
def test_integers(value, expected):
    if expected is None:
        with pytest.raises(TypeError, match=r"`n` must be integers\. Received: n of dtype"):
            to_integer_tensor("n", value)
        return
    found = to_integer_tensor("n", value)
    assert found.dtype == tf.int32
    is_ragged = isinstance(found, tf.RaggedTensor)
    assert (found.to_list() if is_ragged else found.numpy().tolist()) == expected


def test_lists_of_strings():
    for value, expected, is_one in (
        (["a", "b"], [[b"a", b"b"]], True),
        ([["a"], ["b", "c"]], [[b"a"], [b"b", b"c"]], False),
        (tf.constant([["a", "b"]]), [[b"a", b"b"]], False),
    ):
        found, found_is_one = to_ragged_strings("words", value)
        assert (found.to_list(), found_is_one) == (expected, is_one)
    for value in ("a", tf.constant([[["a"]]])):
        with pytest.raises(ValueError, match="`words` must be strings of shape"):
            to_ragged_strings("words", value)


def test_the_first_of_a_batch():
    found = first_of_batch(({"a": tf.constant([[1, 2], [3, 4]])}, tf.constant([5, 6])))
    assert found[0]["a"].numpy().tolist() == [1, 2]
    assert int(found[1]) == 5
