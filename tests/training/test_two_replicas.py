"""Two replicas by hand: what each adds up with the other's; `test_replicas` has real ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.losses.losses import LossFunctionWrapper

from bigbird_tf.training import GlobalBatchLoss, empty_batch, global_batch_loss, with_known_lengths

RNG = np.random.default_rng(7)
# Unequal parts of a batch of five.
PARTS = (slice(0, 3), slice(3, 5))
LABELS = np.array([0, 4, 2, 1, 1])
LOGITS = RNG.normal(size=(5, 6)).astype("float32")
WEIGHTS = np.array([0.0, 2.0, 0.5, 1.5, 3.0], "float32")


class Context:
    """One of two replicas; the other one has handed `others` to the sum."""

    num_replicas_in_sync = 2

    def __init__(self, others=None):
        self.others, self.handed = others, None

    def all_reduce(self, kind, values):
        assert kind == "SUM"
        self.handed = values
        if self.others is None:
            return values
        return [mine + other for mine, other in zip(values, self.others, strict=True)]


def on_replica(monkeypatch, context, loss, part, weights, scale):
    monkeypatch.setattr(global_batch_loss, "replica_context", lambda: context)
    weights = None if weights is None else weights[part]
    return GlobalBatchLoss(loss)(LABELS[part], scale * LOGITS[part], weights)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["all", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_the_loss_of_the_global_batch(monkeypatch, reduction, weights):
    """Its half on each replica; and gradients whose sum is that of all five examples."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    scale = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        expected = loss(LABELS, scale * LOGITS, weights)
    expected_gradient = tape.gradient(expected, scale)
    total = 0.0
    for mine, other in (PARTS, PARTS[::-1]):
        context = Context()
        on_replica(monkeypatch, context, loss, other, weights, 1.0)
        with tf.GradientTape() as tape:
            found = on_replica(monkeypatch, Context(context.handed), loss, mine, weights, scale)
        np.testing.assert_allclose(found, expected / 2, rtol=1e-5)
        total += tape.gradient(found, scale)
    np.testing.assert_allclose(total, expected_gradient, rtol=1e-4)


def test_a_replica_without_examples(monkeypatch):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    context, nothing = Context(), slice(5, 5)
    on_replica(monkeypatch, context, loss, nothing, None, 1.0)
    assert [float(value) for value in context.handed] == [0.0, 0.0]
    whole = slice(0, 5)
    found = on_replica(monkeypatch, Context(context.handed), loss, whole, None, 1.0)
    np.testing.assert_allclose(found, loss(LABELS, LOGITS) / 2, rtol=1e-6)
    # And where none has any.
    found = on_replica(monkeypatch, Context(context.handed), loss, nothing, None, 1.0)
    assert float(found) == 0.0


def test_a_function_that_is_a_mean_already(monkeypatch):
    """It counts as often as its replica has examples."""
    loss = LossFunctionWrapper(lambda y_true, y_pred: keras.ops.mean(y_pred), name="mean")
    context = Context()
    on_replica(monkeypatch, context, loss, PARTS[1], None, 1.0)
    np.testing.assert_allclose(context.handed, [2 * LOGITS[PARTS[1]].mean(), 2], rtol=1e-5)
    found = on_replica(monkeypatch, Context(context.handed), loss, PARTS[0], None, 1.0)
    np.testing.assert_allclose(found, LOGITS.mean() / 2, rtol=1e-5)
    # A mean of nothing is not a number, and counts nothing.
    on_replica(monkeypatch, context, loss, slice(5, 5), None, 1.0)
    assert [float(value) for value in context.handed] == [0.0, 0.0]


@pytest.mark.parametrize("reduction", [None, "none"])
def test_losses_that_are_left_as_they_are(monkeypatch, reduction):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    context = Context()
    found = on_replica(monkeypatch, context, loss, PARTS[0], None, 1.0)
    assert context.handed is None
    assert found.shape == (3,)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0, 0), (0, 1)),
        ((0, 3), (0, 3)),
        ((2, 0), (2, 0)),
        ((2, 3), (2, 3)),
        ((0, 0, 5), (0, 1, 5)),
        ((0, 4, 0), (0, 4, 1)),
        ((0,), (0,)),
    ],
)
def test_lengths_of_batches_without_examples(monkeypatch, given, expected):
    """One where there was none; with examples, a length of none is the user's."""
    monkeypatch.setattr(empty_batch, "replica_context", Context)
    known = [None] * len(given) if len(given) < 3 or given[2] != 5 else [None, None, 5]

    @tf.function(input_signature=[tf.TensorSpec(known, tf.int32)], autograph=False)
    def lengthen(x):
        found = with_known_lengths({"ids": x, "other": None})
        assert found["other"] is None
        assert found["ids"].shape.as_list() == known
        return tf.shape(found["ids"])

    assert lengthen(tf.zeros(given, tf.int32)).numpy().tolist() == list(expected)
