"""`BigBirdModel`: the encoder without a head."""

import functools
from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers import BigBirdEmbeddings, Encoder, EtcEncoder, Pooler
from bigbird_tf.models.big_bird.global_inputs import read_big_bird_inputs
from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.models.registry import register_model
from bigbird_tf.nn.backend import compute_spec
from bigbird_tf.types import Inputs, Shape

__all__ = ["BigBirdModel"]


@register_model
class BigBirdModel(PretrainedModel):
    """BigBird's encoder (Zaheer et al., 2020): embeddings, encoder blocks, pooler.

    Args:
        config: A `BigBirdConfig`.
        add_pooling_layer: Whether there is a pooler.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary with `input_ids`, integers `(B, T)`; optionally `attention_mask`, 0 for
            padding (all ones if missing); `token_type_ids` (zeros if missing); `position_ids`
            (0 … T - 1 if missing; none where positions are relative). Or the ids alone. A mask
            that is zero everywhere, and an empty batch, give finite results. With
            `num_global_tokens` in the config also `global_input_ids`, integers `(B, G)` with G up
            to that number (without them the global tokens are the learned rows of a table alone);
            `global_attention_mask` `(B, G)`, 0 for padding; `global_membership`, integers `(B, T)`:
            which global token each position belongs to, by its number, or -1. The last is needed
            where the config has `global_reads="members"` (a global token that nothing belongs to
            reads everything), and read also where positions are relative, which tell members from
            others.
        training: Whether dropout acts.
        output_hidden_states: Whether to return the embeddings and each layer's output too.
        output_attentions: Whether to return each layer's attention weights too. They are dense: it
            costs quadratic time and memory.

    Returns:
        A dictionary: `last_hidden_state` `(B, T, hidden_size)`; `pooler_output` `(B, hidden_size)`
        if there is a pooler; on request `hidden_states`, a list of `num_hidden_layers + 1` tensors
        `(B, T, hidden_size)`, and `attentions`, a list of tensors `(B, N, T, T)`. With
        `num_global_tokens` in the config also `global_hidden_state` `(B, G, hidden_size)`; and
        `attentions` are `(B, N, G + T, G + T)`, the global tokens first.

    Raises:
        ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If ids are outside of the vocabulary.

    Example:

    >>> config = BigBirdConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2)
    >>> BigBirdModel(config)(keras.ops.ones((1, 5), "int32"))["last_hidden_state"].shape
    TensorShape([1, 5, 8])
    """

    def __init__(self, config: BigBirdConfig, add_pooling_layer: bool = True, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.add_pooling_layer = add_pooling_layer
        self.embeddings = BigBirdEmbeddings(self.config, dtype=self.dtype_policy, name="embeddings")
        encoder_class = EtcEncoder if self.config.num_global_tokens else Encoder
        self.encoder = encoder_class(self.config, dtype=self.dtype_policy, name="encoder")
        self.pooler = None
        if add_pooling_layer:
            self.pooler = Pooler(self.config, dtype=self.dtype_policy, name="pooler")
        self.build((None, None))

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        hidden_shape = (None, None, self.config.hidden_size)
        self.embeddings.build((None, None))
        self.encoder.build(hidden_shape)
        if self.pooler is not None:
            self.pooler.build(hidden_shape)

    def call(
        self,
        inputs: Inputs,
        training: bool | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> dict[str, Any]:
        """Encodes; see the class."""
        inputs = read_big_bird_inputs(inputs, self.config)
        hidden, hidden_states, attentions, *of_global = self._encode(
            inputs,
            training=training,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
        )
        outputs = {"last_hidden_state": hidden}
        if self.pooler is not None:
            outputs["pooler_output"] = self.pooler(hidden)
        if of_global:
            outputs["global_hidden_state"] = of_global[0]
        if output_hidden_states:
            outputs["hidden_states"] = hidden_states
        if output_attentions:
            outputs["attentions"] = attentions
        return outputs

    def encode(self, inputs: dict, training: bool | None = None, **options: Any) -> Any:
        """Runs embeddings and encoder on inputs that `read_big_bird_inputs` has checked.

        Heads call this, so that inputs are checked once, and nothing is pooled in vain.

        Returns:
            What `Encoder` returns, of the sequence alone.
        """
        return self._encode(inputs, training=training, **options)[:3]

    def _encode(self, inputs: dict, training: bool | None = None, **options: Any) -> Any:
        """Returns what the encoder returns."""
        embedded = self.embeddings(
            inputs["input_ids"],
            token_type_ids=inputs["token_type_ids"],
            position_ids=inputs["position_ids"],
            training=training,
        )
        if self.config.num_global_tokens:
            batch_size = ops.shape(inputs["input_ids"])[0]
            options["global_inputs"] = self.embeddings.embed_global(
                inputs["global_input_ids"], batch_size, training=training
            )
            options["global_mask"] = inputs["global_attention_mask"]
            options["global_membership"] = inputs["global_membership"]
        return self.encoder(embedded, inputs["attention_mask"], training=training, **options)

    def attention_layers(self) -> list[keras.layers.Layer]:
        """Returns the attention layer of each block."""
        return [block.attention for block in self.encoder.blocks]

    def compute_output_shape(self, input_shape: Shape | dict[str, Shape]) -> dict[str, Shape]:
        """Returns the shapes of what a call returns by default, by name."""
        count = self.config.num_global_tokens
        if isinstance(input_shape, dict):
            if "global_input_ids" in input_shape:
                count = input_shape["global_input_ids"][1]
            input_shape = input_shape["input_ids"]
        width = self.config.hidden_size
        shapes = {"last_hidden_state": (*input_shape, width)}
        if self.pooler is not None:
            shapes["pooler_output"] = (input_shape[0], width)
        if self.config.num_global_tokens:
            shapes["global_hidden_state"] = (input_shape[0], count, width)
        return shapes

    def compute_output_spec(self, inputs: Inputs, *args: Any, **kwargs: Any) -> Any:
        """Returns shapes and dtypes of what this call returns; what that is, arguments decide."""
        compute = functools.partial(keras.Operation.compute_output_spec, self)
        return compute_spec(lambda inputs: compute(inputs, *args, **kwargs), inputs)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "add_pooling_layer": self.add_pooling_layer}
