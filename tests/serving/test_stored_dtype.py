"""Copies of models whose weights are stored in fewer bits."""

import keras
import numpy as np
import pytest

from bigbird_tf import models
from bigbird_tf.serving.stored_dtype import STORED_DTYPES, with_stored_dtype
from tests.contract import randomize
from tests.serving.conftest import small_config

IDS = np.array([[7, 8, 9, 4], [10, 4, 11, 4]])


def make(dtype=None):
    model = models.BigBirdModel(small_config(num_hidden_layers=0), dtype=dtype)
    randomize(model)
    return model


def test_dtypes():
    assert STORED_DTYPES == ("float16", "bfloat16", "int8")
    for dtype in ("float32", "int4", None):
        with pytest.raises(
            ValueError, match=r"`weight_dtype` must be one of \('float16', 'bfloat16"
        ):
            with_stored_dtype(make(), dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("policy", [None, "mixed_bfloat16"])
def test_each_weight_is_rounded_once(dtype, policy):
    model = make(policy)
    before = model.get_weights()
    copy = with_stored_dtype(model, dtype)
    for stored, weight in zip(copy.weights, before, strict=True):
        assert stored.dtype == dtype
        expected = np.asarray(keras.ops.cast(keras.ops.cast(weight, dtype), "float32"))
        np.testing.assert_array_equal(keras.ops.cast(stored.value, "float32"), expected)
    # It computes as the model does, which is as it was.
    assert copy.compute_dtype == model.compute_dtype == ("bfloat16" if policy else "float32")
    for weight, old in zip(model.weights, before, strict=True):
        assert weight.dtype == "float32"
        np.testing.assert_array_equal(weight, old)
    found, expected = (m(IDS)["last_hidden_state"] for m in (copy, model))
    assert found.dtype == expected.dtype
    difference = np.abs(np.asarray(found - expected, "float32")).max()
    assert difference < (1e-2 if dtype == "float16" else 1e-1)


def test_eight_bits():
    model = make()
    copy = with_stored_dtype(model, "int8")
    dtypes = {weight.dtype for weight in copy.weights}
    assert "int8" in dtypes
    assert "int8" not in {weight.dtype for weight in model.weights}
    found, expected = (np.asarray(m(IDS)["last_hidden_state"]) for m in (copy, model))
    assert 0 < np.abs(found - expected).max() < 0.2


@pytest.mark.parametrize("value", [np.inf, 7e4])
def test_what_float16_does_not_have(value):
    model = make()
    weight = model.weights[0]
    weight.assign(np.full(weight.shape, value))
    with pytest.raises(ValueError, match="has values that float16 does not have"):
        with_stored_dtype(model, "float16")
