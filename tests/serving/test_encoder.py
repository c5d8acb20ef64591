"""What the encoder's signatures give in half precision."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdModel
from bigbird_tf.serving import make_servable
from tests.serving.conftest import small_config


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_from_ids_is_float32(policy):
    """TensorFlow Serving's JSON has no half precision."""
    model = BigBirdModel(small_config(num_hidden_layers=0), dtype=policy)
    ids = tf.constant([[7, 8, 9], [10, 11, 12]])
    signature = make_servable(model).signatures()["from_ids"]
    outputs = signature(
        input_ids=ids, attention_mask=tf.ones_like(ids), token_type_ids=tf.zeros_like(ids)
    )
    expected = model(ids)
    assert set(outputs) == set(expected)
    for name, value in outputs.items():
        assert value.dtype == tf.float32
        assert expected[name].dtype != tf.float32
        np.testing.assert_allclose(value, tf.cast(expected[name], "float32"), atol=1e-2)
