"""`DecodingHead`: from vectors to logits of all pieces of the vocabulary."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.dense import Dense, add_bias
from bigbird_tf.types import Shape, Tensor

__all__ = ["DecodingHead"]


class DecodingHead(ConfigLayer):
    """Products with the word embeddings, or with a decoder of its own, and a bias.

    Subclasses say in `use_bias` whether there is one, in `bias_trains` whether it trains, and make
    `decoder` by `_make_decoder`.
    """

    use_bias = True
    bias_trains = True
    bias: Any = None
    decoder: Dense | None

    def _make_decoder(self) -> Dense | None:
        """Returns the decoder of a config with `tie_word_embeddings=False`."""
        if self.config.tie_word_embeddings:
            return None
        return self._dense(self.config.vocab_size, "decoder", use_bias=False)

    def _build_decoder(self, input_shape: Shape) -> None:
        if self.decoder is not None:
            self.decoder.build(input_shape)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.config.vocab_size,),
                initializer="zeros",
                trainable=self.bias_trains,
            )

    def product_flops(self, length: int) -> int:
        """Returns the floating-point operations with the word embeddings, weights of another layer.

        Args:
            length: The length of a sequence.
        """
        if self.decoder is not None:
            return 0
        return 2 * length * self.config.vocab_size * self.config.hidden_size

    def _decode(self, hidden: Tensor, word_embeddings: keras.layers.Layer) -> Tensor:
        if self.decoder is not None:
            logits = self.decoder(hidden)
        elif self._reads_table_first(hidden, word_embeddings):
            logits = _product_with_rows(hidden, word_embeddings.embeddings)
        else:
            logits = word_embeddings(hidden, reverse=True)
        # The word embeddings may be of another policy.
        logits = ops.cast(logits, self.compute_dtype)
        if self.bias is None:
            return logits
        return add_bias(logits, ops.cast(self.bias, self.compute_dtype))

    def _reads_table_first(self, hidden: Tensor, word_embeddings: keras.layers.Layer) -> bool:
        """Returns whether this is a step of generation, and nothing but a product to compute."""
        return (
            len(hidden.shape) == 2
            and word_embeddings.quantization_mode is None
            and word_embeddings.compute_dtype == self.compute_dtype
        )

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns `(…, vocab_size)`."""
        return (*input_shape[:-1], self.config.vocab_size)

    def compute_output_spec(
        self, inputs: Tensor, word_embeddings: keras.layers.Layer | None = None
    ) -> Any:
        """Returns shape and dtype of the logits."""
        shape = (*inputs.shape[:-1], self.config.vocab_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def _product_with_rows(vectors: Tensor, table: Tensor) -> Tensor:
    """Returns the products `(R, V)` of some vectors `(R, D)` with all rows of a table `(V, D)`.

    TensorFlow on CPUs without oneDNN packs the right operand of a product before it multiplies.
    Where that is the table, it takes up to nine times as long as with the vectors there.
    """
    return ops.transpose(ops.matmul(table, ops.transpose(vectors)))
