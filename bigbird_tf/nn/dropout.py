"""`Dropout` whose random state can be drawn ahead of the call."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.backend import replica_context
from bigbird_tf.types import Tensor

__all__ = ["DrawnSeed", "Dropout"]


# Layers draw their seeds below 10^9; with this step between replicas they meet by chance only.
SEED_OF_NEXT_REPLICA = 1_000_000_007


class DrawnSeed(keras.random.SeedGenerator):
    """A seed that was drawn before, in the place of a generator."""

    def __init__(self, seed: Tensor):
        self._drawn = seed

    def next(self, ordered: bool = True) -> Any:
        """Returns the seed that was drawn."""
        return self._drawn


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` for layers that may be computed twice.

    Rematerialisation computes a layer again in the backward pass. Keras' own dropout would then
    draw other entries to drop than the forward pass did, and gradients would be wrong. Here the
    state is drawn once, by `draw_seed`, outside of what is computed again.

    Nor do the replicas of a `tf.distribute` strategy drop the same entries, as those of Keras do.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to drop.
        seed: What `draw_seed` gave; `None` to draw now.
    """

    def draw_seed(self) -> Tensor | None:
        """Draws the state for one call: a tensor, or `None` if nothing is ever dropped."""
        return self._draw() if self.rate > 0 else None

    def _draw(self) -> Any:
        seed, context = self.seed_generator.next(), replica_context()
        if context is None:
            return seed
        number = ops.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + ops.stack([number * SEED_OF_NEXT_REPLICA, ops.zeros_like(number)])

    def call(self, inputs: Tensor, training: bool = False, seed: Tensor | None = None) -> Tensor:
        """Drops entries in training."""
        if not training or self.rate == 0:
            return inputs
        seed = self._draw() if seed is None else seed
        return keras.random.dropout(inputs, self.rate, seed=DrawnSeed(seed))
