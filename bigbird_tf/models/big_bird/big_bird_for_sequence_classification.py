"""`BigBirdForSequenceClassification`: one label, several labels, or a number for each text."""

from typing import Any

import keras

from bigbird_tf.layers import ClassificationHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.models.registry import register_model
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForSequenceClassification"]


@register_model
class BigBirdForSequenceClassification(BigBirdWithHead):
    """BigBird with a classifier on the first token.

    The config's `problem_type` decides the default loss and metrics of `compile()`: one label of
    several (integer labels `(B,)`, of which -100 counts for nothing), any of several (0 or 1,
    `(B, num_labels)`), or regression (numbers `(B, num_labels)`).

    Args:
        config: A `BigBirdConfig`; `num_labels` is the number of logits.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, num_labels)`.
    """

    def _make_head(self) -> keras.layers.Layer:
        return ClassificationHead(self.config, dtype=self.dtype_policy, name="classifier")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Classifies; see the class."""
        hidden, _, _ = self.backbone.encode(self._read_inputs(inputs), training=training)
        return self._logits(self.head(hidden, training=training))

    @property
    def problem_type(self) -> str:
        """What the labels are: the config's, or by the number of labels."""
        if self.config.problem_type is not None:
            return self.config.problem_type
        return "regression" if self.config.num_labels == 1 else "single_label_classification"

    def _default_loss(self) -> Any:
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
