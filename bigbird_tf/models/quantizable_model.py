"""`QuantizableModel`: a model that is still quantized after it was saved and loaded."""

from typing import Any, Self

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.models.configured_model import ConfiguredModel

__all__ = ["QuantizableModel"]


class QuantizableModel(ConfiguredModel):
    """A model whose config tells how it was quantized.

    Args:
        config: A config of the family, or its dictionary.
        **kwargs: Of `keras.Model`.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self._quantizations: list[dict[str, Any]] = []

    def quantize(
        self,
        mode: str | None = None,
        config: Any = None,
        filters: Any = None,
        **kwargs: Any,
    ) -> None:
        """Quantizes weights, like `keras.Model.quantize`; a `.keras` file keeps them that way.

        Args:
            mode: Such as `"int8"`.
            config: A `keras.quantizers.QuantizationConfig`, instead of a mode.
            filters: Regular expressions: the layers whose names match are quantized; `None` for
                all that Keras can quantize.
            **kwargs: As in Keras.
        """
        super().quantize(mode, config=config, filters=filters, **kwargs)
        self._quantizations.append({"mode": mode, "config": config, "filters": filters})

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments, and what `quantize` was called with."""
        config = super().get_config()
        if self._quantizations:
            config["quantizations"] = [
                {**call, "config": keras.saving.serialize_keras_object(call["config"])}
                for call in self._quantizations
            ]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes a model of what `get_config` returned."""
        config = dict(config)
        quantizations = config.pop("quantizations", ())
        model = cls(**config)
        for call in quantizations:
            # Quantized layers have other variables, which must be there before weights are loaded.
            model.quantize(**keras.saving.deserialize_keras_object(call))
        return model
