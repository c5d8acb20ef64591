"""Embedding tables whose gradients optimizers read right."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.lora import SavesLora
from bigbird_tf.nn.precision import at_least_float32
from bigbird_tf.types import Tensor

__all__ = ["Embedding", "ReversibleEmbedding"]

LORA_NAMES = ("_embeddings", "lora_embeddings_a", "lora_embeddings_b")


def _look_up(table: Any, ids: Tensor) -> Tensor:
    """Returns the rows of a table, with a dense gradient.

    TensorFlow's own is a list of rows in which an id that occurs k times is listed k times. Keras'
    optimizers square these one by one (their second moment would need the square of the sum), so
    rows of frequent ids, such as those of positions and token types, would learn at another rate.
    """
    num_rows, width = table.shape

    @ops.custom_gradient
    def take(table):
        def gradient(grad_output, **_):
            flat = ops.reshape(at_least_float32(grad_output), (-1, width))
            rows = ops.segment_sum(flat, ops.reshape(ids, (-1,)), num_rows)
            return ops.cast(rows, table.dtype)

        return ops.take(table, ids, axis=0), gradient

    # The copy reads a variable into a tensor: a custom gradient treats variables differently from
    # its arguments.
    return take(ops.copy(table))


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Embedding(SavesLora, keras.layers.Embedding):
    """`keras.layers.Embedding` with a dense gradient; see `_look_up`.

    Call arguments:
        inputs: Integers of any shape.

    Returns:
        Tensor `(…, output_dim)`.
    """

    _lora_names = LORA_NAMES

    def call(self, inputs: Tensor) -> Tensor:
        """Looks up; see the class."""
        ids = ops.cast(inputs, "int32")
        return ops.cast(_look_up(self.embeddings, ids), self.compute_dtype)

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Quantizes as Keras does, whose check is for its own class alone."""
        super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="bigbird_tf")
class ReversibleEmbedding(SavesLora, keras.layers.ReversibleEmbedding):
    """`keras.layers.ReversibleEmbedding` with a dense gradient; see `_look_up`.

    Call arguments:
        inputs: Integers of any shape; or vectors `(…, output_dim)` if `reverse`.
        reverse: Whether to go back, from vectors to logits.

    Returns:
        Tensor `(…, output_dim)`; or `(…, input_dim)` if `reverse`.
    """

    _lora_names = LORA_NAMES

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Looks up, or goes back; see the class."""
        if reverse:
            return super().call(inputs, reverse=True)
        ids = ops.cast(inputs, "int32")
        return ops.cast(_look_up(self.embeddings, ids), self.compute_dtype)

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Quantizes as Keras does, whose check is for its own class alone."""
        super().quantize(mode, type_check=False, config=config)
