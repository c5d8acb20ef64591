"""What a running `fit` takes its batches from."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from keras.src.trainers.epoch_iterator import EpochIterator

__all__ = ["epoch_iterator_of_fit", "is_within"]


def epoch_iterator_of_fit() -> Any:
    """Returns what the `fit` that called a callback takes its batches from.

    Keras 3.15 hands it to no callback, so it is looked up where `fit` keeps it.

    Raises:
        RuntimeError: If no `fit` is running.
    """
    for found in _epoch_iterators(sys._getframe(1)):
        return found
    raise RuntimeError(
        "This callback works in `Model.fit` of Keras. Received a call from somewhere else."
    )


def is_within(frame: FrameType | None, epoch_iterator: Any) -> bool:
    """Returns whether a frame lies within the `fit` that has that epoch iterator."""
    return any(found is epoch_iterator for found in _epoch_iterators(frame))


def _epoch_iterators(frame: FrameType | None) -> Iterator[Any]:
    while frame is not None:
        if frame.f_code.co_name in ("fit", "evaluate"):
            found = frame.f_locals.get("epoch_iterator")
            if isinstance(found, EpochIterator):
                yield found
        frame = frame.f_back
