"""`BigBirdForTokenClassification`: a label for each token."""

import keras

from bigbird_tf.layers import LinearHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import LanguageModelTask
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForTokenClassification"]


@register_model
class BigBirdForTokenClassification(LanguageModelTask, BigBirdWithHead):
    """BigBird with a classifier on every token.

    For `fit`, labels are integers `(B, T)`, and sample weights `(B, T)` say which tokens count: 0
    for padding and for pieces without a label of their own. Or such labels are -100. Loss and
    accuracy are means over what counts.

    Args:
        config: A `BigBirdConfig`; `num_labels` is the number of logits.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, T, num_labels)`.
    """

    def _make_head(self) -> keras.layers.Layer:
        config = self.config
        rate = config.classifier_dropout
        rate = config.hidden_dropout_prob if rate is None else rate
        return LinearHead(
            config, config.num_labels, rate, dtype=self.dtype_policy, name="classifier"
        )

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Classifies; see the class."""
        hidden, _, _ = self.backbone.encode(self._read_inputs(inputs), training=training)
        return self._logits(self.head(hidden, training=training))
