import json

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdForSequenceClassification, BigBirdPegasusForSequenceClassification
from bigbird_tf.models.positive_weights import PositiveWeightedCrossentropy
from tests.contract import assert_close, random_ids, tiny_config, tiny_pegasus_config

LOGITS = np.array([[2.0, -1.0, 0.0], [-90.0, 90.0, 0.5]], "float32")
LABELS = np.array([[1, 0, 1], [1, 0, 1]], "float32")
# log(1 + exp(-x)) for labels that are there, log(1 + exp(x)) for the others.
PARTS = np.array(
    [[0.12692801, 0.31326169, 0.69314718], [90.0, 90.0, 0.47407698]],
    "float64",
)


def by_hand(weight):
    return np.float32((PARTS * np.where(LABELS == 1, weight, 1.0)).mean())


@pytest.mark.parametrize("weight", [1.0, 8.0, [0.5, 3.0, 2.0]])
def test_by_hand(weight):
    loss = PositiveWeightedCrossentropy(weight)
    assert_close(loss(LABELS, LOGITS), by_hand(np.array(weight)), 1e-5)
    again = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))), {})
    assert_close(again(LABELS.astype("int32"), LOGITS), loss(LABELS, LOGITS), 1e-7)
    if weight == 1.0:
        plain = keras.losses.BinaryCrossentropy(from_logits=True)
        assert_close(plain(LABELS, LOGITS), loss(LABELS, LOGITS), 1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("weight", [8.0, [0.5, 3.0, 2.0]])
def test_equals_torch(weight):
    import torch

    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight))
    expected = theirs(torch.tensor(LOGITS), torch.tensor(LABELS)).numpy()
    assert_close(PositiveWeightedCrossentropy(weight)(LABELS, LOGITS), expected, 1e-5)


def test_refused():
    for weight in (0, -1.0, None, "8", [1.0, 0.0]):
        with pytest.raises(ValueError, match="`pos_weight` must be a positive number"):
            PositiveWeightedCrossentropy(weight)


FIELDS = {"problem_type": "multi_label_classification", "pos_weight": 8.0}


def test_the_papers_chromatin_head_trains(tmp_path):
    """919 logits, and labels that are there weigh eight times as much."""
    config = tiny_config(num_hidden_layers=0, num_labels=919, **FIELDS)
    model = BigBirdForSequenceClassification(config)
    model.compile(keras.optimizers.Adam(0.03))
    ids = random_ids(batch=4, length=13)
    labels = (np.random.default_rng(3).random((4, 919)) < 0.1).astype("float32")
    logits = keras.ops.convert_to_numpy(model(ids)).astype("float64")
    parts = labels * 8 * np.log1p(np.exp(-logits)) + (1 - labels) * np.log1p(np.exp(logits))
    losses = model.fit(ids, labels, epochs=25, verbose=0).history["loss"]
    np.testing.assert_allclose(losses[0], parts.mean(), rtol=0.02)
    assert losses[-1] < losses[0] / 2
    model.save_pretrained(tmp_path)
    again = BigBirdForSequenceClassification.from_pretrained(tmp_path)
    assert again.config.pos_weight == 8.0
    assert again._default_loss().pos_weight == 8.0
    assert_close(again(ids), model(ids), 1e-6)


def test_both_families():
    config = tiny_pegasus_config(**FIELDS)
    loss = BigBirdPegasusForSequenceClassification(config)._default_loss()
    assert type(loss) is PositiveWeightedCrossentropy
