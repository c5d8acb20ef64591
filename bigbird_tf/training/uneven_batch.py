"""Batches that the devices of `keras.distribution` cannot share out evenly: what to do then."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import keras

__all__ = ["refuses_uneven_batches"]

_METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
# What JAX 0.10 says when it lays out a batch.
_SAID = re.compile(r"axis 0 is partitioned (\d+) times, but the dimension size is (\d+)")
_Model = TypeVar("_Model", bound=keras.Model)


def refuses_uneven_batches(model_class: type[_Model]) -> type[_Model]:
    """Returns a model's class whose `fit` and the like say what to do about an uneven batch.

    The model stays as it was before that batch: what it has learnt till then is not lost.
    """
    for name in _METHODS:
        setattr(model_class, name, _explained(model_class, name))
    return model_class


def _explained(model_class: type[keras.Model], name: str) -> Callable:
    @functools.wraps(getattr(model_class, name))
    def call(self: keras.Model, *args: Any, **kwargs: Any) -> Any:
        with _uneven_batch_explained(self):
            # Of the next class in line, which is not known before there is an instance.
            return getattr(super(model_class, self), name)(*args, **kwargs)

    return call


@contextlib.contextmanager
def _uneven_batch_explained(model: keras.Model) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        distribution = keras.distribution.distribution()
        said = _SAID.search(str(error))
        if distribution is None or said is None:
            raise
        # Keras has what was learnt in no variable while it runs, and an error in `evaluate` or
        # `predict` leaves it so.
        model.jax_state_sync()
        count, size = said.groups()
        raise ValueError(
            f"Devices share out a batch evenly: {count} of them, the mesh's axis "
            f"{distribution.batch_dim_name!r}, must divide it. Leave the last batch out "
            "(`dataset.batch(size, drop_remainder=True)`), fill it up with examples of "
            f"`sample_weight` 0, or choose another batch size. Received: a batch of {size} examples"
        ) from error
