"""`BigBirdForMaskedLM`: the pieces behind the masks."""

import keras

from bigbird_tf.layers import LanguageModelHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.masked_positions import gather_positions
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import LanguageModelTask
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForMaskedLM"]


@register_model
class BigBirdForMaskedLM(LanguageModelTask, BigBirdWithHead):
    """BigBird with a logit for each piece of the vocabulary; its decoder is the word embeddings.

    Letters: B batch, T length, K positions asked for, V vocabulary. For `fit`, labels are integers
    `(B, T)`, or `(B, K)` with `masked_positions`, and sample weights of that shape say which of
    them count; or labels that do not are -100. Loss and accuracy are means over what counts.

    Args:
        config: A `BigBirdConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s, and optionally `masked_positions`, integers `(B, K)` in
            `[0, T)`: where logits are wanted. Rows with fewer repeat any position, at weight 0.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, T, V)`, or `(B, K, V)` with `masked_positions`.

    Raises:
        ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If ids or positions are out of range.
    """

    extra_inputs = ("masked_positions",)

    def _make_head(self) -> keras.layers.Layer:
        return LanguageModelHead(self.config, dtype=self.dtype_policy, name="predictions")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        hidden, _, _ = self.backbone.encode(inputs, training=training)
        hidden = gather_positions(hidden, inputs["masked_positions"])
        word_embeddings = self.backbone.embeddings.word_embeddings
        return self._logits(self.head(hidden, word_embeddings=word_embeddings))
