"""What models read of global tokens beside the sequence."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf.models.big_bird.global_inputs import GLOBAL_NAMES, read_big_bird_inputs
from tests.contract import BATCH, LENGTH, random_ids, tiny_config

FIELDS = {"construction": "etc", "num_global_tokens": 6}
MEMBERS = {**FIELDS, "global_reads": "members"}


def read(fields, **given):
    inputs = {"input_ids": random_ids(), **given}
    return read_big_bird_inputs(inputs, tiny_config(**fields))


def test_models_without_them_have_no_such_inputs():
    assert not {*GLOBAL_NAMES} & {*read({})}


def test_what_is_not_given_is_none():
    found = read(FIELDS)
    assert [found[name] for name in GLOBAL_NAMES] == [None, None, None]


def test_what_is_given():
    ids = np.array([[7, 8, 9], [10, 11, 12]])
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    membership = np.full((BATCH, LENGTH), -1)
    membership[:, 3:5] = 2
    given = dict(zip(GLOBAL_NAMES, (ids, mask, membership), strict=True))
    found = [read(MEMBERS, **given)[name] for name in GLOBAL_NAMES]
    for value, expected in zip(found, given.values(), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(value), expected)
    # Without members to keep to, it is not read.
    assert read(FIELDS, **given)["global_membership"] is None


def test_a_mask_alone_is_of_all_tokens_of_the_table():
    assert read(FIELDS, global_attention_mask=np.ones((BATCH, 6)))["global_input_ids"] is None
    with pytest.raises(ValueError, match=r"num_global_tokens\), here \(2, 6\)"):
        read(FIELDS, global_attention_mask=np.ones((BATCH, 3)))


@pytest.mark.parametrize(("number", "count"), [(-2, 3), (3, 3), (6, 6)])
def test_numbers_of_no_token(number, count):
    membership = np.zeros((BATCH, LENGTH), "int32")
    membership[1, 4] = number
    ids = np.ones((BATCH, count), "int32")
    with pytest.raises(Exception, match="from 0 to below G, or -1"):
        read(MEMBERS, global_input_ids=ids, global_membership=membership)
    membership[1, 4] = count - 1
    read(MEMBERS, global_input_ids=ids, global_membership=membership)


@pytest.mark.parametrize(
    ("fields", "name", "value", "message"),
    [
        ({}, "global_input_ids", np.ones((BATCH, 2), "int32"), "inputs are a dictionary.*Received"),
        (FIELDS, "global_input_ids", np.ones((BATCH, 7), "int32"), r"here \(2, 6\).*\(2, 7\)"),
        (FIELDS, "global_input_ids", np.ones((1, 5), "int32"), r"num_global_tokens or less.*\(1,"),
        (FIELDS, "global_attention_mask", np.ones((BATCH, 5)), r"num_global_tokens\), .*\(2, 5\)"),
        (MEMBERS, "global_membership", None, "must be given.*global_reads='all'"),
        (MEMBERS, "global_membership", np.ones((BATCH, 3), "int32"), "shape of `input_ids`"),
    ],
)
def test_wrong_inputs(fields, name, value, message):
    inputs = {"input_ids": random_ids()}
    if value is not None:
        inputs[name] = value
    with pytest.raises(ValueError, match=message):
        read_big_bird_inputs(inputs, tiny_config(**fields))
