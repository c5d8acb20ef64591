"""The loss of models whose labels have weights: some of the tokens count."""

import keras

from bigbird_tf.models.ignored_labels import SparseCrossentropy

__all__ = ["weighted_crossentropy"]


def weighted_crossentropy(label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Returns the cross entropy of integer labels and logits, as a mean over what has weight.

    Keras' ordinary reduction divides by the number of all tokens, so that a batch with few masks
    would count for little; here sample weights are what it divides by, as in the originals.

    Args:
        label_smoothing: How much of each label is shared out evenly among all classes.
    """
    return SparseCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight", label_smoothing=label_smoothing
    )
