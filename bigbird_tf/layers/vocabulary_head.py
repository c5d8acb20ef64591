"""`VocabularyHead`: logits of the next piece, from a decoder's vectors."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.decoding_head import DecodingHead
from bigbird_tf.types import Shape, Tensor

__all__ = ["VocabularyHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class VocabularyHead(DecodingHead):
    """The word embeddings in reverse, and a bias that does not train.

    The word embeddings belong to the model's backbone, so they come with the call. With
    `tie_word_embeddings=False` in the config, the head has a decoder of its own.

    Args:
        config: A `BigBirdPegasusConfig`.
        use_bias: Whether there is the bias.

    Call arguments:
        inputs: Tensor `(…, d_model)`.
        word_embeddings: The backbone's `keras.layers.ReversibleEmbedding`.

    Returns:
        Tensor `(…, vocab_size)`.
    """

    bias_trains = False

    def __init__(self, config: ModelConfig, use_bias: bool = True, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.use_bias = use_bias
        self.decoder = self._make_decoder()

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self._build_decoder(input_shape)

    def call(self, inputs: Tensor, word_embeddings: keras.layers.Layer) -> Tensor:
        """Computes; see the class."""
        return self._decode(inputs, word_embeddings)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "use_bias": self.use_bias}
