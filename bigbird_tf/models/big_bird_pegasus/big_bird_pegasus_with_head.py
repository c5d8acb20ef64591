"""`BigBirdPegasusWithHead`: encoder, decoder and a head on them."""

from typing import Any

import keras

from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_model import BigBirdPegasusModel
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_pretrained import BigBirdPegasusPretrained
from bigbird_tf.models.big_bird_pegasus.pair_inputs import read_pair
from bigbird_tf.models.headed_model import HeadedModel
from bigbird_tf.types import Inputs

__all__ = ["BigBirdPegasusWithHead"]


class BigBirdPegasusWithHead(BigBirdPegasusPretrained, HeadedModel):
    """A head on a `BigBirdPegasusModel`; see `HeadedModel`.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.
    """

    has_pooler = False
    backbone: Any

    def _make_backbone(self) -> keras.Model:
        return BigBirdPegasusModel(self.config, dtype=self.dtype_policy, name="backbone")

    def _read_inputs(self, inputs: Inputs) -> dict:
        return read_pair(inputs, self.config)
