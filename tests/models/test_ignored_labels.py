"""Labels of -100 count for nothing, in losses and metrics of all heads."""

import keras
import numpy as np
import pytest

from bigbird_tf import models
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from tests.contract import random_ids, randomize, tiny_config

LOGITS = np.random.default_rng(5).normal(size=(3, 4, 7)).astype("float32")
LABELS = np.array([[1, 2, -100, 0], [-100, -100, -100, -100], [6, -100, 3, 3]])
COUNTS = LABELS >= 0


def expected_loss(weights=COUNTS):
    log_probabilities = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_probabilities, np.maximum(LABELS, 0)[..., None], -1)[..., 0]
    return -(chosen * weights).sum() / weights.sum()


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_loss_is_the_mean_of_the_others(reduction, dtype):
    loss = SparseCrossentropy(from_logits=True, reduction=reduction)
    np.testing.assert_allclose(loss(LABELS.astype(dtype), LOGITS), expected_loss(), rtol=1e-6)
    # What stands where a label is ignored plays no part.
    others = np.where(COUNTS[..., None], LOGITS, LOGITS * 50 - 3)
    np.testing.assert_allclose(loss(LABELS.astype(dtype), others), expected_loss(), rtol=1e-6)


def test_loss_with_weights_too():
    weights = np.random.default_rng(6).random(LABELS.shape).astype("float32")
    loss = SparseCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    value = loss(LABELS, LOGITS, sample_weight=weights)
    np.testing.assert_allclose(value, expected_loss(COUNTS * weights), rtol=1e-6)


def test_one_label_a_row():
    loss = SparseCrossentropy(from_logits=True)
    logits, labels = LOGITS[:, 0], np.array([3, -100, 1])
    expected = loss(labels[[0, 2]], logits[[0, 2]])
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(labels[:, None], logits), expected, rtol=1e-6)
    assert float(loss(np.full(3, -100), logits)) == 0.0


def test_without_ignored_labels_it_is_keras():
    labels = np.maximum(LABELS, 0)
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(
        SparseCrossentropy(from_logits=True)(labels, LOGITS), keras_loss(labels, LOGITS), rtol=1e-6
    )


@pytest.mark.parametrize(("label", "expected"), [(-100, 1.0), (-99, 0.5), (-101, 0.5), (-1, 0.5)])
def test_no_other_negative_label_is_ignored(label, expected):
    """A label that is none of the classes is wrong, not left out, or mistakes would stay hidden."""
    metric = SparseAccuracy()
    metric.update_state(np.array([label, 2]), np.eye(7, dtype="float32")[[0, 2]])
    np.testing.assert_allclose(metric.result(), expected)


def test_accuracy():
    metric = SparseAccuracy()
    right = (LOGITS.argmax(-1) == LABELS)[COUNTS]
    metric.update_state(LABELS, LOGITS)
    np.testing.assert_allclose(metric.result(), right.mean(), rtol=1e-6)
    # Another batch with weights: one a label, one a row.
    for weights in (np.random.default_rng(6).random(LABELS.shape), np.array([0.5, 2.0, 0.25])):
        metric.reset_state()
        metric.update_state(LABELS, LOGITS, sample_weight=weights)
        full = np.broadcast_to(weights.T[..., None] if weights.ndim == 1 else weights, LABELS.shape)
        expected = (right * full[COUNTS]).sum() / full[COUNTS].sum()
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)
    metric.reset_state()
    metric.update_state(np.array([[3], [-100], [1]]), LOGITS[:, 0], sample_weight=np.ones((3, 1)))
    expected = (LOGITS[[0, 2], 0].argmax(-1) == [3, 1]).mean()
    np.testing.assert_allclose(metric.result(), expected)
    metric.reset_state()
    metric.update_state(np.array([3, 1], "uint8"), LOGITS[[0, 2], 0])
    np.testing.assert_allclose(metric.result(), expected)
    assert SparseAccuracy.from_config(metric.get_config()).name == "accuracy"


HEADS = {
    "BigBirdForMaskedLM": ((2, 13), None),
    "BigBirdForCausalLM": ((2, 13), None),
    "BigBirdForTokenClassification": ((2, 13), None),
    "BigBirdForSequenceClassification": ((2,), None),
    "BigBirdForMultipleChoice": ((2,), None),
    "BigBirdForQuestionAnswering": ((2,), ("start_logits", "end_logits")),
    "BigBirdForPreTraining": ((2,), ("seq_relationship_logits",)),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(name):
    """`evaluate` of a batch whose second row is ignored is that of the first row."""
    model = getattr(models, name)(tiny_config(num_hidden_layers=0))
    randomize(model)
    model.compile(run_eagerly=True)
    shape, keys = HEADS[name]
    ids = random_ids(length=13)
    if model.input_rank == 3:
        ids = np.stack([ids, ids[:, ::-1]], axis=1)
    labels = np.random.default_rng(8).integers(0, 2, shape)
    if keys is not None:
        labels = dict.fromkeys(keys, labels)
    if name == "BigBirdForPreTraining":
        labels["prediction_logits"] = np.random.default_rng(9).integers(0, 53, (2, 13))
    ignored = {k: v.copy() for k, v in labels.items()} if keys else labels.copy()
    for value in keras.tree.flatten(ignored):
        value[1] = -100
    options = {"verbose": 0, "return_dict": True}
    result = model.evaluate(ids, ignored, **options)
    first = keras.tree.map_structure(lambda x: x[:1], labels)
    expected = model.evaluate(ids[:1], first, **options)
    assert set(result) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(result[key], value, rtol=1e-5, err_msg=key)


@pytest.mark.parametrize("from_logits", [True, False])
def test_label_smoothing_is_keras(from_logits):
    labels = np.maximum(LABELS, 0)
    predictions = LOGITS if from_logits else np.asarray(keras.ops.softmax(LOGITS))
    arguments = {"from_logits": from_logits, "label_smoothing": 0.3}
    one_hot = np.eye(LOGITS.shape[-1], dtype="float32")[labels]
    expected = keras.losses.CategoricalCrossentropy(**arguments)(one_hot, predictions)
    loss = SparseCrossentropy(**arguments)
    np.testing.assert_allclose(loss(labels, predictions), expected, rtol=1e-5)
    again = SparseCrossentropy.from_config(loss.get_config())
    np.testing.assert_allclose(again(labels, predictions), expected, rtol=1e-5)
    # What does not count, does not.
    some = loss(np.where(np.arange(labels.shape[1]) < 1, labels, -100), predictions)
    alone = loss(labels[:, :1], predictions[:, :1])
    np.testing.assert_allclose(some, alone, rtol=1e-5)


def test_label_smoothing_out_of_range():
    with pytest.raises(ValueError, match=r"`label_smoothing` must be in \[0, 1\)"):
        SparseCrossentropy(label_smoothing=1.0)
