"""The loss on one device; on several replicas see `test_replicas`."""

import keras
import numpy as np

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
