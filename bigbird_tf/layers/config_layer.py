"""`ConfigLayer`: what all layers that are built from a config share."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig, deserialize_config, serialize_config
from bigbird_tf.nn.dense import Dense
from bigbird_tf.nn.layer_norm import LayerNorm

__all__ = ["ConfigLayer"]


class ConfigLayer(keras.layers.Layer):
    """A layer whose one argument is the model's config.

    Args:
        config: The config of a model of any family, or its dictionary.
    """

    def __init__(self, config: ModelConfig | dict, **kwargs: Any):
        super().__init__(**kwargs)
        # Of which family, subclasses know.
        self.config: Any = deserialize_config(config)

    def _initializer(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(stddev=self.config.initializer_range)

    def _dense(self, units: int, name: str, **kwargs: Any) -> Dense:
        return Dense(
            units,
            kernel_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def _layer_norm(self, name: str = "layer_norm") -> LayerNorm:
        return LayerNorm(epsilon=self.config.layer_norm_eps, dtype=self.dtype_policy, name=name)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "config": serialize_config(self.config)}
