"""`BigBirdPegasusDecoder`: the decoder without a head."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers import Decoder, ScaledEmbeddings
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_pretrained import BigBirdPegasusPretrained
from bigbird_tf.models.big_bird_pegasus.pair_inputs import ENCODER_NAMES
from bigbird_tf.models.inputs import read_inputs
from bigbird_tf.nn.embedding_tables import ReversibleEmbedding
from bigbird_tf.types import Inputs, Shape, Tensor

__all__ = ["BigBirdPegasusDecoder"]


class BigBirdPegasusDecoder(BigBirdPegasusPretrained):
    """Embeddings and decoder blocks; the backbone of `BigBirdPegasusForCausalLM`.

    Letters: B batch, T length, S length of documents, R rows that decode.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary with `input_ids`, integers `(B, T)`, and optionally `attention_mask`;
            or the ids alone.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, T, d_model)`.
    """

    input_names: tuple[str, ...] = ENCODER_NAMES
    exported_inputs: tuple[str, ...] = ENCODER_NAMES

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy = self.dtype_policy
        self.word_embeddings = ReversibleEmbedding(
            self.config.vocab_size,
            self.config.d_model,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=self.config.init_std),
            dtype=policy,
            name="word_embeddings",
        )
        self._make_encoder()
        self.decoder_embeddings = self._make_decoder_embeddings()
        self.decoder = Decoder(self.config, dtype=policy, name="decoder")
        self.build((None, None))

    def _make_encoder(self) -> None:
        """A decoder has none."""

    def _make_decoder_embeddings(self) -> ScaledEmbeddings:
        return ScaledEmbeddings(self.config, dtype=self.dtype_policy, name="decoder_embeddings")

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        hidden_shape = (None, None, self.config.d_model)
        self.word_embeddings.build((None, None))
        if not self.decoder_embeddings.built:
            self.decoder_embeddings.build(hidden_shape)
        self.decoder.build(hidden_shape)

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Decodes; see the class."""
        inputs = read_inputs(inputs, self.config, names=ENCODER_NAMES)
        return self.decode(inputs["input_ids"], inputs["attention_mask"], training=training)

    def decode(
        self,
        ids: Tensor,
        mask: Tensor,
        encoder_states: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Runs embeddings and decoder on checked tensors.

        Args:
            ids, mask: `(B, T)`, what the decoder reads.
            encoder_states, encoder_mask: `(B, S, d_model)` and `(B, S)`; `None` for no document.
            training: Whether dropout acts.

        Returns:
            Tensor `(B, T, d_model)`.
        """
        embedded = self.decoder_embeddings(self.word_embeddings(ids), training=training)
        return self.decoder(
            embedded,
            attention_mask=mask,
            encoder_states=encoder_states,
            encoder_mask=encoder_mask,
            training=training,
        )

    def make_cache(self, encoder_states: Tensor, encoder_mask: Tensor, room: int) -> dict[str, Any]:
        """Returns what `decode_step` reads and writes, a row for each document.

        Args:
            encoder_states, encoder_mask: `(B, S, d_model)` and `(B, S)`.
            room: Tokens that there is room for.
        """
        return {
            "tokens": self.decoder.empty_cache(ops.shape(encoder_states)[0], room),
            "memory": self.decoder.make_memory(encoder_states),
            "memory_mask": ops.cast(encoder_mask, "float32"),
        }

    def decode_step(self, ids: Tensor, t: Tensor, cache: dict[str, Any]) -> tuple[Tensor, dict]:
        """Decodes one more token of each row.

        Args:
            ids: int32 `(R,)`.
            t: int32 scalar, the tokens' place.
            cache: What `make_cache` or the step before returned.

        Returns:
            `(hidden, cache)`: `(R, d_model)`, and the cache with the new token in it.
        """
        room = cache["tokens"][0][0].shape[2]
        is_used = ops.cast(ops.arange(room, dtype="int32") <= t, "float32")
        mask = ops.broadcast_to(is_used, (ops.shape(ids)[0], room))
        embedded = self.decoder_embeddings(
            self.word_embeddings(ids[:, None]),
            position_ids=ops.reshape(ops.cast(t, "int32"), (1, 1)),
        )
        hidden, tokens = self.decoder.call_with_cache(
            embedded, mask, cache["tokens"], t, cache["memory"], cache["memory_mask"]
        )
        return hidden[:, 0], {**cache, "tokens": tokens}

    def attention_layers(self) -> list[keras.layers.Layer]:
        """Returns the attention layers that are read, of all blocks."""
        return [block.attention for block in self.decoder.blocks]

    def compute_output_shape(self, input_shape: Shape | dict[str, Shape]) -> Any:
        """Returns `(B, T, d_model)`."""
        if isinstance(input_shape, dict):
            input_shape = input_shape["input_ids"]
        return (*input_shape, self.config.d_model)
