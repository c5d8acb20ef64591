"""`FeedForward`: the second half of an encoder block."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.activations import fused_mlp, get_activation, has_fused_mlp
from bigbird_tf.nn.dense import add_bias, as_matrix, is_plain
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["FeedForward"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class FeedForward(ConfigLayer):
    """Two dense layers with an activation between, dropout, a residual, layer normalisation.

    Args:
        config: A `BigBirdConfig`.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        residual: Tensor `(B, T, hidden_size)` that is added; `None` for `inputs`.
        training: Whether dropout acts.
        seed: A seed for dropout that was drawn ahead.
    """

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        self.activation = get_activation(config.hidden_act)
        self.intermediate_dense = self._dense(config.intermediate_size, "intermediate")
        self.output_dense = self._dense(config.hidden_size, "output")
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.layer_norm = self._layer_norm()

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.intermediate_dense.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.config.intermediate_size))
        self.layer_norm.build((*input_shape[:-1], self.config.hidden_size))

    def call(
        self,
        inputs: Tensor,
        residual: Tensor | None = None,
        training: bool | None = None,
        seed: Tensor | None = None,
    ) -> Tensor:
        """Computes; see the class."""
        # As matrices: see `Dense`.
        residual = as_matrix(inputs if residual is None else residual)
        hidden = self._dense_layers(as_matrix(inputs))
        hidden = self.dropout(hidden, training=training, seed=seed)
        return ops.reshape(self.layer_norm(hidden + residual), ops.shape(inputs))

    def _dense_layers(self, x: Tensor) -> Tensor:
        """Returns `(M, hidden_size)` of the same shape, keeping little if it can."""
        first, second = self.intermediate_dense, self.output_dense
        all_plain = all(
            is_plain(dense) and dense.compute_dtype == self.compute_dtype
            for dense in (first, second)
        )
        if not all_plain or not has_fused_mlp(self.activation):
            return second(self.activation(first(x)))
        weights = (first.kernel, first.bias, second.kernel)
        tensors = (ops.cast(tensor, self.compute_dtype) for tensor in (x, *weights))
        product = fused_mlp(self.activation, *tensors)
        return add_bias(product, ops.cast(second.bias, self.compute_dtype))

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return input_shape
