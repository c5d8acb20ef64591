"""`ConfiguredModel`: a `keras.Model` made of a config."""

from typing import Any, ClassVar

import keras

from bigbird_tf.config import BigBirdConfig, ModelConfig, serialize_config
from bigbird_tf.models.checked_model import CheckedModel

__all__ = ["ConfiguredModel"]


class ConfiguredModel(CheckedModel):
    """A model whose weights follow from its config alone, and exist as soon as it is made.

    Families say in `config_class` whose configs they take, classes in `special_ids` which special
    ids of the config they read. `public_name` is the name of the public class that a class is or
    derives from; see `registry`.

    Args:
        config: A config of the family, or its dictionary.
        **kwargs: Of `keras.Model`: `name`, `dtype` (such as `"mixed_bfloat16"`), `trainable`.
    """

    config_class: ClassVar[type[ModelConfig]] = BigBirdConfig
    public_name: str = ""
    special_ids: tuple[str, ...] = ()
    # Arguments of the constructor, and of `from_pretrained`, besides the config.
    options: tuple[str, ...] = ()
    # Whether `generate` takes defaults from `generation_config.json`.
    reads_generation_settings: ClassVar[bool] = False

    def __init__(self, config: ModelConfig | dict, **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(config, dict):
            config = self.config_class.from_dict(config)
        if not isinstance(config, self.config_class):
            raise ValueError(
                f"`config` must be a `{self.config_class.__name__}`. Received: "
                f"{type(config).__name__}. For a checkpoint, call "
                f"`{type(self).__name__}.from_pretrained(name_or_path)`."
            )
        # Of which family, subclasses know.
        self.config: Any = config

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "config": serialize_config(self.config),
        }

    def get_build_config(self) -> None:
        """Returns nothing: the config alone decides the weights, and they are there already."""
        return None
