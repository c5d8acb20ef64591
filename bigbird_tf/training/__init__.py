"""Training: callbacks of `fit`, and what Keras computes for each of several replicas, for all."""

from bigbird_tf.training.apply_if_finite import ApplyIfFinite
from bigbird_tf.training.empty_batch import with_known_lengths
from bigbird_tf.training.global_batch_loss import GlobalBatchLoss, compute_over_global_batch
from bigbird_tf.training.summed_gradients import sum_gradients_first
from bigbird_tf.training.throughput import Throughput
from bigbird_tf.training.training_checkpoint import TrainingCheckpoint
from bigbird_tf.training.uneven_batch import refuses_uneven_batches
from bigbird_tf.training.weight_layouts import layout_map

__all__ = [
    "ApplyIfFinite",
    "GlobalBatchLoss",
    "Throughput",
    "TrainingCheckpoint",
    "compute_over_global_batch",
    "layout_map",
    "refuses_uneven_batches",
    "sum_gradients_first",
    "with_known_lengths",
]
