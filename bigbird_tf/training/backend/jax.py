"""Checkpoints of training on JAX: orbax-checkpoint."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

__all__ = [
    "END_OF_DATA",
    "RUNS_AHEAD",
    "TokenCount",
    "build_from_data",
    "collect_state",
    "gather",
    "host",
    "is_preempted",
    "optimizer_value",
    "read_iterator",
    "read_variables",
    "write_iterator",
    "write_variables",
]

# Python asks for steps that the devices have not begun.
RUNS_AHEAD = True
END_OF_DATA: tuple[type[BaseException], ...] = (StopIteration,)


def build_from_data(model: keras.Model, epoch_iterator: Any) -> None:
    """Makes all variables of training before the first step; here Keras has.

    Args:
        model: A compiled model.
        epoch_iterator: What `fit` takes its batches from.

    Raises:
        ImportError: If what writes checkpoints is not installed, before any step is lost.
    """
    _orbax()


def collect_state(model: keras.Model) -> None:
    """Brings the values of variables up to date: between steps of `fit`, Keras keeps them apart."""
    model.jax_state_sync()


def host() -> tuple[int, int]:
    """Returns the number of this process, and how many there are."""
    import jax

    return jax.process_index(), jax.process_count()


def gather(value: int) -> list[int]:
    """Returns the values of all processes, which all call this; it waits for them.

    Args:
        value: An integer of 32 bits.
    """
    from jax.experimental import multihost_utils

    if host()[1] == 1:
        return [value]
    return multihost_utils.process_allgather(np.int32(value)).tolist()


def is_preempted(call: int) -> bool:
    """Returns whether SIGTERM came to one of several processes: in the same call on all of them.

    Args:
        call: The number of this call, the same on all, one more each time.
    """
    from jax.experimental import multihost_utils

    try:
        return multihost_utils.reached_preemption_sync_point(call)
    except RuntimeError:
        # `jax_enable_preemption_service` is off: SIGTERM ends the process where it is.
        return False


class TokenCount:
    """Counts tokens of the batches that `fit` draws.

    Args:
        model: The model that `fit` trains.
        epoch_iterator: What it takes its batches from; changed in place.
        sizes: Of a batch: how many rows and tokens.
    """

    def __init__(self, model: keras.Model, epoch_iterator: Any, sizes: Callable):
        self._sizes = sizes
        self._counts = 0, 0
        self._up_to: dict[int, tuple[int, int]] = {}
        self._enumerate = epoch_iterator._enumerate_iterator
        epoch_iterator._enumerate_iterator = self._steps

    def counts(self, step: int | None = None) -> tuple[int, int]:
        """Returns how many rows and tokens have been drawn.

        Args:
            step: Up to which step of the epoch. By default up to now, which may be for steps that
                the devices have not begun.
        """
        return self._counts if step is None else self._up_to.pop(step, self._counts)

    def stop(self) -> None:
        """Ends counting, as the end of `fit` does."""

    def _steps(self) -> Iterator[Any]:
        self._up_to = {}
        for begin, end, iterator in self._enumerate():
            yield begin, end, self._count(iterator, end)

    def _count(self, iterator: Iterator[Any], step: int) -> Iterator[Any]:
        for batch in iterator:
            sizes = self._sizes(batch)
            rows, tokens = (
                count + int(size) for count, size in zip(self._counts, sizes, strict=True)
            )
            self._counts = self._up_to[step] = rows, tokens
            yield batch


def optimizer_value(model: keras.Model, variable: Any) -> Any:
    """Returns the value of one of the optimizer's variables, between steps of `fit`.

    It is a copy, of which nobody has to wait for the last step: the next one takes the array away.
    """
    import jax.numpy as jnp

    if getattr(model, "_jax_state", None) and not model._jax_state_synced:
        # Keras keeps them apart until it is asked to bring them together.
        values = model._jax_state["optimizer_variables"]
        for other, value in zip(model.optimizer.variables, values, strict=True):
            if other is variable:
                return jnp.copy(value)
    return jnp.copy(variable.value)


def write_variables(path: str, groups: dict[str, list]) -> None:
    """Writes variables.

    Args:
        path: A folder to make.
        groups: Lists of Keras variables by name.

    Raises:
        OSError: If that fails.
    """
    orbax = _orbax()
    with orbax.Checkpointer(orbax.PyTreeCheckpointHandler()) as checkpointer:
        try:
            checkpointer.save(_absolute(path), orbax.args.PyTreeSave(_arrays(groups)))
        except (ValueError, RuntimeError) as error:
            # So tensorstore says that a disk is full.
            raise OSError(str(error)) from error


def read_variables(path: str, groups: dict[str, list]) -> None:
    """Reads what `write_variables` wrote into the variables; groups may be left out.

    Args:
        path: As it was written with.
        groups: Lists of Keras variables by name.

    Raises:
        OSError: If that fails.
    """
    import jax

    def shape_of(x: Any) -> Any:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    orbax = _orbax()
    wanted = jax.tree.map(shape_of, _arrays(groups))
    arguments = orbax.args.PyTreeRestore(
        item=wanted,
        restore_args=orbax.checkpoint_utils.construct_restore_args(wanted),
        partial_restore=True,
    )
    with orbax.Checkpointer(orbax.PyTreeCheckpointHandler()) as checkpointer:
        found = checkpointer.restore(_absolute(path), arguments)
    for name, arrays in found.items():
        for variable, array in zip(groups[name], arrays, strict=True):
            variable.assign(array)


def write_iterator(path: str, iterator: Any) -> bool:
    """Returns that the state of an iterator cannot be written: it is one of Python."""
    return False


def read_iterator(path: str, iterator: Any) -> bool:
    """Returns that the state of an iterator cannot be read."""
    return False


def _orbax() -> Any:
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ImportError(
            "On the JAX backend, checkpoints of training are written by orbax-checkpoint, which is "
            "not installed: `pip install 'bigbird-tf[jax]'`."
        ) from error
    return orbax.checkpoint


def _arrays(groups: dict[str, list]) -> dict[str, list]:
    return {name: [variable.value for variable in group] for name, group in groups.items() if group}


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)
