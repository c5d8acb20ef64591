"""Checkpoints of training on TensorFlow: `tf.train.Checkpoint`, also of a `tf.data` iterator."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

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

# What TensorFlow says of operations whose state it cannot write.
_StatefulError = (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError)

# What callbacks are told of has ended.
RUNS_AHEAD = False
END_OF_DATA: tuple[type[BaseException], ...] = (StopIteration, tf.errors.OutOfRangeError)


def build_from_data(model: keras.Model, epoch_iterator: Any) -> None:
    """Makes all variables of training before the first step, metrics' among them.

    Without a strategy, Keras makes them in that step. Nothing is drawn from the data for it, since
    each iterator of a shuffled data set changes the order of the next one.

    Args:
        model: A compiled model.
        epoch_iterator: What `fit` takes its batches from.
    """
    if model._distribute_strategy is not None:
        return  # Keras has made them

    def symbol(spec: tf.TensorSpec | None) -> keras.KerasTensor | None:
        return spec if spec is None else keras.KerasTensor(spec.shape, spec.dtype.name)

    specs = epoch_iterator.data_adapter.get_tf_dataset().element_spec
    model._symbolic_build(data_batch=keras.tree.map_structure(symbol, specs))


def collect_state(model: keras.Model) -> None:
    """Brings the values of variables up to date; here they always are."""


def host() -> tuple[int, int]:
    """Returns that this process is the first and only one: others do not call `fit` of Keras 3."""
    return 0, 1


def gather(value: int) -> list[int]:
    """Returns the values of all processes."""
    return [value]


def is_preempted(call: int) -> bool:
    """Returns that no other process was asked to end."""
    return False


class TokenCount:
    """Counts tokens in the graph of the train step, since `fit` draws its batches there.

    Args:
        model: The model that `fit` trains.
        epoch_iterator: What it takes its batches from.
        sizes: Of a batch: how many rows and tokens.
    """

    def __init__(self, model: keras.Model, epoch_iterator: Any, sizes: Callable):
        self._model = model
        with model.distribute_strategy.scope():
            self._counts = tf.Variable(
                tf.zeros([2], "int64"),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
        train_step = getattr(model.train_step, "uncounted", model.train_step)

        def counting_step(data: Any) -> Any:
            self._counts.assign_add(tf.cast(tf.stack(sizes(data)), "int64"))
            return train_step(data)

        counting_step.uncounted = train_step  # type: ignore[attr-defined]
        model.train_step = counting_step
        model.make_train_function(force=True)

    def counts(self, step: int | None = None) -> tuple[int, int]:
        """Returns how many rows and tokens have been trained.

        Args:
            step: Up to which step of the epoch, which is always the last one.
        """
        rows, tokens = self._counts.numpy()
        return int(rows), int(tokens)

    def stop(self) -> None:
        """Ends counting."""
        self._model.__dict__.pop("train_step", None)
        self._model.train_function = None


def optimizer_value(model: keras.Model, variable: Any) -> int:
    """Returns the value of one of the optimizer's variables, between steps of `fit`."""
    # Of several replicas, the variable of the first one.
    return int(variable.value.numpy())


def write_variables(path: str, groups: dict[str, list]) -> None:
    """Writes variables.

    Args:
        path: The start of the files' names.
        groups: Lists of Keras variables by name.

    Raises:
        OSError: If that fails.
    """
    with _as_os_error():
        _checkpoint_of(groups).write(path)


def read_variables(path: str, groups: dict[str, list]) -> None:
    """Reads what `write_variables` wrote into the variables; groups may be left out.

    Args:
        path: As it was written with.
        groups: Lists of Keras variables by name.

    Raises:
        OSError: If that fails.
    """
    with _as_os_error():
        status = _checkpoint_of(groups).read(path)
        status.assert_existing_objects_matched().expect_partial()


def write_iterator(path: str, iterator: Any) -> bool:
    """Writes the state of a `tf.data` iterator, its buffers included.

    Args:
        path: The start of the files' names.
        iterator: What the steps of `fit` draw from.

    Returns:
        Whether it can be written: not what runs Python or draws with TensorFlow's stateful
        operations, nor what is distributed over replicas.

    Raises:
        OSError: If it can, and that fails.
    """
    if not _is_single(iterator):
        return False
    try:
        with _as_os_error():
            tf.train.Checkpoint(iterator=iterator).write(path)
    except _StatefulError:
        return False
    return True


def read_iterator(path: str, iterator: Any) -> bool:
    """Brings an iterator to where another one was when it was written.

    Args:
        path: As it was written with.
        iterator: That of another `fit`.

    Returns:
        Whether it could: not if the data are made in another way, or distributed over replicas.
    """
    if not _is_single(iterator):
        return False
    try:
        tf.train.Checkpoint(iterator=iterator).read(path).assert_consumed()
    except (tf.errors.OpError, AssertionError):
        return False
    return True


def _is_single(iterator: Any) -> bool:
    return isinstance(iterator, tf.data.Iterator)


def _checkpoint_of(groups: dict[str, list]) -> tf.train.Checkpoint:
    """Returns the variables of TensorFlow by group, those of several replicas as one."""
    return tf.train.Checkpoint(
        **{name: [variable.value for variable in group] for name, group in groups.items()}
    )


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except _StatefulError:
        raise
    except tf.errors.OpError as error:
        raise OSError(error.message) from error
