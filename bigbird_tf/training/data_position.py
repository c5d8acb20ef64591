"""`DataPosition`: where `fit` is in its data, and how another `fit` gets there."""

import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from bigbird_tf.training.backend import END_OF_DATA, read_iterator, write_iterator

__all__ = ["DataPosition"]

# What Keras' epoch iterator yields: first and last step, and what they draw from.
Step = tuple[int, int, Any]


class DataPosition:
    """The place of a running `fit` in its data.

    It is the iterator's state, where that can be written: then nothing is drawn again. Else it is a
    count, and the batches before are drawn again, from the state that the random generators of
    NumPy and Python had when the iterator was made. `fit` has one iterator for all epochs if
    `steps_per_epoch` is given, and else one for each.

    Args:
        epoch_iterator: What `fit` takes its batches from; changed in place.
    """

    def __init__(self, epoch_iterator: Any):
        self._epoch_iterator = epoch_iterator
        self._enumerate = epoch_iterator._enumerate_iterator
        epoch_iterator._enumerate_iterator = self._steps
        self._epoch = 0
        self._first_epoch: int | None = None
        self._random_state: list | None = None
        self._iterator: Any = None
        self._start: tuple[dict[str, Any], str | None] | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Notes which epoch the next batches are of."""
        self._epoch = epoch

    def record(self, *, is_epoch_over: bool = False) -> dict[str, Any]:
        """Returns what is known of the place, as JSON holds it.

        Args:
            is_epoch_over: Whether the next step is in an epoch that has not begun.
        """
        is_begun = self._is_one_iterator or not is_epoch_over
        return {
            "first_epoch": self._first_epoch,
            "random_state": self._random_state if is_begun else _random_state(),
            "steps_seen": self._epoch_iterator._steps_seen,
            "num_batches": self._epoch_iterator._num_batches,
        }

    def write(self, path: str, *, is_epoch_over: bool = False) -> bool:
        """Writes the iterator's state.

        Args:
            path: The start of the files' names.
            is_epoch_over: Whether the next step is in an epoch that has not begun.

        Returns:
            Whether there is one to write.

        Raises:
            OSError: If that fails.
        """
        if self._iterator is None or (is_epoch_over and not self._is_one_iterator):
            return False
        return write_iterator(path, self._iterator)

    def go_to(self, step: int, record: dict[str, Any], path: str | None) -> None:
        """Lets the next epoch begin at a step.

        Args:
            step: The first step to train.
            record: What `record` returned there.
            path: Where `write` wrote the iterator's state; `None` if it did not.
        """
        every = self._epoch_iterator.steps_per_execution
        if step % every:
            raise ValueError(
                "`steps_per_execution` must divide the step of the epoch at which the checkpoint "
                f"was written. Received: steps_per_execution={every}, step={step}"
            )
        self._start = ({**record, "step": step}, path)

    @property
    def _is_one_iterator(self) -> bool:
        return self._epoch_iterator.steps_per_epoch is not None

    def _steps(self) -> Iterator[Step]:
        """Yields the steps of an epoch, in the place of Keras' own method."""
        is_reached = self._start is None
        if self._start is not None:
            (record, path), self._start = self._start, None
            self._first_epoch = record["first_epoch"]
            self._random_state = record["random_state"]
            steps = self._steps_from(record, path)
        else:
            if self._first_epoch is None:
                self._first_epoch = self._epoch
            if self._random_state is None or not self._is_one_iterator:
                self._random_state = _random_state()
            steps = self._enumerate()
        for begin, end, self._iterator in steps:
            is_reached = True
            yield begin, end, self._iterator
        if not is_reached:
            raise _data_ended()

    def _steps_from(self, record: dict[str, Any], path: str | None) -> Iterator[Step]:
        step, num_batches = record["step"], self._epoch_iterator._num_batches
        if path is not None:
            is_there = False
            self._epoch_iterator._num_batches = record["num_batches"]
            for begin, end, iterator in self._enumerate():
                if not is_there and not read_iterator(path, iterator):
                    break
                is_there = True
                if begin == step:
                    self._epoch_iterator._steps_seen = record["steps_seen"]
                if begin >= step:
                    yield begin, end, iterator
            if is_there:
                return
            warnings.warn(
                "The data are not made as they were at the checkpoint, so that their state is of "
                "no use: they are drawn again up to there.",
                RuntimeWarning,
                stacklevel=2,
            )
            self._end_iterator()
            self._epoch_iterator._num_batches = num_batches
        yield from self._steps_drawn_up_to(step, record["num_batches"])

    def _steps_drawn_up_to(self, step: int, num_batches: int | None) -> Iterator[Step]:
        first = self._epoch if self._first_epoch is None else self._first_epoch
        if self._is_one_iterator:
            _set_random_state(self._random_state)
            for _ in range(first, self._epoch):
                for begin, end, iterator in self._enumerate():
                    self._draw(iterator, end - begin + 1)
        else:
            for _ in range(first, self._epoch):
                self._pass_epoch(num_batches)
            _set_random_state(self._random_state)
        for begin, end, iterator in self._enumerate():
            if begin >= step:
                yield begin, end, iterator
            else:
                self._draw(iterator, end - begin + 1)

    def _pass_epoch(self, num_batches: int | None) -> None:
        """Makes the iterators that Keras makes in an epoch, each of which may draw a seed."""
        for begin, _, iterator in self._enumerate():
            if begin == 0:
                self._draw(iterator, 1)
            if self._epoch_iterator._num_batches is None:
                # Keras knows it from the end of the first epoch on.
                break
        else:
            return
        self._end_iterator()
        self._epoch_iterator._num_batches = num_batches

    def _end_iterator(self) -> None:
        """Does what Keras' `reset` does, but for ending the iteration that this is part of."""
        self._epoch_iterator._current_iterator = None
        self._epoch_iterator._steps_seen = 0
        self._epoch_iterator.data_adapter.on_epoch_end()

    def _draw(self, iterator: Any, count: int) -> None:
        for _ in range(count):
            try:
                next(iterator)
            except END_OF_DATA as error:
                raise _data_ended() from error


def _data_ended() -> ValueError:
    return ValueError(
        "The data must be those that the checkpoint was written with. Received data that end "
        "before its place is reached."
    )


def _random_state() -> list:
    """Returns the states of NumPy's and Python's random generators, as JSON holds them."""
    kind, keys, *others = np.random.get_state()
    version, internal, gauss = random.getstate()
    return [[kind, np.asarray(keys).tolist(), *others], [version, list(internal), gauss]]


def _set_random_state(state: list | None) -> None:
    if state is not None:
        (kind, keys, *others), (version, internal, gauss) = state
        np.random.set_state((kind, np.array(keys, dtype="uint32"), *others))
        random.setstate((version, tuple(internal), gauss))
