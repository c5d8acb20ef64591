"""What the encoder's signatures compute, against the model."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdModel
from bigbird_tf.serving import make_servable
from tests.serving.conftest import SHORT, TEXTS, encode, small_config


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


@pytest.mark.slow
class TestEncoder:
    def test_equals_the_model(self, exported):
        encoder = exported("BigBirdModel")
        found = encoder.run(text=SHORT)
        for i, text in enumerate(SHORT):
            inputs = encode(encoder, text)
            hidden = encoder.model(inputs)["last_hidden_state"][0].numpy()
            mask = inputs["attention_mask"][0].numpy().astype(bool)
            np.testing.assert_allclose(found["cls"][i], hidden[0], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(
                found["mean"][i], hidden[mask].mean(axis=0), rtol=1e-4, atol=1e-4
            )

    def test_long_texts_count_each_piece_once(self, exported):
        encoder = exported("BigBirdModel")
        servable = make_servable(encoder.model, encoder.tokenizer)
        windows = servable.text_windows(tf.constant([TEXTS[3]]))
        rows, first = [], []
        for row in range(len(windows.lengths)):
            x, _, is_own = windows.fill(tf.constant([row]))
            hidden = encoder.model(x)["last_hidden_state"][0].numpy()
            is_own = is_own.numpy()[0]
            is_own[[0, int(windows.lengths[row]) - 1]] = True
            rows.extend(hidden[is_own])
            first.append(hidden[0])
        assert len(rows) == windows.ids.flat_values.shape[0] + 2 * len(first)
        found = encoder.run(text=[TEXTS[3]])
        np.testing.assert_allclose(found["mean"][0], np.mean(rows, axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["cls"][0], np.mean(first, axis=0), rtol=1e-4, atol=1e-4)
