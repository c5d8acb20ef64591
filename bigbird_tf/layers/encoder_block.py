"""`EncoderBlock`: attention and feed-forward, each with a residual and layer normalisation."""

from typing import Any

import keras

from bigbird_tf.attention import BlockSparseAttention, CausalAttention
from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["EncoderBlock"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class EncoderBlock(ConfigLayer):
    """One layer of the encoder, normalised after each half as in BERT.

    Args:
        config: A `BigBirdConfig` or another family's.
        layer_index: The layer's number from 0: the seed of its random blocks.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        attention_mask: Tensor `(B, T)`, 0 for padding.
        training: Whether dropout acts.
        seeds: What `draw_seeds` returned, or `None`.
        return_attention_scores: Whether to return attention weights `(B, N, T, T)` too.
        global_bias: float32 tensor `(B, K, T)`, added to the scores of the first K queries; `None`
            for none.
        global_membership: As of `BlockSparseAttention`.

    Returns:
        Tensor `(B, T, hidden_size)`, or it and the weights.
    """

    def __init__(self, config: ModelConfig, layer_index: int = 0, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        self.layer_index = layer_index
        arguments = {
            "key_dim": config.head_size,
            "dropout": config.attention_probs_dropout_prob,
            "use_bias": config.use_bias,
            "use_output_bias": config.use_bias or config.always_output_bias,
            "attention_type": config.self_attention_type,
            "kernel_initializer": self._initializer(),
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        pattern = config.pattern_spec(layer_index).arguments
        attention_class = CausalAttention if config.is_decoder else BlockSparseAttention
        self.attention = attention_class(**pattern, **arguments)
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.layer_norm = self._layer_norm()
        self.feed_forward = self._make_feed_forward()

    def _make_feed_forward(self) -> keras.layers.Layer:
        return FeedForward(self.config, dtype=self.dtype_policy, name="feed_forward")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.attention.build(input_shape)
        self.layer_norm.build(input_shape)
        self.feed_forward.build(input_shape)

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        layers = (self.attention.dropout_layer, self.dropout, self.feed_forward.dropout)
        return [layer.draw_seed() for layer in layers]

    def call(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        seeds: Any = None,
        return_attention_scores: bool = False,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> Tensor:
        """Computes; see the class."""
        attention_seed, hidden_seed, feed_forward_seed = seeds or (None, None, None)
        attended = self.attention(
            inputs,
            attention_mask=attention_mask,
            training=training,
            return_attention_scores=return_attention_scores,
            dropout_seed=attention_seed,
            global_bias=global_bias,
            global_membership=global_membership,
        )
        attended, *scores = attended if return_attention_scores else (attended,)
        attended = self.dropout(attended, training=training, seed=hidden_seed)
        hidden = self.layer_norm(attended + inputs)
        hidden = self.feed_forward(hidden, training=training, seed=feed_forward_seed)
        return (hidden, *scores) if return_attention_scores else hidden

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        """Decodes; only for configs with `is_decoder=True`. See `CausalAttention`.

        Returns:
            `(hidden, cache)`: the block's output, and keys and values with the new tokens'.
        """
        attended, cache = self.attention.call_with_cache(inputs, attention_mask, cache, index)
        return self.feed_forward(self.layer_norm(attended + inputs)), cache

    def compute_output_spec(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        seeds: Any = None,
        return_attention_scores: bool = False,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
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
