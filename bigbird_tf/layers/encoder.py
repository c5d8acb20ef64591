"""`Encoder`: the stack of encoder blocks."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.layers.block_sparse_attention import pad_length
from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.encoder_block import EncoderBlock
from bigbird_tf.layers.rematerialized import call_rematerialized
from bigbird_tf.types import Shape, Tensor

__all__ = ["Encoder"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Encoder(ConfigLayer):
    """All encoder blocks, one after the other.

    Sequences that sparse attention would pad in each layer are padded once, here.

    Args:
        config: A `BigBirdConfig` or another family's.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        attention_mask: Tensor `(B, T)`, 0 for padding; `None` if there is none.
        training: Whether dropout acts.
        output_hidden_states: Whether to return what goes into each layer, too.
        output_attentions: Whether to return attention weights, too.
        global_bias: float32 tensor `(B, K, T)`, added to the scores of the first K queries in each
            block; `None` for none.
        global_membership: As of `BlockSparseAttention`.

    Returns:
        `(last, hidden_states, attentions)`: `(B, T, hidden_size)`; a list of that shape with
        `num_hidden_layers + 1` entries; a list of `(B, N, T, T)` with an entry a layer. The lists
        are empty if they were not asked for.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.blocks = [
            self._make_block(index, dtype=self.dtype_policy, name=f"layer_{index}")
            for index in range(self.config.num_hidden_layers)
        ]

    def _make_block(self, index: int, **kwargs: Any) -> keras.layers.Layer:
        return EncoderBlock(self.config, index, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        for block in self.blocks:
            block.build(input_shape)

    def call(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Computes; see the class."""
        length = ops.shape(inputs)[1]
        hidden, mask = inputs, attention_mask
        if mask is None:
            mask = ops.ones(ops.shape(inputs)[:2], "bool")
        padding = self._padding(length)
        if padding is not None:
            hidden, mask = pad_length(hidden, padding), pad_length(mask, padding)
        bias = {}
        if global_bias is not None:
            if padding is not None:
                global_bias = pad_length(global_bias, padding, axis=2)
            bias["global_bias"] = global_bias
        if global_membership is not None:
            if padding is not None:
                global_membership = pad_length(global_membership, padding)
            bias["global_membership"] = global_membership
        hidden_states, attentions = [hidden], []
        for block in self.blocks:
            if output_attentions:
                hidden, weights = block(
                    hidden, mask, training=training, return_attention_scores=True, **bias
                )
                attentions.append(weights)
            elif training and self.config.gradient_checkpointing:
                hidden = call_rematerialized(block, hidden, attention_mask=mask, **bias)
            else:
                hidden = block(hidden, mask, training=training, **bias)
            hidden_states.append(hidden)
        if padding is not None:
            hidden_states = [state[:, :length] for state in hidden_states]
            attentions = [weights[:, :, :length, :length] for weights in attentions]
        return hidden_states[-1], hidden_states if output_hidden_states else [], attentions

    def call_with_cache(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        """Decodes; only for configs with `is_decoder=True`. See `CausalAttention`.

        Args:
            inputs: Tensor `(B, T, hidden_size)`.
            attention_mask: As of `CausalAttention.call_with_cache`.
            cache: What the call before returned, a pair of tensors for each block; `None` for a
                prompt.
            index: As of `CausalAttention.call_with_cache`.

        Returns:
            `(last, cache)`: `(B, T, hidden_size)`, and the cache with the new tokens in it.
        """
        hidden, new_cache = inputs, []
        for number, block in enumerate(self.blocks):
            old = None if cache is None else cache[number]
            hidden, pair = block.call_with_cache(hidden, attention_mask, old, index)
            new_cache.append(pair)
        return hidden, new_cache

    def _padding(self, length: Any) -> Any:
        """Returns how many tokens to add (an integer or a tensor), or `None` for none at all."""
        if self.config.self_attention_type == "original_full":
            return None
        spec = self.config.pattern_spec()
        padding = -length % spec.block_size
        is_short = length <= spec.longest_full_attention
        if isinstance(length, int):
            return None if is_short or not padding else padding
        return ops.where(is_short, 0, padding)

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of `last`."""
        return input_shape

    def compute_output_spec(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        global_bias: Tensor | None = None,
        global_membership: Tensor | None = None,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns."""
        batch, length, _ = inputs.shape
        heads = self.config.num_attention_heads
        hidden = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        weights = keras.KerasTensor((batch, heads, length, length), dtype=self.compute_dtype)
        count = len(self.blocks)
        return (
            hidden,
            [hidden] * (count + 1) if output_hidden_states else [],
            [weights] * count if output_attentions else [],
        )
