"""`Decoder`: the stack of BigBird-Pegasus' decoder blocks."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.decoder_block import DecoderBlock
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.layers.rematerialized import call_rematerialized
from bigbird_tf.nn.shared_layers import replace_layer
from bigbird_tf.types import Shape, Tensor

__all__ = ["Decoder"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Decoder(ConfigLayer):
    """All decoder blocks, one after the other, and layer normalisation after the last.

    With `normalize_before=False` of the config there is none after the last.

    Letters: B batch, T length, S length of the documents, R rows that decode, L room in the cache.

    Args:
        config: A `BigBirdPegasusConfig`.

    Call arguments:
        inputs: Tensor `(B, T, d_model)`.
        attention_mask: Tensor `(B, T)`, 0 for padding; `None` if there is none.
        encoder_states: Tensor `(B, S, d_model)`, the encoder's output; `None` for a decoder alone.
        encoder_mask: Tensor `(B, S)`, 0 for the documents' padding; `None` if there is none.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, T, d_model)`.
    """

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.blocks = [
            DecoderBlock(self.config, dtype=self.dtype_policy, name=f"layer_{index}")
            for index in range(self.config.decoder_layers)
        ]
        self.layer_norm: Any = self._layer_norm() if self.config.normalize_before else None

    def build(self, inputs_shape: Shape) -> None:
        """Makes all weights."""
        for block in self.blocks:
            block.build(inputs_shape)
        if self.layer_norm is not None and not self.layer_norm.built:
            self.layer_norm.build(inputs_shape)

    def share(self, encoder: Encoder) -> None:
        """Takes an encoder's layers in place of its own, but for those that read documents.

        Args:
            encoder: An encoder of the same form, built already; this decoder is not.
        """
        for block, other in zip(self.blocks, encoder.blocks, strict=True):
            block.share(other)
        if self.layer_norm is not None:
            replace_layer(self, "layer_norm", encoder.layer_norm)

    def call(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        encoder_states: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Computes; see the class."""
        tensors = {
            "attention_mask": attention_mask,
            "encoder_states": encoder_states,
            "encoder_mask": encoder_mask,
        }
        tensors = {name: x for name, x in tensors.items() if x is not None}
        hidden = inputs
        for block in self.blocks:
            if training and self.config.gradient_checkpointing:
                hidden = call_rematerialized(block, hidden, **tensors)
            else:
                hidden = block(hidden, **tensors, training=training)
        return self._normalized(hidden)

    def _normalized(self, hidden: Tensor) -> Tensor:
        return hidden if self.layer_norm is None else self.layer_norm(hidden)

    def make_memory(self, encoder_states: Tensor) -> list[Any]:
        """Returns what each block reads of documents `(B, S, d_model)`, for `call_with_cache`."""
        return [block.cross_attention.project_memory(encoder_states) for block in self.blocks]

    def empty_cache(self, rows: Any, room: int) -> list[Any]:
        """Returns keys and values of no tokens yet, `(R, N, L, H)` each, for each block."""
        attentions = [block.attention for block in self.blocks]
        return [
            tuple(
                ops.zeros((rows, layer.num_heads, room, layer.key_dim), self.compute_dtype)
                for _ in range(2)
            )
            for layer in attentions
        ]

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor,
        cache: Any = None,
        index: Tensor | None = None,
        memory: Any = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Decodes one more token of each row; or reads prompts, which have no cache yet.

        Args:
            inputs: Tensor `(R, 1, d_model)`; of prompts `(R, T, d_model)`.
            attention_mask: Tensor `(R, L)`: 1 for tokens up to the new one; of prompts `(R, T)`.
            cache: What the call before returned, or `empty_cache`; `None` for prompts.
            index: int32 scalar, the new token's place in the cache; `None` for prompts.
            memory: What `make_memory` returned, of B documents, where R is a multiple of B; `None`
                for a decoder alone.
            memory_mask: float32 `(B, S)`, 1 for tokens of the documents; `None` without them.

        Returns:
            `(hidden, cache)`: of the shape of `inputs`, and the cache with the new tokens in it.
        """
        hidden, new_cache = inputs, []
        for number, block in enumerate(self.blocks):
            hidden, pair = block.call_with_cache(
                hidden,
                attention_mask,
                None if cache is None else cache[number],
                index,
                None if memory is None else memory[number],
                memory_mask,
            )
            new_cache.append(pair)
        return self._normalized(hidden), new_cache

    def compute_output_shape(self, inputs_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return inputs_shape
