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

    The order of the last two is the originals'.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        input_ids: int32 `(B, T)`.
        token_type_ids: int32 `(B, T)`; `None` for zeros.
        position_ids: int32 `(B, T)` or `(1, T)`; `None` for 0 … T - 1.
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
        self.position_embeddings = self._embedding(
            config.max_position_embeddings, "position_embeddings"
        )
        self.token_type_embeddings = self._embedding(
            config.type_vocab_size, "token_type_embeddings"
        )
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
        ):
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
        embeddings = self.word_embeddings(input_ids)
        if self.config.rescale_embeddings:
            embeddings = embeddings * self.config.hidden_size**0.5
        if token_type_ids is None:
            # One row for all, instead of looking it up for each token.
            token_types = self.token_type_embeddings(ops.zeros((1, 1), "int32"))
        else:
            token_types = self.token_type_embeddings(token_type_ids)
        if position_ids is None:
            position_ids = ops.arange(ops.shape(input_ids)[1], dtype="int32")[None]
        embeddings = embeddings + token_types + self.position_embeddings(position_ids)
        return self.layer_norm(self.dropout(embeddings, training=training))

    def compute_output_shape(self, input_ids_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns `(B, T, hidden_size)`."""
        return (*input_ids_shape, self.config.hidden_size)
