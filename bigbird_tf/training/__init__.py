"""Training on several replicas: what Keras computes for each replica, computed for all of them."""

from bigbird_tf.training.empty_batch import with_known_lengths
from bigbird_tf.training.global_batch_loss import GlobalBatchLoss, compute_over_global_batch
from bigbird_tf.training.summed_gradients import sum_gradients_first

__all__ = [
    "GlobalBatchLoss",
    "compute_over_global_batch",
    "sum_gradients_first",
    "with_known_lengths",
]
