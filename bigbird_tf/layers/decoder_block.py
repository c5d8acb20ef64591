"""`DecoderBlock`: causal attention, attention to a document, and feed-forward."""

from typing import Any, NamedTuple

import keras

from bigbird_tf.attention import CausalAttention, CrossAttention
from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.pre_norm_feed_forward import PreNormFeedForward
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.precision import within_float16
from bigbird_tf.types import Shape, Tensor

__all__ = ["DecoderBlock"]


class _Seeds(NamedTuple):
    attention: Tensor | None = None
    attended: Tensor | None = None
    cross_attention: Tensor | None = None
    cross_attended: Tensor | None = None
    activation: Tensor | None = None
    feed_forward: Tensor | None = None


@keras.saving.register_keras_serializable(package="bigbird_tf")
class DecoderBlock(ConfigLayer):
    """One layer of BigBird-Pegasus' decoder; each part is normalised first.

    Letters: B batch, T length, S length of the documents.

    Args:
        config: A `BigBirdPegasusConfig`.

    Call arguments:
        inputs: Tensor `(B, T, d_model)`.
        attention_mask: Tensor `(B, T)`, 0 for padding; `None` if there is none.
        encoder_states: Tensor `(B, S, d_model)`, the encoder's output; `None` for a decoder alone,
            which does not attend to any.
        encoder_mask: Tensor `(B, S)`, 0 for the documents' padding; `None` if there is none.
        training: Whether dropout acts.
        seeds: What `draw_seeds` returned, or `None`.
    """

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        rate = config.dropout
        self.layer_norm = self._layer_norm()
        self.attention = self._attention(CausalAttention, "attention")
        self.dropout = Dropout(rate, dtype=self.dtype_policy)
        self.cross_layer_norm = self._layer_norm("cross_layer_norm")
        self.cross_attention = self._attention(CrossAttention, "cross_attention")
        self.cross_dropout = Dropout(rate, dtype=self.dtype_policy)
        self.feed_forward = PreNormFeedForward(
            config,
            config.decoder_ffn_dim,
            config.activation_dropout,
            dtype=self.dtype_policy,
            name="feed_forward",
        )

    def _attention(self, attention_class: type, name: str) -> Any:
        config = self.config
        return attention_class(
            num_heads=config.decoder_attention_heads,
            key_dim=config.d_model // config.decoder_attention_heads,
            dropout=config.attention_dropout,
            use_bias=config.use_bias,
            kernel_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, inputs_shape: Shape) -> None:
        """Makes all weights."""
        for layer in (
            self.layer_norm,
            self.attention,
            self.cross_layer_norm,
            self.cross_attention,
            self.feed_forward,
        ):
            layer.build(inputs_shape)

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        layers = (
            self.attention.dropout_layer,
            self.dropout,
            self.cross_attention.dropout_layer,
            self.cross_dropout,
        )
        return [*(layer.draw_seed() for layer in layers), *self.feed_forward.draw_seeds()]

    def call(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        encoder_states: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        training: bool | None = None,
        seeds: Any = None,
    ) -> Tensor:
        """Computes; see the class."""
        of = _Seeds(*(seeds or ()))
        attended = self.attention(
            self.layer_norm(inputs),
            attention_mask=attention_mask,
            training=training,
            dropout_seed=of.attention,
        )
        attended = self.dropout(attended, training=training, seed=of.attended)
        hidden = within_float16(attended + inputs)
        if encoder_states is not None:
            attended = self.cross_attention(
                self.cross_layer_norm(hidden),
                encoder_states,
                attention_mask=encoder_mask,
                training=training,
                dropout_seed=of.cross_attention,
            )
            attended = self.cross_dropout(attended, training=training, seed=of.cross_attended)
            hidden = within_float16(attended + hidden)
        seeds = of.activation, of.feed_forward
        return self.feed_forward(hidden, training=training, seeds=seeds)

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor,
        cache: Any,
        index: Tensor,
        memory: Any,
        memory_mask: Tensor,
    ) -> tuple[Tensor, Any]:
        """Decodes one more token of each row.

        Args:
            inputs: Tensor `(R, 1, d_model)`.
            attention_mask: Tensor `(R, L)`: 1 for tokens up to the new one; see `CausalAttention`.
            cache: Keys and values of the tokens before, `(R, N, L, H)` each.
            index: int32 scalar, the new token's place in the cache.
            memory, memory_mask: As of `CrossAttention.attend_to_memory`.

        Returns:
            `(hidden, cache)`: the block's output, and keys and values with the new token's.
        """
        attended, cache = self.attention.call_with_cache(
            self.layer_norm(inputs), attention_mask, cache, index
        )
        hidden = within_float16(attended + inputs)
        attended = self.cross_attention.attend_to_memory(
            self.cross_layer_norm(hidden), memory, memory_mask
        )
        hidden = within_float16(attended + hidden)
        return self.feed_forward(hidden), cache

    def compute_output_shape(self, inputs_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return inputs_shape
