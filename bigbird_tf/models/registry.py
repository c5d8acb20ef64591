"""The registry of heads: all public model classes by name.

Tables of what differs by head (tensors of checkpoints, servables) have these names as keys, and are
asked for a model's `public_name`. A subclass inherits it, so that it is saved, loaded and exported
as the class that it derives from.
"""

from typing import Any, TypeVar

import keras

__all__ = ["MODEL_CLASSES", "register_model"]

T = TypeVar("T", bound=type[Any])
MODEL_CLASSES: dict[str, type[Any]] = {}


def register_model(model_class: T) -> T:
    """Registers a public model class here and with Keras; a decorator.

    Args:
        model_class: Gets its own name as `public_name`.

    Returns:
        The class.
    """
    model_class.public_name = model_class.__name__
    MODEL_CLASSES[model_class.__name__] = model_class
    return keras.saving.register_keras_serializable(package="bigbird_tf")(model_class)
