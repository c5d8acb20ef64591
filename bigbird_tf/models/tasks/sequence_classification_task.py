"""`SequenceClassificationTask`: one label, several labels, or numbers for each text."""

from typing import Any

import keras

from bigbird_tf.models.configured_model import ConfiguredModel
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.models.positive_weights import PositiveWeightedCrossentropy
from bigbird_tf.models.trainable_model import TrainableModel

__all__ = ["SequenceClassificationTask"]


class SequenceClassificationTask(TrainableModel, ConfiguredModel):
    """What the config's `problem_type` says: losses and metrics of `compile`."""

    @property
    def problem_type(self) -> str:
        """What the labels are: the config's, or by the number of labels."""
        if self.config.problem_type is not None:
            return self.config.problem_type
        return "regression" if self.config.num_labels == 1 else "single_label_classification"

    def _default_loss(self) -> Any:
        if self.config.pos_weight is not None:
            return PositiveWeightedCrossentropy(self.config.pos_weight)
        return {
            "single_label_classification": SparseCrossentropy,
            "multi_label_classification": keras.losses.BinaryCrossentropy,
        }.get(self.problem_type, lambda from_logits: keras.losses.MeanSquaredError())(
            from_logits=True
        )

    def _default_metrics(self) -> Any:
        if self.problem_type == "single_label_classification":
            return [SparseAccuracy()]
        if self.problem_type == "multi_label_classification":
            # Logits above 0 are probabilities above one half.
            return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]
