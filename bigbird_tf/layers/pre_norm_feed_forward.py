"""`PreNormFeedForward`: the last part of a block, normalised at its beginning."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.layers.feed_forward import two_dense_layers
from bigbird_tf.nn.activations import get_activation
from bigbird_tf.nn.dense import as_matrix
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.nn.precision import within_float16
from bigbird_tf.types import Shape, Tensor

__all__ = ["PreNormFeedForward"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreNormFeedForward(ConfigLayer):
    """Layer normalisation, two dense layers with an activation between, dropout, a residual.

    Args:
        config: A `BigBirdPegasusConfig`.
        intermediate_size: Width inside.
        activation_dropout: Dropout rate inside, after the activation.

    Call arguments:
        inputs: Tensor `(B, T, d_model)`.
        training: Whether dropout acts.
        seeds: What `draw_seeds` returned, or `None`.
    """

    def __init__(
        self,
        config: ModelConfig,
        intermediate_size: int,
        activation_dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(config, **kwargs)
        self.intermediate_size = intermediate_size
        self.activation_dropout = activation_dropout
        self.layer_norm = self._layer_norm()
        self.intermediate_dense = self._dense(intermediate_size, "intermediate")
        self.activation = get_activation(self.config.hidden_act)
        self.inner_dropout = Dropout(activation_dropout, dtype=self.dtype_policy)
        self.output_dense = self._dense(self.config.hidden_size, "output")
        self.dropout = Dropout(self.config.hidden_dropout_prob, dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.layer_norm.build(input_shape)
        self.intermediate_dense.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_size))

    def draw_seeds(self) -> list[Tensor | None]:
        """Draws the dropout of one call ahead, for a call that is computed twice."""
        return [layer.draw_seed() for layer in (self.inner_dropout, self.dropout)]

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        seeds: Any = None,
    ) -> Tensor:
        """Computes; see the class."""
        activation_seed, seed = seeds or (None, None)
        # As matrices: see `Dense`.
        residual = as_matrix(inputs)
        hidden = self._dense_layers(self.layer_norm(residual), training, activation_seed)
        hidden = self.dropout(hidden, training=training, seed=seed)
        return ops.reshape(within_float16(hidden + residual), ops.shape(inputs))

    def _dense_layers(self, x: Tensor, training: bool | None, seed: Tensor | None) -> Tensor:
        first, second = self.intermediate_dense, self.output_dense
        if not training or self.activation_dropout == 0:
            return two_dense_layers(x, first, self.activation, second)
        return second(self.inner_dropout(self.activation(first(x)), training=True, seed=seed))

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {
            **super().get_config(),
            "intermediate_size": self.intermediate_size,
            "activation_dropout": self.activation_dropout,
        }
