"""`ScaledEmbeddings`: vectors of words, scaled, and of their positions."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.embedding_tables import Embedding
from bigbird_tf.types import Shape, Tensor

__all__ = ["ScaledEmbeddings"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class ScaledEmbeddings(ConfigLayer):
    """Vectors of words times `sqrt(d_model)`, plus a table of positions; then dropout.

    Then layer normalisation, where stacks are not normalised at their end.

    Encoder and decoder have one each, with one table of words for both, which belongs to the model.

    Args:
        config: A `BigBirdPegasusConfig`.

    Call arguments:
        words: Tensor `(B, T, d_model)`, the vectors of words.
        position_ids: int32 `(B, T)` or `(1, T)`; `None` for 0 … T - 1.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, T, d_model)`.
    """

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.position_embeddings = Embedding(
            self.config.max_position_embeddings,
            self.config.hidden_size,
            embeddings_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name="position_embeddings",
        )
        self.dropout = Dropout(self.config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.layer_norm: Any = None if self.config.normalize_before else self._layer_norm()

    def build(self, words_shape: Shape | None = None) -> None:
        """Makes all weights; they depend on the config only."""
        self.position_embeddings.build(None)
        if self.layer_norm is not None:
            self.layer_norm.build((None, None, self.config.hidden_size))

    def call(
        self,
        words: Tensor,
        position_ids: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Embeds; see the class."""
        if self.config.scale_embedding:
            words = words * self.config.hidden_size**0.5
        if position_ids is None:
            position_ids = ops.arange(ops.shape(words)[1], dtype="int32")[None]
        embedded = words + self.position_embeddings(position_ids)
        embedded = self.dropout(embedded, training=training)
        return embedded if self.layer_norm is None else self.layer_norm(embedded)

    def compute_output_shape(self, words_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the words."""
        return words_shape
