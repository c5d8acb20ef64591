"""`BigBirdForSequenceClassification`: one label, several labels, or a number for each text."""

import keras

from bigbird_tf.layers import ClassificationHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import SequenceClassificationTask
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForSequenceClassification"]


@register_model
class BigBirdForSequenceClassification(SequenceClassificationTask, BigBirdWithHead):
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
