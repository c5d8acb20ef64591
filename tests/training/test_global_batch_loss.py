"""The loss on one device; on several replicas see `test_replicas`."""

import keras
import numpy as np
from keras import ops
from keras.src.backend.common.masking import set_keras_mask

from bigbird_tf.training import GlobalBatchLoss

LOGITS = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
LABELS = np.array([0, 4, 2])
WEIGHTS = np.array([0.0, 2.0, 0.5])


def test_one_device_has_the_loss_itself():
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", None):
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=reduction, name="own"
        )
        ours = GlobalBatchLoss(loss)
        assert (ours.name, ours.reduction) == ("own", reduction)
        for weights in (None, WEIGHTS):
            expected = loss(LABELS, LOGITS, weights)
            np.testing.assert_array_equal(ours(LABELS, LOGITS, weights), expected)
        np.testing.assert_array_equal(ours.call(LABELS, LOGITS), loss.call(LABELS, LOGITS))


def test_by_what_a_mean_divides():
    """All entries without weights; the entries that a mask leaves; or the weights themselves."""
    values = ops.convert_to_tensor(np.array([2.0, 3.0, 5.0, 7.0], "float32"))
    labels, weights = np.zeros(4), np.array([0.5, 0.0, 1.0, 2.0])

    def reduce(reduction, values=values, sample_weight=None):
        loss = GlobalBatchLoss(keras.losses.MeanSquaredError(reduction=reduction))
        return [float(x) for x in loss._reduce(values, labels, labels, sample_weight)]

    assert reduce("sum_over_batch_size") == [17.0, 4.0]
    assert reduce("sum_over_batch_size", sample_weight=weights) == [20.0, 4.0]
    assert reduce("mean_with_sample_weight", sample_weight=weights) == [20.0, 3.5]
    masked = ops.copy(values)
    set_keras_mask(masked, ops.convert_to_tensor([True, True, False, False]))
    assert reduce("sum_over_batch_size", masked) == [5.0, 2.0]
    assert reduce("sum_over_batch_size", masked, weights) == [1.0, 2.0]
    assert reduce("mean_with_sample_weight", masked, weights) == [1.0, 0.5]
