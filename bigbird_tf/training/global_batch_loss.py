"""`GlobalBatchLoss`: a loss over the batches of all replicas."""

from typing import Any

import keras
from keras import ops

# Keras 3.15 has no public function for the mask that a loss hands on to its reduction.
from keras.src.backend.common.masking import get_keras_mask

from bigbird_tf.nn.backend import replica_context
from bigbird_tf.types import Tensor

__all__ = ["GlobalBatchLoss", "compute_over_global_batch"]


def compute_over_global_batch(compile_loss: keras.losses.Loss) -> None:
    """Makes a model's losses those of the global batch, whatever losses they are.

    Args:
        compile_loss: What Keras' `compile` makes of `loss`. It finds out which loss is meant at
            the first batch, and keeps a flat list of them; theirs are the places that are filled
            with `GlobalBatchLoss`.
    """
    build = compile_loss.build

    def build_over_global_batch(y_true, y_pred):
        build(y_true, y_pred)
        compile_loss._flat_losses = [
            entry._replace(loss=GlobalBatchLoss(entry.loss)) for entry in compile_loss._flat_losses
        ]

    compile_loss.build = build_over_global_batch


class GlobalBatchLoss(keras.losses.Loss):
    """A loss whose mean is one over what all replicas have, as on one device.

    Keras divides by what the replica at hand has (examples, tokens, weights), and takes the mean of
    the replicas. That differs from the mean over all wherever replicas have unequal parts: weights
    of tokens, or a last batch that does not divide evenly.

    The value is the global batch's loss divided by the number of replicas, the same on each, as
    Keras' trainer expects it; its gradient is that of the replica's own part, so that the sum of
    the replicas' gradients is the gradient of the global batch's loss. Outside of a replica, and
    with one replica only, it is the loss itself.

    Losses that reduce by themselves are known by their scalar value: such a function is taken as a
    mean over the replica's examples. Losses with `reduction=None`, and classes with a `__call__` of
    their own, are left as they are.

    Args:
        loss: A `keras.losses.Loss`.
    """

    def __init__(self, loss: keras.losses.Loss):
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self.loss = loss

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Any:
        """Computes the loss; see the class."""
        context = replica_context()
        has_own_call = type(self.loss).__call__ is not keras.losses.Loss.__call__
        if context is None or has_own_call or self.reduction in (None, "none"):
            return self.loss(y_true, y_pred, sample_weight)
        y_true, y_pred = (
            keras.tree.map_structure(lambda x: ops.convert_to_tensor(x, self.dtype), y)
            for y in (y_true, y_pred)
        )
        values = self.loss.call(y_true, y_pred)
        total, count = self._reduce(values, y_true, y_pred, sample_weight)
        if self.reduction == "sum" and len(values.shape) > 0:
            count = ops.ones_like(count) / context.num_replicas_in_sync
        all_total, all_count = context.all_reduce("SUM", [ops.stop_gradient(total), count])
        value = ops.divide_no_nan(total, all_count)
        all_value = ops.divide_no_nan(all_total, all_count)
        # The difference is zero, with a gradient.
        return all_value / context.num_replicas_in_sync + (value - ops.stop_gradient(value))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Computes the loss of each entry."""
        return self.loss.call(y_true, y_pred)

    def _reduce(
        self, values: Tensor, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor
    ) -> Tensor:
        """Returns the sum over this replica's part, and by what a mean over it would divide."""
        weights = None
        for mask in (get_keras_mask(y_pred), get_keras_mask(values)):
            if mask is not None:
                mask = _of_rank_of(ops.cast(mask, self.dtype), values)
                weights = mask if weights is None else weights * mask
        count = None if weights is None else ops.sum(weights)
        if sample_weight is not None:
            sample_weight = _of_rank_of(ops.cast(sample_weight, self.dtype), values)
            weights = sample_weight if weights is None else weights * sample_weight
        if weights is not None:
            values = values * weights
            if self.reduction == "mean_with_sample_weight":
                count = ops.sum(weights)
        if len(values.shape) == 0:
            examples = ops.shape(keras.tree.flatten(y_true)[0])[0]
            count = ops.cast(examples, self.dtype)
            # A mean over no examples is not a number.
            return ops.where(count > 0, values * count, 0.0), count
        if count is None:
            count = ops.cast(ops.size(values), self.dtype)
        return ops.sum(values), count


def _of_rank_of(weights: Any, values: Tensor) -> Tensor:
    """Returns the weights with a last axis of one added or removed, as Keras does."""
    if len(weights.shape) == len(values.shape) - 1 and values.shape[-1] == 1:
        return ops.expand_dims(weights, -1)
    if len(weights.shape) == len(values.shape) + 1 and weights.shape[-1] == 1:
        return ops.squeeze(weights, -1)
    return weights
