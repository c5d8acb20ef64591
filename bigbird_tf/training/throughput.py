"""`Throughput`: a callback that says how fast `fit` is."""

import math
import threading
import time
from typing import Any

import keras
from keras import ops

from bigbird_tf.training import backend
from bigbird_tf.training.arithmetic import training_flops_per_token
from bigbird_tf.training.running_fit import epoch_iterator_of_fit

__all__ = ["Throughput"]


class Throughput(keras.callbacks.Callback):
    """Adds to the logs how fast `fit` is, where `TensorBoard`, `CSVLogger` and `History` find it.

    Of each epoch, and while it runs on average up to there:

    - `step_time`: seconds a step, with the wait for its data.
    - `tokens_per_second`: tokens of all replicas. What is counted is what the model computes, so
      padding counts, too.
    - `utilization`, if there is a `peak_flops`: the share of it that the model's arithmetic takes.
      What is computed again to save memory does not count.

    The first step of a `fit` is left out, since it is traced and compiled there: of a first epoch
    without another step, all are NaN. The time of validation and of writing checkpoints between
    epochs is left out, too. Put it before those callbacks that read the logs.

    ```python
    callbacks = [bb.Throughput(peak_flops=312e12), keras.callbacks.TensorBoard("runs/logs")]
    model.fit(dataset, callbacks=callbacks)
    ```

    Args:
        peak_flops: Floating-point operations a second that all devices together can do at the
            dtype of training, as their maker says; two for a multiplication with addition.
        flops_per_token: How many of them a token takes in training. By default it is 6, for the
            forward and the backward pass, for each weight of the model that is no embedding looked
            up, and attention's products with what each token reads. That is too much for models
            with a decoder beside the encoder, and for heads that see a few tokens only.

    Raises:
        ValueError: If an argument is not above 0.
    """

    def __init__(self, peak_flops: float | None = None, *, flops_per_token: float | None = None):
        super().__init__()
        for name, value in {"peak_flops": peak_flops, "flops_per_token": flops_per_token}.items():
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")
        self.peak_flops = peak_flops
        self.flops_per_token = flops_per_token
        # Keras then does not wait for each step before it starts the next one.
        self.async_safe = backend.RUNS_AHEAD
        self._first: int | None = None
        self._steps = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins to count tokens."""
        self._tokens = backend.TokenCount(self.model, epoch_iterator_of_fit(), _rows_and_tokens)
        self._lock = threading.Lock()
        self._flops: dict[int, float] = {}
        self._is_compiled = False
        self._begin(None)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begins the epoch's means."""
        self._begin(None)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch's first step."""
        with self._lock:
            if self._first is None:
                self._first = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the means up to here; threads of several steps may call it at once."""
        with self._lock:
            if not self._is_compiled:
                self._is_compiled = True
                self._begin(batch + 1, batch)
                return
            steps = batch + 1 - (self._first or 0)
            if steps > self._steps:
                self._steps = steps
                self._seconds = time.perf_counter() - self._started
                self._add_to(logs, batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch's means."""
        self._add_to(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends counting."""
        self._tokens.stop()

    def _begin(self, first: int | None, after: int | None = None) -> None:
        """Begins means with a step, after another one."""
        self._started = time.perf_counter()
        self._first, self._steps, self._seconds = first, 0, 0.0
        self._before = self._tokens.counts(after)

    def _add_to(self, logs: dict[str, Any] | None, step: int | None = None) -> None:
        if logs is None:
            return
        if not self._steps:
            # Callbacks such as `CSVLogger` take the names from the first epoch.
            logs["step_time"] = logs["tokens_per_second"] = math.nan
            if self.peak_flops is not None:
                logs["utilization"] = math.nan
            return
        rows, tokens = (
            now - before
            for now, before in zip(self._tokens.counts(step), self._before, strict=True)
        )
        logs["step_time"] = self._seconds / self._steps
        logs["tokens_per_second"] = tokens / self._seconds
        if self.peak_flops is not None:
            each = self.flops_per_token or self._flops_at(round(tokens / rows))
            logs["utilization"] = each * tokens / self._seconds / self.peak_flops

    def _flops_at(self, length: int) -> float:
        if length not in self._flops:
            self._flops[length] = training_flops_per_token(self.model, length)
        return self._flops[length]


def _rows_and_tokens(batch: Any) -> tuple[Any, Any]:
    """Returns how many sequences a batch has, and how many tokens these have."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    if isinstance(x, dict) and "input_ids" in x:
        x = x["input_ids"]
    shape = ops.shape(keras.tree.flatten(x)[0])
    # Of the candidates of multiple choice, each is a sequence. Vectors have one more axis.
    is_ids = keras.backend.is_int_dtype(keras.tree.flatten(x)[0].dtype)
    *rows, length = shape if is_ids else shape[:2]
    count = 1
    for size in rows:
        count = count * size
    return count, count * length
