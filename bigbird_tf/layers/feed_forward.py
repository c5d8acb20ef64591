"""`FeedForward`: the second half of an encoder block."""

import keras
from keras import ops

from bigbird_tf.attention.dropout import Dropout
from bigbird_tf.layers.activations import gelu_tanh, gelu_tanh_matmul, get_activation
from bigbird_tf.layers.config_layer import ConfigLayer

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

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config = self.config
        self.activation = get_activation(config.hidden_act)
        self.intermediate_dense = self._dense(config.intermediate_size, "intermediate")
        self.output_dense = self._dense(config.hidden_size, "output")
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.layer_norm = self._layer_norm()

    def build(self, input_shape):
        """Makes all weights."""
        self.intermediate_dense.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.config.intermediate_size))
        self.layer_norm.build((*input_shape[:-1], self.config.hidden_size))

    def call(self, inputs, residual=None, training=None, seed=None):
        """Computes; see the class."""
        hidden = self._activate_and_project(self.intermediate_dense(inputs))
        hidden = self.dropout(hidden, training=training, seed=seed)
        return self.layer_norm(hidden + (inputs if residual is None else residual))

    def _activate_and_project(self, hidden):
        """Gives `(B, T, hidden_size)` of `(B, T, intermediate_size)`, keeping little if it can."""
        dense = self.output_dense
        is_plain = dense.quantization_mode is None and dense.compute_dtype == self.compute_dtype
        if self.activation is not gelu_tanh or not is_plain:
            return dense(self.activation(hidden))
        return gelu_tanh_matmul(hidden, ops.cast(dense.kernel, self.compute_dtype)) + dense.bias

    def compute_output_shape(self, input_shape, *args, **kwargs):
        """Gives the shape of the inputs."""
        return input_shape
