"""Names of types that signatures share."""

from typing import Any

__all__ = ["Inputs", "Shape", "Tensor"]

# A tensor of Keras' backend, an array that becomes one, or a symbolic `keras.KerasTensor`. Neither
# Keras nor TensorFlow has types that a checker could read, so it takes anything.
Tensor = Any
# `None` for sizes that are unknown.
Shape = tuple[int | None, ...]
# What a model is called with: a dictionary of tensors by name, or the ids alone.
Inputs = Tensor | dict[str, Tensor]
