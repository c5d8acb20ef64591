"""Which families there are, and configs as dictionaries that say of which they are."""

import os
from collections.abc import Mapping
from typing import Any

from bigbird_tf.config.big_bird_config import BigBirdConfig
from bigbird_tf.config.big_bird_pegasus_config import BigBirdPegasusConfig
from bigbird_tf.config.model_config import ModelConfig, read_fields

__all__ = ["CONFIG_CLASSES", "config_of_any_family", "deserialize_config", "serialize_config"]

_HUB_OPTIONS = ("revision", "cache_dir", "token", "local_files_only")
CONFIG_CLASSES: dict[str, type[ModelConfig]] = {
    config_class.model_type: config_class for config_class in (BigBirdConfig, BigBirdPegasusConfig)
}


def serialize_config(config: ModelConfig) -> dict[str, Any]:
    """Returns a config's dictionary with its family's name in it, for the configs of layers."""
    return {**config.to_dict(), "model_type": config.model_type}


def deserialize_config(config: ModelConfig | Mapping[str, Any]) -> ModelConfig:
    """Returns a config: what is given, or what a dictionary describes.

    Args:
        config: A config; or what `serialize_config` or `to_dict` returned. Dictionaries that name
            no family are of the first one, BigBird.

    Raises:
        ValueError: If the dictionary is of a family that is not here, or has impossible values.
    """
    if isinstance(config, ModelConfig):
        return config
    return _class_for(config).from_dict(config)


def config_of_any_family(name_or_path: str | os.PathLike, **options: Any) -> ModelConfig:
    """Reads the `config.json` of a checkpoint whose family is not known yet.

    Args:
        name_or_path: A directory, a shipped model's name, or a repository id.
        **options: Of `from_pretrained` of configs, such as `revision`.

    Raises:
        FileNotFoundError: If there is no `config.json`.
        ValueError: If it is not JSON, is of a family that is not here, or has impossible values.
    """
    hub_options = {name: options[name] for name in _HUB_OPTIONS if name in options}
    fields = read_fields(name_or_path, **hub_options)[1]
    return _class_for(fields).from_pretrained(name_or_path, **options)


def _class_for(fields: Mapping[str, Any]) -> type[ModelConfig]:
    model_type = fields.get("model_type", BigBirdConfig.model_type)
    # What is of no family is refused by the class that reads it.
    return CONFIG_CLASSES.get(str(model_type), BigBirdConfig)
