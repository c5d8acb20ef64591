"""`SavesLora`: LoRA that goes on after weights are loaded."""

from typing import TYPE_CHECKING, Any, TypeAlias

import keras

__all__ = ["SavesLora"]

FROZEN = "lora_frozen"
FACTOR_A = "lora_a"
FACTOR_B = "lora_b"


if TYPE_CHECKING:
    _MixedInto: TypeAlias = keras.layers.Layer
else:
    _MixedInto = object


class SavesLora(_MixedInto):
    """A mix-in for Keras layers that save what LoRA has added as part of their kernel alone.

    Keras' own layers set both factors to zero when they load. The product of two zeros has no
    gradient, so that training which is resumed trains nothing. Here the factors and the kernel
    without them are saved too, under names that loading into a layer without LoRA passes over. A
    file without them starts a new pair, whose product is zero and whose gradient is not.

    Subclasses name the attributes of the kernel and the factors in `_lora_names`.
    """

    _lora_names: tuple[str, str, str]

    def save_own_variables(self, store: Any) -> None:
        """Saves the layer's weights; Keras calls this."""
        super().save_own_variables(store)
        # Codes of a quantized kernel hold the factors' product, and only approximately.
        if self.built and self.lora_enabled and not self.quantization_mode:
            for key, variable in self._lora_variables().items():
                store[key] = variable

    def load_own_variables(self, store: Any) -> None:
        """Loads the layer's weights; Keras calls this."""
        # The stores of Keras have no iterator of their own.
        saved = {key: store[key] for key in store.keys()}  # noqa: SIM118
        lora = {key: saved.pop(key) for key in (FROZEN, FACTOR_A, FACTOR_B) if key in saved}
        super().load_own_variables(saved)
        if not (self.built and self.lora_enabled):
            return
        variables = self._lora_variables()
        fits = {key: value.shape for key, value in lora.items()} == {
            key: tuple(variable.shape) for key, variable in variables.items()
        }
        if fits and not self.quantization_mode:
            for key, variable in variables.items():
                variable.assign(lora[key])
        else:
            factor = variables[FACTOR_A]
            factor.assign(keras.initializers.HeUniform()(factor.shape, factor.dtype))

    def _lora_variables(self) -> dict:
        keys = (FROZEN, FACTOR_A, FACTOR_B)
        return {k: getattr(self, name) for k, name in zip(keys, self._lora_names, strict=True)}
