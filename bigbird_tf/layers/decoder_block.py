"""`DecoderBlock`: causal attention, attention to a document, and feed-forward."""

from typing import Any, NamedTuple

import keras

from bigbird_tf.attention import CausalAttention, CrossAttention
from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.layers.pre_norm_feed_forward import PreNormFeedForward
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.precision import within_float16
from bigbird_tf.nn.shared_layers import replace_layer
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

    With `normalize_before=False` of the config each part is normalised behind its residual.

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
        self.feed_forward = self._make_feed_forward()

    def _make_feed_forward(self) -> Any:
        width, options = self.config.decoder_ffn_dim, {"dtype": self.dtype_policy}
        if not self.config.normalize_before:
            return FeedForward(self.config, width, name="feed_forward", **options)
        rate = self.config.activation_dropout
        return PreNormFeedForward(self.config, width, rate, name="feed_forward", **options)

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
            if not layer.built:
                layer.build(inputs_shape)

    def share(self, encoder_block: EncoderBlock) -> None:
        """Takes the layers of an encoder's block in place of its own, but for those of documents.

        Args:
            encoder_block: A block of the same form, built already; this one is not.
        """
        for name in ("layer_norm", "feed_forward"):
            replace_layer(self, name, getattr(encoder_block, name))
        self.attention.share_projections(encoder_block.attention)

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        layers = (
            self.attention.dropout_layer,
            self.dropout,
            self.cross_attention.dropout_layer,
            self.cross_dropout,
        )
        own = [layer.draw_seed() for layer in layers]
        if self.config.normalize_before:
            return [*own, *self.feed_forward.draw_seeds()]
        return [*own, None, self.feed_forward.dropout.draw_seed()]

    def _before(self, layer_norm: keras.layers.Layer, inputs: Tensor) -> Tensor:
        """Returns what a part reads."""
        return layer_norm(inputs) if self.config.normalize_before else inputs

    def _behind(self, layer_norm: keras.layers.Layer, added: Tensor, inputs: Tensor) -> Tensor:
        """Returns what is read behind a part, of what it adds to its inputs."""
        if self.config.normalize_before:
            return within_float16(added + inputs)
        return layer_norm(added + inputs)

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
            self._before(self.layer_norm, inputs),
            attention_mask=attention_mask,
            training=training,
            dropout_seed=of.attention,
        )
        attended = self.dropout(attended, training=training, seed=of.attended)
        hidden = self._behind(self.layer_norm, attended, inputs)
        if encoder_states is not None:
            attended = self.cross_attention(
                self._before(self.cross_layer_norm, hidden),
                encoder_states,
                attention_mask=encoder_mask,
                training=training,
                dropout_seed=of.cross_attention,
            )
            attended = self.cross_dropout(attended, training=training, seed=of.cross_attended)
            hidden = self._behind(self.cross_layer_norm, attended, hidden)
        if not self.config.normalize_before:
            return self.feed_forward(hidden, training=training, seed=of.feed_forward)
        seeds = of.activation, of.feed_forward
        return self.feed_forward(hidden, training=training, seeds=seeds)

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor,
        cache: Any = None,
        index: Tensor | None = None,
        memory: Any = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Decodes one more token of each row, or reads prompts; as `Decoder.call_with_cache`.

        Args:
            inputs: Tensor `(R, 1, d_model)`; of prompts `(R, T, d_model)`.
            attention_mask: As of `CausalAttention.call_with_cache`.
            cache: Keys and values of the tokens before, `(R, N, L, H)` each; `None` for prompts.
            index: int32 scalar, the new token's place in the cache; `None` for prompts.
            memory, memory_mask: As of `CrossAttention.attend_to_memory`; `None` for a decoder
                alone.

        Returns:
            `(hidden, cache)`: the block's output, and keys and values with the new tokens'.
        """
        attended, cache = self.attention.call_with_cache(
            self._before(self.layer_norm, inputs), attention_mask, cache, index
        )
        hidden = self._behind(self.layer_norm, attended, inputs)
        if memory is not None:
            attended = self.cross_attention.attend_to_memory(
                self._before(self.cross_layer_norm, hidden), memory, memory_mask
            )
            hidden = self._behind(self.cross_layer_norm, attended, hidden)
        return self.feed_forward(hidden), cache

    def compute_output_shape(self, inputs_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return inputs_shape
