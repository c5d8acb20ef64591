"""`BigBirdPegasusPretrained`: what the models of this family share."""

from typing import ClassVar

from bigbird_tf.config import BigBirdPegasusConfig, ModelConfig
from bigbird_tf.models.big_bird_pegasus.pair_inputs import DECODER_NAMES, ENCODER_NAMES
from bigbird_tf.models.pretrained_model import PretrainedModel

__all__ = ["BigBirdPegasusPretrained"]


class BigBirdPegasusPretrained(PretrainedModel):
    """A `PretrainedModel` of a `BigBirdPegasusConfig`.

    Args:
        config: A `BigBirdPegasusConfig`, or its dictionary.
        **kwargs: Of `keras.Model`.
    """

    config_class: ClassVar[type[ModelConfig]] = BigBirdPegasusConfig
    input_names: tuple[str, ...] = (*ENCODER_NAMES, *DECODER_NAMES)
    exported_inputs: tuple[str, ...] = input_names
