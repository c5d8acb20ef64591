"""`PreNormEncoder`: the stack of BigBird-Pegasus' encoder blocks."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.encoder import Encoder
from bigbird_tf.layers.pre_norm_encoder_block import PreNormEncoderBlock
from bigbird_tf.types import Shape, Tensor

__all__ = ["PreNormEncoder"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreNormEncoder(Encoder):
    """All encoder blocks, one after the other, and layer normalisation after the last.

    Args:
        config: A `BigBirdPegasusConfig`.

    Call arguments:
        As `Encoder`'s. The last of the hidden states is normalised, as in `transformers`.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.layer_norm = self._layer_norm()

    def _make_block(self, index: int, **kwargs: Any) -> keras.layers.Layer:
        return PreNormEncoderBlock(self.config, index, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        super().build(input_shape)
        self.layer_norm.build(input_shape)

    def call(  # type: ignore[override]  # no global tokens beside its sequences
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Computes; see the class."""
        hidden, states, attentions = super().call(
            inputs,
            attention_mask,
            training=training,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
        )
        hidden = self.layer_norm(hidden)
        return hidden, [*states[:-1], hidden] if states else [], attentions
