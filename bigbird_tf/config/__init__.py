"""The config of each family: one record of all that decides a model. Knows no tensors."""

from bigbird_tf.config.big_bird_config import BigBirdConfig
from bigbird_tf.config.big_bird_pegasus_config import BigBirdPegasusConfig
from bigbird_tf.config.families import (
    CONFIG_CLASSES,
    config_of_any_family,
    deserialize_config,
    serialize_config,
)
from bigbird_tf.config.fields import ACTIVATIONS, Activation
from bigbird_tf.config.global_tokens import CONSTRUCTIONS
from bigbird_tf.config.model_config import (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    GENERATION_SETTINGS,
    ModelConfig,
    read_fields,
)

__all__ = [
    "ACTIVATIONS",
    "CONFIG_CLASSES",
    "CONFIG_NAME",
    "CONSTRUCTIONS",
    "GENERATION_CONFIG_NAME",
    "GENERATION_SETTINGS",
    "Activation",
    "BigBirdConfig",
    "BigBirdPegasusConfig",
    "ModelConfig",
    "config_of_any_family",
    "deserialize_config",
    "read_fields",
    "serialize_config",
]
