"""Copies of models for longer sequences."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf import BigBirdForSentenceEmbedding, BigBirdForSequenceClassification
from bigbird_tf.models.registry import MODEL_CLASSES
from tests.contract import random_ids, randomize, tiny_config, tiny_pegasus_config

LONGEST, LONGER = 40, 93


@pytest.mark.parametrize("name", sorted(MODEL_CLASSES))
def test_all_weights_are_copied_and_positions_repeated(name):
    if name.startswith("BigBirdPegasus"):
        config = tiny_pegasus_config(max_position_embeddings=LONGEST)
    else:
        config = tiny_config(num_hidden_layers=1, max_position_embeddings=LONGEST)
    model = MODEL_CLASSES[name](config)
    randomize(model)
    longer = model.extend_positions(LONGER)
    assert type(longer) is type(model)
    assert longer.config == model.config.replace(max_position_embeddings=LONGER)
    assert model.config.max_position_embeddings == LONGEST
    for new, old in zip(longer.weights, model.weights, strict=True):
        if "seed" in old.path:
            continue
        expected = ops.convert_to_numpy(old)
        if "position_embeddings" in old.path:
            expected = np.concatenate([expected, expected, expected[: LONGER - 2 * LONGEST]])
        np.testing.assert_array_equal(ops.convert_to_numpy(new), expected, err_msg=old.path)


def test_outputs_at_the_old_length_stay_and_longer_texts_are_taken():
    model = BigBirdForSequenceClassification(
        tiny_config(num_hidden_layers=1, max_position_embeddings=LONGEST)
    )
    randomize(model)
    model.enable_lora(2)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1)
    longer = model.extend_positions(LONGER)
    ids = random_ids(length=LONGEST)
    np.testing.assert_allclose(longer(ids), model(ids), atol=1e-6)
    assert np.isfinite(longer(random_ids(length=LONGER))).all()


def test_options_and_dtype_are_kept():
    model = BigBirdForSentenceEmbedding(
        tiny_config(num_hidden_layers=1), pooling_mode="max", dtype="mixed_bfloat16", name="mine"
    )
    longer = model.extend_positions(model.config.max_position_embeddings)
    assert (longer.pooling_mode, longer.name) == ("max", "mine")
    assert longer.dtype_policy.name == "mixed_bfloat16"


def test_what_cannot_be_extended():
    model = BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1))
    longest = model.config.max_position_embeddings
    with pytest.raises(ValueError, match=rf"at least the model's own, {longest}. Received: .*=3"):
        model.extend_positions(3)
    model.quantize("int8", filters="pooler")  # One layer is enough.
    with pytest.raises(ValueError, match="before `quantize`"):
        model.extend_positions(longest)
