"""`PreNormEncoderBlock`: attention and feed-forward, each normalised first, with a residual."""

from typing import Any

import keras

from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.pre_norm_feed_forward import PreNormFeedForward
from bigbird_tf.nn.precision import within_float16
from bigbird_tf.types import Tensor

__all__ = ["PreNormEncoderBlock"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreNormEncoderBlock(EncoderBlock):
    """One layer of BigBird-Pegasus' encoder.

    Args:
        config: A `BigBirdPegasusConfig`.
        layer_index: The layer's number from 0: the seed of its random blocks.

    Call arguments:
        As `EncoderBlock`'s.
    """

    def _make_feed_forward(self) -> keras.layers.Layer:
        return PreNormFeedForward(
            self.config,
            self.config.intermediate_size,
            dtype=self.dtype_policy,
            name="feed_forward",
        )

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        own = [layer.draw_seed() for layer in (self.attention.dropout_layer, self.dropout)]
        return [*own, *self.feed_forward.draw_seeds()]

    def call(  # type: ignore[override]  # no global tokens beside its sequences
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        seeds: Any = None,
        return_attention_scores: bool = False,
    ) -> Tensor:
        """Computes; see the class."""
        attention_seed, hidden_seed, *feed_forward_seeds = seeds or (None,) * 4
        attended = self.attention(
            self.layer_norm(inputs),
            attention_mask=attention_mask,
            training=training,
            return_attention_scores=return_attention_scores,
            dropout_seed=attention_seed,
        )
        attended, *scores = attended if return_attention_scores else (attended,)
        attended = self.dropout(attended, training=training, seed=hidden_seed)
        hidden = within_float16(attended + inputs)
        hidden = self.feed_forward(hidden, training=training, seeds=feed_forward_seeds)
        return (hidden, *scores) if return_attention_scores else hidden
