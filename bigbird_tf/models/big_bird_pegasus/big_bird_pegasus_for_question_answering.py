"""`BigBirdPegasusForQuestionAnswering`: the span of a text that answers a question."""

from typing import Any

import keras

from bigbird_tf.layers import LinearHead
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_with_head import BigBirdPegasusWithHead
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import QuestionAnsweringTask
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdPegasusForQuestionAnswering"]


@register_model
class BigBirdPegasusForQuestionAnswering(QuestionAnsweringTask, BigBirdPegasusWithHead):
    """BigBird-Pegasus with start and end logits for each token that the decoder reads.

    Without `decoder_input_ids` these are the document's, each one place later.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdPegasusModel`'s.
        training: Whether dropout acts.

    Returns:
        A dictionary: `start_logits` and `end_logits`, float32 `(B, T)`. For `fit`, labels are a
        dictionary of the same keys with token positions, integers `(B,)`; -100 counts for nothing.
    """

    def _make_head(self) -> keras.layers.Layer:
        return LinearHead(self.config, 2, 0.0, dtype=self.dtype_policy, name="qa_outputs")

    def call(self, inputs: Inputs, training: bool | None = None) -> dict[str, Any]:
        """Computes the logits; see the class."""
        hidden, _ = self.backbone.transform(self._read_inputs(inputs), training=training)
        logits: Tensor = self._logits(self.head(hidden, training=training))
        return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}
