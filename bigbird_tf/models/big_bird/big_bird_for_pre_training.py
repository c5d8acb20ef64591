"""`BigBirdForPreTraining`: masked pieces, and whether two segments belong together."""

from typing import Any

import keras

from bigbird_tf.layers import PreTrainingHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.ignored_labels import SparseAccuracy
from bigbird_tf.models.losses import weighted_crossentropy
from bigbird_tf.models.masked_positions import gather_positions
from bigbird_tf.models.registry import register_model
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForPreTraining"]


@register_model
class BigBirdForPreTraining(BigBirdWithHead):
    """BigBird with both heads of its pre-training.

    Letters: B batch, T length, K positions asked for, V vocabulary. For `fit`, labels and sample
    weights are dictionaries with the keys of the outputs: labels of masked pieces `(B, T)`, or
    `(B, K)` with `masked_positions`, whose weights say which of them count (or
    labels are -100); and 0 for segments that
    follow each other, 1 for those that do not, `(B,)`. The loss is the sum of both.

    Args:
        config: A `BigBirdConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdForMaskedLM`'s.
        training: Whether dropout acts.

    Returns:
        A dictionary: `prediction_logits`, float32 `(B, T, V)`, or `(B, K, V)` with
        `masked_positions`; `seq_relationship_logits`, float32 `(B, 2)`.

    Raises:
        ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If ids or positions are out of range.
    """

    uses_pooler = True
    extra_inputs = ("masked_positions",)

    def _make_head(self) -> keras.layers.Layer:
        return PreTrainingHead(self.config, dtype=self.dtype_policy, name="cls")

    def call(self, inputs: Inputs, training: bool | None = None) -> dict[str, Tensor]:
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        hidden, _, _ = self.backbone.encode(inputs, training=training)
        predictions, relationship = self.head(
            gather_positions(hidden, inputs["masked_positions"]),
            self.backbone.pooler(hidden),
            word_embeddings=self.backbone.embeddings.word_embeddings,
        )
        return {
            "prediction_logits": self._logits(predictions),
            "seq_relationship_logits": self._logits(relationship),
        }

    def _default_loss(self) -> Any:
        return {
            "prediction_logits": weighted_crossentropy(),
            "seq_relationship_logits": weighted_crossentropy(),
        }

    def _default_weighted_metrics(self) -> Any:
        return {
            name: [SparseAccuracy()] for name in ("prediction_logits", "seq_relationship_logits")
        }
