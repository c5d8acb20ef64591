"""`BigBirdWithHead`: BigBird's encoder and a head on it."""

import keras

from bigbird_tf.models.big_bird.big_bird_model import BigBirdModel
from bigbird_tf.models.big_bird.global_inputs import read_big_bird_inputs
from bigbird_tf.models.headed_model import HeadedModel
from bigbird_tf.types import Inputs

__all__ = ["BigBirdWithHead"]


class BigBirdWithHead(HeadedModel):
    """A head on a `BigBirdModel`; see `HeadedModel`.

    Args:
        config: A `BigBirdConfig`.
        **kwargs: Of `keras.Model`.
    """

    def _make_backbone(self) -> keras.Model:
        return BigBirdModel(
            self.config,
            add_pooling_layer=self.has_pooler,
            dtype=self.dtype_policy,
            name="backbone",
        )

    def _read_inputs(self, inputs: Inputs) -> dict:
        return read_big_bird_inputs(inputs, self.config, self.extra_inputs, self.input_rank)
