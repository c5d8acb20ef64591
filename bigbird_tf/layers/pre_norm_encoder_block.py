"""`PreNormEncoderBlock`: attention and feed-forward, each normalised first, with a residual."""

from typing import Any

import keras

from bigbird_tf.attention import BlockSparseAttention
from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.pre_norm_feed_forward import PreNormFeedForward
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.precision import within_float16
from bigbird_tf.types import Shape, Tensor

__all__ = ["PreNormEncoderBlock"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreNormEncoderBlock(ConfigLayer):
    """One layer of BigBird-Pegasus' encoder.

    Args:
        config: A `BigBirdPegasusConfig`.
        layer_index: The layer's number from 0: the seed of its random blocks.

    Call arguments:
        inputs: Tensor `(B, T, d_model)`.
        attention_mask: Tensor `(B, T)`, 0 for padding.
        training: Whether dropout acts.
        seeds: What `draw_seeds` returned, or `None`.
        return_attention_scores: Whether to return attention weights `(B, N, T, T)` too.
    """

    def __init__(self, config: ModelConfig, layer_index: int = 0, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        self.layer_index = layer_index
        self.layer_norm = self._layer_norm()
        self.attention = BlockSparseAttention(
            **config.pattern_spec(layer_index).arguments,
            key_dim=config.head_size,
            dropout=config.attention_probs_dropout_prob,
            use_bias=config.use_bias,
            attention_type=config.attention_type,
            kernel_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name="attention",
        )
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.feed_forward = PreNormFeedForward(
            config, config.intermediate_size, dtype=self.dtype_policy, name="feed_forward"
        )

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.layer_norm.build(input_shape)
        self.attention.build(input_shape)
        self.feed_forward.build(input_shape)

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        own = [layer.draw_seed() for layer in (self.attention.dropout_layer, self.dropout)]
        return [*own, *self.feed_forward.draw_seeds()]

    def call(
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

    def compute_output_spec(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        seeds: Any = None,
        return_attention_scores: bool = False,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns."""
        return self.attention.compute_output_spec(
            inputs,
            attention_mask=attention_mask,
            return_attention_scores=return_attention_scores,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "layer_index": self.layer_index}
