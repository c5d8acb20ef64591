"""`Dropout` whose random state can be drawn ahead of the call."""

import keras

__all__ = ["DrawnSeed", "Dropout"]


class DrawnSeed(keras.random.SeedGenerator):
    """A seed that was drawn before, in the place of a generator."""

    def __init__(self, seed):
        self._drawn = seed

    def next(self, ordered=True):
        """Gives the seed that was drawn."""
        return self._drawn


@keras.saving.register_keras_serializable(package="bigbird_tf")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` for layers that may be computed twice.

    Rematerialisation computes a layer again in the backward pass. Keras' own dropout would then
    draw other entries to drop than the forward pass did, and gradients would be wrong. Here the
    state is drawn once, by `draw_seed`, outside of what is computed again.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to drop.
        seed: What `draw_seed` gave; `None` to draw now.
    """

    def draw_seed(self):
        """Draws the state for one call: a tensor, or `None` if nothing is ever dropped."""
        return self.seed_generator.next() if self.rate > 0 else None

    def call(self, inputs, training=False, seed=None):
        """Drops entries in training."""
        if not training or self.rate == 0:
            return inputs
        generator = self.seed_generator if seed is None else DrawnSeed(seed)
        return keras.random.dropout(inputs, self.rate, seed=generator)
