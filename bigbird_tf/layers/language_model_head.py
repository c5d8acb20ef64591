"""`LanguageModelHead`: logits for each piece of the vocabulary."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.activations import get_activation
from bigbird_tf.nn.dense import add_bias
from bigbird_tf.types import Shape, Tensor

__all__ = ["LanguageModelHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class LanguageModelHead(ConfigLayer):
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
        self.decoder = None
        if not self.config.tie_word_embeddings:
            self.decoder = self._dense(self.config.vocab_size, "decoder", use_bias=False)

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.dense.build(input_shape)
        self.layer_norm.build(input_shape)
        if self.decoder is not None:
            self.decoder.build(input_shape)
        self.bias = self.add_weight(
            name="bias", shape=(self.config.vocab_size,), initializer="zeros"
        )

    def call(self, inputs: Tensor, word_embeddings: keras.layers.Layer) -> Tensor:
        """Computes; see the class."""
        hidden = self.layer_norm(self.activation(self.dense(inputs)))
        if self.decoder is None:
            logits = word_embeddings(hidden, reverse=True)
        else:
            logits = self.decoder(hidden)
        # The word embeddings may be of another policy.
        tensors = (ops.cast(x, self.compute_dtype) for x in (logits, self.bias))
        return add_bias(*tensors)

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns `(…, vocab_size)`."""
        return (*input_shape[:-1], self.config.vocab_size)

    def compute_output_spec(
        self, inputs: Tensor, word_embeddings: keras.layers.Layer | None = None
    ) -> Any:
        """Returns shape and dtype of the logits."""
        shape = (*inputs.shape[:-1], self.config.vocab_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)
