"""`LinearHead`: one dense layer behind dropout."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["LinearHead"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class LinearHead(ConfigLayer):
    """Dropout and a dense layer, on each vector.

    Args:
        config: A `BigBirdConfig` or another family's.
        units: Number of logits.
        rate: Dropout rate.

    Call arguments:
        inputs: Tensor `(…, hidden_size)`.
        training: Whether dropout acts.

    Returns:
        Tensor `(…, units)`.
    """

    def __init__(self, config: ModelConfig, units: int, rate: float, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.units = units
        self.rate = rate
        self.dropout = Dropout(rate, dtype=self.dtype_policy)
        self.dense = self._dense(units, "dense")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.dense.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Computes; see the class."""
        return self.dense(self.dropout(inputs, training=training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `(…, units)`."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "units": self.units, "rate": self.rate}
