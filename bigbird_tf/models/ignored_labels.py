"""Loss and accuracy of integer labels, in which -100 counts for nothing, as in `transformers`."""

from typing import Any

import keras
from keras import ops

# Keras 3.15 has no public function that hands a mask on to a loss's reduction.
from keras.src.backend.common.masking import set_keras_mask

from bigbird_tf.config_checks import check_rate
from bigbird_tf.types import Tensor

__all__ = ["IGNORED_LABEL", "SparseAccuracy", "SparseCrossentropy"]

IGNORED_LABEL = -100


def _counts(labels: Tensor) -> Tensor:
    """Returns booleans of the labels' shape: whether they count."""
    # Integers without a sign cannot be compared with one that has.
    return ops.not_equal(ops.cast(labels, "float32"), IGNORED_LABEL)


@keras.saving.register_keras_serializable(package="bigbird_tf")
class SparseCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """`keras.losses.SparseCategoricalCrossentropy`, a mean over labels other than -100.

    Keras' own `ignore_class` multiplies the logits by a mask: one more tensor of their size, in
    both directions. Here only labels are changed. Nor are there one-hot labels for label smoothing,
    which in Keras only `CategoricalCrossentropy` has.

    Args:
        label_smoothing: How much of each label is shared out evenly among all classes, in [0, 1).
        **kwargs: As Keras'.
    """

    def __init__(self, *args: Any, label_smoothing: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.label_smoothing = check_rate("label_smoothing", label_smoothing)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Computes the loss of each label: 0, and out of the mean, where it is -100."""
        counts = _counts(y_true)
        losses = super().call(ops.where(counts, y_true, ops.zeros_like(y_true)), y_pred)
        if self.label_smoothing:
            of_all = _mean_crossentropy(y_pred, self._fn_kwargs["from_logits"])
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * of_all
        counts = ops.reshape(counts, ops.shape(losses))
        losses = ops.where(counts, losses, ops.zeros_like(losses))
        set_keras_mask(losses, counts)
        return losses

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def _mean_crossentropy(predictions: Tensor, from_logits: bool) -> Tensor:
    """Returns the mean over all classes of the loss that each would have as the label."""
    if from_logits:
        return ops.logsumexp(predictions, axis=-1) - ops.mean(predictions, axis=-1)
    # As near to zero as Keras lets probabilities come.
    epsilon = keras.config.epsilon()
    probabilities = predictions / ops.sum(predictions, axis=-1, keepdims=True)
    return -ops.mean(ops.log(ops.clip(probabilities, epsilon, 1 - epsilon)), axis=-1)


@keras.saving.register_keras_serializable(package="bigbird_tf")
class SparseAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """`keras.metrics.SparseCategoricalAccuracy` of labels other than -100.

    Args:
        name: The metric's name.
        **kwargs: As Keras'.
    """

    def __init__(self, name: str = "accuracy", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch; as in Keras."""
        counts = ops.cast(_counts(y_true), self.dtype)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            missing = len(counts.shape) - len(sample_weight.shape)
            if missing > 0:
                shape = (*ops.shape(sample_weight), *(1,) * missing)
                sample_weight = ops.reshape(sample_weight, shape)
            elif missing < 0:
                sample_weight = ops.squeeze(sample_weight, axis=-1)
            counts = counts * sample_weight
        return super().update_state(y_true, y_pred, sample_weight=counts)
