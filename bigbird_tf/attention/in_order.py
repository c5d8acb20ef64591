"""`InOrder`: operations of a graph, one after the other."""

import contextlib

import keras

__all__ = ["InOrder"]


class InOrder:
    """Calls functions one after the other.

    TensorFlow runs at the same time what does not depend on each other. Large products, each of
    which would take all processors, then wait for each other's threads.
    """

    def __init__(self):
        self._last = None

    def __call__(self, function, *args):
        """Calls a function on tensors, once all results of the call before are there."""
        if self._last is None or keras.backend.backend() != "tensorflow":
            context = contextlib.nullcontext()
        else:
            import tensorflow as tf

            context = tf.control_dependencies(self._last)
        with context:
            result = function(*args)
        self._last = list(result) if isinstance(result, (list, tuple)) else [result]
        return result
