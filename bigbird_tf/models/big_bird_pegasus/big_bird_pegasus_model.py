"""`BigBirdPegasusModel`: encoder and decoder without a head."""

from typing import Any

import keras

from bigbird_tf.layers import Encoder, PreNormEncoder, ScaledEmbeddings
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_decoder import BigBirdPegasusDecoder
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_pretrained import BigBirdPegasusPretrained
from bigbird_tf.models.big_bird_pegasus.pair_inputs import read_pair
from bigbird_tf.models.registry import register_model
from bigbird_tf.types import Inputs, Shape, Tensor

__all__ = ["BigBirdPegasusModel"]


@register_model
class BigBirdPegasusModel(BigBirdPegasusDecoder):
    """BigBird-Pegasus (Zaheer et al., 2020, section 4): a sparse encoder, and a decoder.

    With `tie_encoder_decoder=True` of the config both stacks share their weights, but for those
    that read documents; with `normalize_before=False` they are normalised as BigBird's encoder is.
    Both together are the paper's encoder-decoder of a BigBird encoder's weights.

    Letters: B batch, S length of the documents, T length of what the decoder reads.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary with `input_ids`, integers `(B, S)`; optionally `attention_mask`
            `(B, S)`, 0 for padding (all ones if missing); `decoder_input_ids` `(B, T)` (the
            documents' ids behind the start token if missing, as in `transformers`);
            `decoder_attention_mask` `(B, T)`. Or the documents' ids alone.
        training: Whether dropout acts.

    Returns:
        A dictionary: `last_hidden_state` `(B, T, d_model)`, the decoder's;
        `encoder_last_hidden_state` `(B, S, d_model)`.

    Raises:
        ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If ids are outside of the vocabulary.

    Example:

    >>> config = BigBirdPegasusConfig(
    ...     encoder_layers=1, decoder_layers=1, d_model=8, encoder_attention_heads=2,
    ...     decoder_attention_heads=2
    ... )
    >>> ids = keras.ops.ones((1, 5), "int32")
    >>> BigBirdPegasusModel(config)({"input_ids": ids})["last_hidden_state"].shape
    TensorShape([1, 5, 8])
    """

    input_names = BigBirdPegasusPretrained.input_names
    exported_inputs = BigBirdPegasusPretrained.exported_inputs

    def _make_encoder(self) -> None:
        self.encoder_embeddings = ScaledEmbeddings(
            self.config, dtype=self.dtype_policy, name="encoder_embeddings"
        )
        encoder_class = PreNormEncoder if self.config.normalize_before else Encoder
        self.encoder = encoder_class(self.config, dtype=self.dtype_policy, name="encoder")

    def _make_decoder_embeddings(self) -> ScaledEmbeddings:
        if self.config.tie_encoder_decoder:
            return self.encoder_embeddings
        return super()._make_decoder_embeddings()

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        is_tied = self.config.tie_encoder_decoder
        if is_tied:
            self._build_encoder()
            self.decoder.share(self.encoder)
        super().build(input_shape)
        if not is_tied:
            self._build_encoder()

    def _build_encoder(self) -> None:
        hidden_shape = (None, None, self.config.d_model)
        self.encoder_embeddings.build(hidden_shape)
        self.encoder.build(hidden_shape)

    def call(self, inputs: Inputs, training: bool | None = None) -> dict[str, Tensor]:
        """Encodes and decodes; see the class."""
        hidden, encoder_states = self.transform(read_pair(inputs, self.config), training=training)
        return {"last_hidden_state": hidden, "encoder_last_hidden_state": encoder_states}

    def transform(self, inputs: dict, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """Runs encoder and decoder on inputs that `read_pair` has checked.

        Returns:
            `(hidden, encoder_states)`: `(B, T, d_model)` and `(B, S, d_model)`.
        """
        mask = inputs["attention_mask"]
        encoder_states = self.encode(inputs["input_ids"], mask, training=training)
        hidden = self.decode(
            inputs["decoder_input_ids"],
            inputs["decoder_attention_mask"],
            encoder_states,
            mask,
            training=training,
        )
        return hidden, encoder_states

    def encode(self, ids: Tensor, mask: Tensor, training: bool | None = None) -> Tensor:
        """Runs embeddings and encoder on checked ids and mask `(B, S)`: `(B, S, d_model)`."""
        embedded = self.encoder_embeddings(self.word_embeddings(ids), training=training)
        return self.encoder(embedded, mask, training=training)[0]

    def attention_layers(self) -> list[keras.layers.Layer]:
        """Returns the attention layers of all blocks."""
        encoder = [block.attention for block in self.encoder.blocks]
        return [
            *encoder,
            *super().attention_layers(),
            *(block.cross_attention for block in self.decoder.blocks),
        ]

    def compute_output_shape(self, input_shape: Shape | dict[str, Shape]) -> Any:
        """Returns the shapes of what a call returns, by name."""
        if not isinstance(input_shape, dict):
            input_shape = {"input_ids": input_shape}
        document = input_shape["input_ids"]
        read = input_shape.get("decoder_input_ids", document)
        width = self.config.d_model
        return {
            "last_hidden_state": (*read, width),
            "encoder_last_hidden_state": (*document, width),
        }
