"""`SerializedExecution`: operations of a graph, one after the other."""

from collections.abc import Callable
from typing import Any

from bigbird_tf.nn.backend import run_after

__all__ = ["SerializedExecution"]


class SerializedExecution:
    """Calls functions one after the other.

    TensorFlow runs at the same time what does not depend on each other. Large products, each of
    which would take all processors, then wait for each other's threads.
    """

    def __init__(self):
        self._last = None

    def __call__(self, function: Callable, *args: Any) -> Any:
        """Calls a function on tensors, once all results of the call before are there."""
        result = function(*args) if self._last is None else run_after(self._last, function, *args)
        self._last = list(result) if isinstance(result, (list, tuple)) else [result]
        return result
