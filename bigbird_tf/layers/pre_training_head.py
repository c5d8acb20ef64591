"""`PreTrainingHead`: masked pieces, and whether two segments belong together."""

from typing import Any

import keras

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.language_model_head import LanguageModelHead
from bigbird_tf.types import Shape, Tensor

__all__ = ["PreTrainingHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreTrainingHead(ConfigLayer):
    """A `LanguageModelHead`, and a dense layer on the pooled vector.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        inputs: Tensor `(…, hidden_size)`.
        pooled: Tensor `(B, hidden_size)`.
        word_embeddings: The backbone's `keras.layers.ReversibleEmbedding`.

    Returns:
        `(prediction_logits, seq_relationship_logits)`: `(…, vocab_size)` and `(B, 2)`.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.predictions = LanguageModelHead(
            self.config, dtype=self.dtype_policy, name="predictions"
        )
        self.seq_relationship = self._dense(2, "seq_relationship")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.predictions.build(input_shape)
        self.seq_relationship.build((input_shape[0], self.config.hidden_size))

    def call(
        self, inputs: Tensor, pooled: Tensor, word_embeddings: keras.layers.Layer
    ) -> tuple[Tensor, Tensor]:
        """Computes; see the class."""
        predictions = self.predictions(inputs, word_embeddings=word_embeddings)
        return predictions, self.seq_relationship(pooled)

    def compute_output_shape(
        self, input_shape: Shape, *args: Any, **kwargs: Any
    ) -> tuple[Shape, Shape]:
        """Returns `(…, vocab_size)` and `(B, 2)`."""
        return (*input_shape[:-1], self.config.vocab_size), (input_shape[0], 2)

    def compute_output_spec(
        self,
        inputs: Tensor,
        pooled: Tensor | None = None,
        word_embeddings: keras.layers.Layer | None = None,
    ) -> Any:
        """Returns shapes and dtypes of what a call returns."""
        predictions = self.predictions.compute_output_spec(inputs, word_embeddings)
        return predictions, keras.KerasTensor((inputs.shape[0], 2), dtype=self.compute_dtype)
