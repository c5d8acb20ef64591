"""The loss of labels that stand by themselves and are seldom there."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from bigbird_tf.config.fields import check_weights
from bigbird_tf.types import Tensor

__all__ = ["PositiveWeightedCrossentropy"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PositiveWeightedCrossentropy(keras.losses.Loss):
    """`keras.losses.BinaryCrossentropy` of logits, in which labels that are there weigh more.

    The mean over all labels of `-pos_weight * y * log(p) - (1 - y) * log(1 - p)`, with p the
    sigmoid of the logit, as PyTorch's `BCEWithLogitsLoss(pos_weight=...)`.

    Args:
        pos_weight: The weight of labels that are there: a number, or one for each.
        **kwargs: `name`, `reduction` and `dtype`, as of every Keras loss.

    Raises:
        ValueError: If a weight is no positive number.
    """

    def __init__(self, pos_weight: float | Sequence[float], **kwargs: Any):
        super().__init__(**kwargs)
        self.pos_weight = check_weights("pos_weight", pos_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Computes the loss of each text."""
        if len(y_true.shape) < len(y_pred.shape):
            y_true = ops.expand_dims(y_true, -1)
        weight = ops.convert_to_tensor(self.pos_weight, y_pred.dtype)
        # log(1 + exp(-x)) as it does not overflow; log(1 + exp(x)) is that and x.
        of_one = ops.softplus(-y_pred)
        losses = (1 - y_true) * y_pred + (1 + (weight - 1) * y_true) * of_one
        return ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "pos_weight": self.pos_weight}
