"""`Pooler`: a vector for the whole sequence."""

from typing import Any

import keras

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.types import Shape, Tensor

__all__ = ["Pooler"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Pooler(ConfigLayer):
    """A dense layer with tanh on the first token's vector.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.

    Returns:
        Tensor `(B, hidden_size)`.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.dense = self._dense(self.config.hidden_size, "dense", activation="tanh")

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.dense.build((input_shape[0], input_shape[-1]))

    def call(self, inputs: Tensor) -> Tensor:
        """Pools; see the class."""
        return self.dense(inputs[:, 0])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns `(B, hidden_size)`."""
        return (input_shape[0], self.config.hidden_size)
