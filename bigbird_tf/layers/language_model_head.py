"""`LanguageModelHead`: logits for each piece of the vocabulary."""

from typing import Any

import keras

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.decoding_head import DecodingHead
from bigbird_tf.nn.activations import get_activation
from bigbird_tf.types import Shape, Tensor

__all__ = ["LanguageModelHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class LanguageModelHead(DecodingHead):
    """Dense, activation, layer normalisation; then the word embeddings in reverse, and a bias.

    The word embeddings belong to the model's backbone, so they come with the call: the head's
    decoder and they are one matrix. With `tie_word_embeddings=False` in the config, the head has a
    decoder of its own.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        inputs: Tensor `(…, hidden_size)`.
        word_embeddings: The backbone's `keras.layers.ReversibleEmbedding`.

    Returns:
        Tensor `(…, vocab_size)`.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.dense = self._dense(self.config.hidden_size, "dense")
        self.activation = get_activation(self.config.hidden_act)
        self.layer_norm = self._layer_norm()
        self.decoder = self._make_decoder()

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.dense.build(input_shape)
        self.layer_norm.build(input_shape)
        self._build_decoder(input_shape)

    def call(self, inputs: Tensor, word_embeddings: keras.layers.Layer) -> Tensor:
        """Computes; see the class."""
        hidden = self.layer_norm(self.activation(self.dense(inputs)))
        return self._decode(hidden, word_embeddings)
