"""What tests of interrupted runs share: a tiny model with dropout, its data, and interruptions."""

import keras
import numpy as np
from keras import layers

from tests.backends import IS_TENSORFLOW

EXAMPLES, BATCH, FEATURES, CLASSES = 22, 4, 5, 3
STEPS = -(-EXAMPLES // BATCH)  # the last batch is smaller
EPOCHS = 3


class Interruption(Exception):
    """Plays the kill: nothing of `fit` runs after it."""


class InterruptAfter(keras.callbacks.Callback):
    """Ends `fit` after so many steps of this run.

    Args:
        steps: After how many.
        action: What to do then; by default it raises `Interruption`.
    """

    def __init__(self, steps, action=None):
        super().__init__()
        self.left, self.action = steps, action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            if self.action is None:
                raise Interruption
            self.action()


def make_model():
    """Returns a compiled model with state of every kind: seeds, moving averages, a schedule."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            layers.Input([FEATURES]),
            layers.Dense(11, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(CLASSES),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, EPOCHS * STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Under XLA, compiling would take most of the time; on JAX there is no other way.
    compiler = {"jit_compile": False} if IS_TENSORFLOW else {}
    model.compile(keras.optimizers.AdamW(rate), loss, metrics=["accuracy"], **compiler)
    return model


def make_arrays():
    """Returns examples and their labels."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((EXAMPLES, FEATURES)).astype("float32")
    return x, rng.integers(0, CLASSES, EXAMPLES).astype("int32")


def state_of(model):
    """Returns the values of all that `fit` changes."""
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(variable) for variable in variables]


def assert_same(found, expected):
    """Compares to the bit on TensorFlow, to 1e-6 on JAX."""
    for mine, theirs in zip(found, expected, strict=True):
        if IS_TENSORFLOW:
            np.testing.assert_array_equal(mine, theirs)
        else:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
