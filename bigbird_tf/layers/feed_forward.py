"""`FeedForward`: the second half of an encoder block, normalised at its end."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird_tf.config import ModelConfig
from bigbird_tf.layers.config_layer import ConfigLayer
from bigbird_tf.nn.activations import fused_mlp, get_activation, has_fused_mlp
from bigbird_tf.nn.dense import Dense, add_bias, as_matrix, is_plain
from bigbird_tf.nn.dropout import Dropout
from bigbird_tf.types import Shape, Tensor

__all__ = ["FeedForward", "two_dense_layers"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class FeedForward(ConfigLayer):
    """Two dense layers with an activation between, dropout, a residual, layer normalisation.

    Args:
        config: A `BigBirdConfig` or another family's.
        intermediate_size: Width inside; `None` for the config's.

    Call arguments:
        inputs: Tensor `(B, T, hidden_size)`.
        residual: Tensor `(B, T, hidden_size)` that is added; `None` for `inputs`.
        training: Whether dropout acts.
        seed: A seed for dropout that was drawn ahead.
    """

    def __init__(self, config: ModelConfig, intermediate_size: int | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        self.intermediate_size = intermediate_size or config.intermediate_size
        self.activation = get_activation(config.hidden_act)
        self.intermediate_dense = self._dense(self.intermediate_size, "intermediate")
        self.output_dense = self._dense(config.hidden_size, "output")
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.layer_norm = self._layer_norm()

    def build(self, input_shape: Shape) -> None:
        """Makes all weights."""
        self.intermediate_dense.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_size))
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
        hidden = two_dense_layers(
            as_matrix(inputs), self.intermediate_dense, self.activation, self.output_dense
        )
        hidden = self.dropout(hidden, training=training, seed=seed)
        return ops.reshape(self.layer_norm(hidden + residual), ops.shape(inputs))

    def compute_output_shape(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Shape:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "intermediate_size": self.intermediate_size}


def two_dense_layers(x: Tensor, first: Dense, activation: Callable, second: Dense) -> Tensor:
    """Returns `second(activation(first(x)))` of `(M, D)`, keeping little if it can."""
    dtype = first.compute_dtype
    is_plain_pair = is_plain(first) and is_plain(second) and second.compute_dtype == dtype
    if not is_plain_pair or not has_fused_mlp(activation):
        return second(activation(first(x)))
    weights = (first.kernel, first.bias, second.kernel)
    product = fused_mlp(activation, *(ops.cast(tensor, dtype) for tensor in (x, *weights)))
    return add_bias(product, ops.cast(second.bias, dtype))
