"""`BigBirdEmbeddings`: words, positions and token types."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.embedding_tables import Embedding, ReversibleEmbedding
from bigbird_tf.types import Shape, Tensor

__all__ = ["BigBirdEmbeddings"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BigBirdEmbeddings(ConfigLayer):
    """Sum of word, position and token type embeddings; then dropout; then layer normalisation.

    The order of the last two is the originals'. Without position embeddings if positions are
    relative: these are in attention. Tokens beside the sequence are embedded by
    `embed_global`.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        input_ids: int32 `(B, T)`.
        token_type_ids: int32 `(B, T)`; `None` for zeros.
        position_ids: int32 `(B, T)` or `(1, T)`; `None` for 0 … T - 1, or for relative positions.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, T, hidden_size)`.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        # Reversible, since the heads of language models decode with the same matrix.
        self.word_embeddings = self._embedding(
            config.vocab_size, "word_embeddings", ReversibleEmbedding
        )
        self.position_embeddings: Any = None
        if config.position_embedding_type == "absolute":
            self.position_embeddings = self._embedding(
                config.max_position_embeddings, "position_embeddings"
            )
        self.token_type_embeddings = self._embedding(
            config.type_vocab_size, "token_type_embeddings"
        )
        self.global_embeddings: Any = None
        if config.num_global_tokens:
            self.global_embeddings = self._embedding(config.num_global_tokens, "global_embeddings")
        self.layer_norm = self._layer_norm()
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)

    def _embedding(
        self, input_dim: int, name: str, layer_class: type = Embedding
    ) -> keras.layers.Layer:
        return layer_class(
            input_dim,
            self.config.hidden_size,
            embeddings_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_ids_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        for embedding in (
            self.word_embeddings,
            self.position_embeddings,
            self.token_type_embeddings,
            self.global_embeddings,
        ):
            if embedding is not None:
                embedding.build(None)
        self.layer_norm.build((None, None, self.config.hidden_size))

    def call(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Embeds; see the class."""
        embeddings = self._embed_words(input_ids)
        if token_type_ids is None:
            # One row for all, instead of looking it up for each token.
            token_types = self.token_type_embeddings(ops.zeros((1, 1), "int32"))
        else:
            token_types = self.token_type_embeddings(token_type_ids)
        embeddings = embeddings + token_types
        if self.position_embeddings is not None:
            if position_ids is None:
                position_ids = ops.arange(ops.shape(input_ids)[1], dtype="int32")[None]
            embeddings = embeddings + self.position_embeddings(position_ids)
        return self.layer_norm(self.dropout(embeddings, training=training))

    def embed_global(
        self, input_ids: Tensor | None, batch_size: Any, training: bool | None = None
    ) -> Tensor:
        """Embeds tokens beside the sequence; only for configs with `num_global_tokens`.

        The i-th of them has row i of a table of its own, in place of position and token type, which
        it has not; and a word, if ids are given. Then dropout and normalisation, as of the others.

        Args:
            input_ids: int32 `(B, G)`; `None` for rows of the table alone, all
                `num_global_tokens` of them.
            batch_size: B, an integer or a scalar tensor.
            training: Whether dropout acts.

        Returns:
            Tensor `(B, G, hidden_size)`.
        """
        count = self.config.num_global_tokens if input_ids is None else ops.shape(input_ids)[1]
        rows = self.global_embeddings(ops.arange(count, dtype="int32")[None])
        if input_ids is None:
            embeddings = ops.tile(rows, (batch_size, 1, 1))
        else:
            embeddings = self._embed_words(input_ids) + rows
        return self.layer_norm(self.dropout(embeddings, training=training))

    def _embed_words(self, input_ids: Tensor) -> Tensor:
        embeddings = self.word_embeddings(input_ids)
        if self.config.rescale_embeddings:
            embeddings = embeddings * self.config.hidden_size**0.5
        return embeddings

    def compute_output_shape(self, input_ids_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns `(B, T, hidden_size)`."""
        return (*input_ids_shape, self.config.hidden_size)
