"""`ClassificationHead`: logits for a whole sequence."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.activations import get_activation
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["ClassificationHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class ClassificationHead(ConfigLayer):
    """Dropout, dense, activation, dropout, dense, on the first token's vector.

    Args:
        config: A `BigBirdConfig` or another family's.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        training: Whether dropout acts.

    Returns:
        Tensor `(B, num_labels)`.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        rate = config.classifier_dropout
        rate = config.hidden_dropout_prob if rate is None else rate
        self.input_dropout = Dropout(rate, dtype=self.dtype_policy)
        self.dense = self._dense(config.hidden_size, "dense")
        self.activation = get_activation(config.classifier_act or config.hidden_act)
        self.output_dropout = Dropout(rate, dtype=self.dtype_policy)
        self.output_dense = self._dense(config.num_labels, "output")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        shape = (input_shape[0], self.config.hidden_size)
        self.dense.build(shape)
        self.output_dense.build(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Classifies; see the class."""
        hidden = self.input_dropout(inputs[:, 0], training=training)
        hidden = self.activation(self.dense(hidden))
        return self.output_dense(self.output_dropout(hidden, training=training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `(B, num_labels)`."""
        return (input_shape[0], self.config.num_labels)
