"""`TensorReader`: where one tensor of a checkpoint is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["TensorReader"]


class TensorReader(NamedTuple):
    """Where a tensor is.

    Attributes:
        shape: Its shape.
        dtype: Its dtype, as NumPy or the file's format calls it.
        read: Reads it.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
