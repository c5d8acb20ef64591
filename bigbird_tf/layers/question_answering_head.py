"""`QuestionAnsweringHead`: start and end logits for each token."""

from typing import Any

import keras

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.feed_forward import FeedForward
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["QuestionAnsweringHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class QuestionAnsweringHead(ConfigLayer):
    """Dropout, a feed-forward layer whose residual is without that dropout, and a dense layer.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, T, 2)`: start and end logits.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.dropout = Dropout(self.config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.feed_forward = FeedForward(self.config, dtype=self.dtype_policy, name="feed_forward")
        self.output_dense = self._dense(2, "output")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.feed_forward.build(input_shape)
        self.output_dense.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Computes; see the class."""
        dropped = self.dropout(inputs, training=training)
        hidden = self.feed_forward(dropped, residual=inputs, training=training)
        return self.output_dense(hidden)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `(B, T, 2)`."""
        return (*input_shape[:-1], 2)
