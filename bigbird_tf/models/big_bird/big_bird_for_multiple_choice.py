"""`BigBirdForMultipleChoice`: the best of several continuations or answers."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.layers import LinearHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.big_bird.global_inputs import GLOBAL_NAMES
from bigbird_tf.models.ignored_labels import SparseAccuracy, SparseCrossentropy
from bigbird_tf.models.inputs import INPUT_NAMES
from bigbird_tf.models.registry import register_model
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForMultipleChoice"]


@register_model
class BigBirdForMultipleChoice(BigBirdWithHead):
    """BigBird with one logit for each choice, from the pooled vector of the text with that choice.

    Letters: B batch, C choices, T length. For `fit`, labels are integers `(B,)`;
    -100 counts for nothing.

    Args:
        config: A `BigBirdConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s, each of shape `(B, C, T)`, those of global tokens `(B, C, G)`.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, C)`.
    """

    uses_pooler = True
    input_rank = 3

    def _make_head(self) -> keras.layers.Layer:
        rate = self.config.hidden_dropout_prob
        return LinearHead(self.config, 1, rate, dtype=self.dtype_policy, name="classifier")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        shape = ops.shape(inputs["input_ids"])
        for name in (*INPUT_NAMES, *GLOBAL_NAMES):
            value = inputs.get(name)
            if value is not None:
                length = ops.shape(value)[2]
                # Positions may be given once for the whole batch.
                value = ops.broadcast_to(value, (*shape[:2], length))
                inputs[name] = ops.reshape(value, (-1, length))
        hidden, _, _ = self.backbone.encode(inputs, training=training)
        logits = self.head(self.backbone.pooler(hidden), training=training)
        return self._logits(ops.reshape(logits, (-1, shape[1])))

    def _default_loss(self) -> Any:
        return SparseCrossentropy(from_logits=True)

    def _default_metrics(self) -> Any:
        return [SparseAccuracy()]
