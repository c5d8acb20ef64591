"""`TrainingCheckpoint`: a callback by which `fit` goes on where it was interrupted."""

import os
import sys
import threading
import warnings
from typing import Any

import keras
from keras import ops
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.random.seed_generator import global_seed_generator

from bigbird_tf.config_checks import check_integer
from bigbird_tf.training import backend
from bigbird_tf.training.apply_if_finite import ApplyIfFinite
from bigbird_tf.training.checkpoint_directory import CheckpointDirectory
from bigbird_tf.training.data_position import DataPosition
from bigbird_tf.training.running_fit import epoch_iterator_of_fit
from bigbird_tf.training.termination import Termination

__all__ = ["TrainingCheckpoint"]


class TrainingCheckpoint(keras.callbacks.Callback):
    """Writes checkpoints from which `fit`, called again, goes on as if nothing had happened.

    A checkpoint holds all that decides what comes next: weights, the optimizer with its iterations
    and learning rate, the states of seed generators (dropout), step and epoch, the running metrics
    of the epoch, and the position in the data. A run that was killed at any moment ends with the
    same weights as one that was not: to the bit on TensorFlow on a CPU.

    Run the same script again, with the same callback: the last whole checkpoint is found, also by
    another number of replicas with the same global batch. Those draw shuffled data in another
    order: of the epoch that was interrupted, some examples may then come twice, and some not at
    all. `epochs` counts from the first run.

    ```python
    model.fit(dataset, epochs=3, callbacks=[bb.TrainingCheckpoint("runs/pretraining")])
    ```

    **Data.** On TensorFlow, the state of the `tf.data` iterator is written, its shuffle buffers
    included. Where that cannot be done (generators, several replicas, the JAX backend), the batches
    before are drawn again: then give `shuffle` and other random steps a `seed`, or call
    `keras.utils.set_random_seed` at the beginning of the script.

    **Several hosts**, on the JAX backend, call `fit` with the same callback: each writes its own
    part, and its place in its own data, into one directory that all reach. Going on with another
    number of hosts is going on with another number of replicas.

    **SIGTERM**, by which machines on loan say that they will be taken back, lets the step end,
    writes a checkpoint, and ends the process with status 143. Of several hosts one signal is
    enough: all end after the same step.

    **Failed writes**, such as on a full disk, are warned of; training goes on, and the checkpoints
    before stay. A checkpoint that is damaged or was cut short is passed over with a warning.

    The states of other callbacks are not kept; nor are weights written that are not finite.

    Args:
        directory: Where the checkpoints are, a folder for each: a path, also on Google Cloud
            (`gs://`), where TensorFlow is installed.
        every_steps: After how many steps to write one; `None` for once an epoch. Another one is
            written when `fit` ends.
        max_to_keep: How many to keep.
        max_skipped_steps: With the optimizer `ApplyIfFinite`, how many steps in a row may be
            skipped because of gradients that are not finite. At that many `fit` ends, at most one
            step later.

    Raises:
        ValueError: If an argument is below 1; in `fit`, if the checkpoint is of another model.
        OSError: In `fit`, if the directory cannot be made, or hosts do not find it.
        FloatingPointError: In `fit`, if weights are not finite when they should be written, or too
            many steps in a row were skipped.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        every_steps: int | None = None,
        max_to_keep: int = 3,
        max_skipped_steps: int = 10,
    ):
        super().__init__()
        integers = {
            "every_steps": every_steps,
            "max_to_keep": max_to_keep,
            "max_skipped_steps": max_skipped_steps,
        }
        for name, value in integers.items():
            if value is not None:
                check_integer(name, value, 1)
        self.every_steps = every_steps
        self.max_skipped_steps = max_skipped_steps
        self._directory = CheckpointDirectory(directory, max_to_keep)
        # Keras then does not wait for each step before it starts the next one.
        self.async_safe = backend.RUNS_AHEAD

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Goes to the last whole checkpoint, if there is one."""
        epoch_iterator = epoch_iterator_of_fit()
        self._directory.make()
        self._position = DataPosition(epoch_iterator)
        self._epoch_iterator = epoch_iterator
        self._epoch = self._next_step = self._steps = self._written = 0
        self._is_epoch_over = False
        self._lock = threading.Lock()
        self._watched: list[tuple[int, Any]] = []
        self._metrics_from: str | None = None
        backend.build_from_data(self.model, epoch_iterator)
        found = self._directory.newest()
        self._last = found[0] if found else None
        if found:
            self._restore(*found)
            self._say(f"Training goes on from {self._last}, after step {self._steps}.")
        self._termination = Termination(epoch_iterator, self._directory.hosts.count)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Brings back the metrics of an epoch that was interrupted; Keras has just reset them."""
        # Keras would begin the next `fit` there, too.
        self.model._initial_epoch = None
        self._epoch, self._next_step, self._is_epoch_over = epoch, 0, False
        self._is_first, self._reached = True, 0
        self._position.begin_epoch(epoch)
        if self._metrics_from is not None:
            metrics = {"metrics": self._groups()["metrics"]}
            backend.read_variables(self._metrics_from, metrics)
            self._metrics_from = None

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint if it is time to; ends the process if it was asked to end."""
        if self._is_first:
            self._next_step, self._is_first = batch, False
        self._count_to(batch)
        # Here and not after the step before, since then callbacks may still change something.
        unwritten = self._steps - self._written
        is_due = batch == 0 if self.every_steps is None else unwritten >= self.every_steps
        is_last = self._termination.check()
        is_written = (is_due and unwritten > 0) or is_last
        self._catch_up(steps_ahead=0 if is_written else 1)
        if is_written:
            self._write(self._epoch, batch)
        if is_last:
            self._end()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes that the step has ended; threads of several steps may call it at once."""
        with self._lock:
            self._reached = max(self._reached, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes whether the epoch was trained to its end; adds `skipped_steps` to the logs."""
        self._count_to(max(self._reached, self._next_step))
        self._catch_up(steps_ahead=0)
        optimizer = self.model.optimizer
        if logs is not None and isinstance(optimizer, ApplyIfFinite):
            skipped = backend.optimizer_value(self.model, optimizer.skipped_steps)
            logs["skipped_steps"] = int(skipped)
        steps = self._epoch_iterator.num_batches
        self._is_epoch_over = steps is None or self._next_step >= steps

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Writes the last checkpoint."""
        self.model._initial_epoch = None
        if self._steps > self._written:
            if self._is_epoch_over:
                self._write(self._epoch + 1, 0, is_epoch_over=True)
            else:
                self._write(self._epoch, self._next_step)
        if self._termination.check():
            self._end()
        self._termination.remove()

    def _count_to(self, step: int) -> None:
        """Counts the steps of the epoch before this one."""
        self._steps += step - self._next_step
        self._next_step = step

    def _catch_up(self, steps_ahead: int) -> None:
        """Waits for the devices; ends `fit` where too many steps were skipped.

        Args:
            steps_ahead: How many steps the devices may still be busy with. With one they never
                wait for Python, and what they still have to do is soon done after a SIGTERM.
        """
        optimizer = self.model.optimizer
        is_counted = isinstance(optimizer, ApplyIfFinite)
        if not (is_counted or backend.RUNS_AHEAD):
            return
        watched = optimizer.skipped_in_a_row if is_counted else optimizer.variables[0]
        self._watched.append((self._steps, backend.optimizer_value(self.model, watched)))
        while len(self._watched) > steps_ahead:
            steps, value = self._watched.pop(0)
            if int(value) >= self.max_skipped_steps and is_counted:
                raise FloatingPointError(
                    f"Gradients were not finite in {int(value)} steps in a row, up to step "
                    f"{steps}, and the steps were skipped. {self._way_out()}"
                )

    def _groups(self) -> dict[str, list]:
        """Returns the variables to write, by what they are."""
        model = self.model
        generator = get_global_attribute("global_seed_generator")
        return {
            "model": model.variables,
            "optimizer": model.optimizer.variables,
            "metrics": model.metrics_variables,
            "global_seed": [generator.state] if generator is not None else [],
        }

    def _restore(self, folder: str, record: dict[str, Any]) -> None:
        path, expected = f"{folder}/variables", record["variables"]
        if expected["global_seed"]:
            # Keras makes it when it is asked for.
            global_seed_generator()
        groups = self._groups()
        if not expected["global_seed"]:
            groups["global_seed"] = []
        _check_variables(folder, expected, groups)
        backend.read_variables(path, groups)
        self._metrics_from = path if record["step"] and groups.get("metrics") else None
        self._steps = self._written = record["steps"]
        self.model._initial_epoch = record["epoch"]
        iterator = f"{folder}/iterator" if record["has_iterator"] else None
        self._position.go_to(record["step"], record["position"], iterator)

    def _write(self, epoch: int, step: int, *, is_epoch_over: bool = False) -> None:
        backend.collect_state(self.model)
        groups = self._groups()
        self._check_finite(groups["model"])

        def write(folder: str) -> dict[str, Any]:
            backend.write_variables(f"{folder}/variables", groups)
            has_iterator = self._position.write(f"{folder}/iterator", is_epoch_over=is_epoch_over)
            return {
                "epoch": epoch,
                "step": step,
                "steps": self._steps,
                "position": self._position.record(is_epoch_over=is_epoch_over),
                "has_iterator": has_iterator,
                "variables": {name: _specs(group) for name, group in groups.items()},
            }

        try:
            self._last = self._directory.write(self._steps, write)
        except OSError as error:
            warnings.warn(
                f"The checkpoint of step {self._steps} could not be written: {error}. The last one "
                f"is {self._last}. Training goes on.",
                RuntimeWarning,
                stacklevel=2,
            )
        # After a failure, too: not each step shall try again.
        self._written = self._steps

    def _check_finite(self, variables: list) -> None:
        for variable in variables:
            if "float" in variable.dtype and not ops.all(ops.isfinite(variable.value)):
                raise FloatingPointError(
                    f"Weights are not finite after step {self._steps}: {variable.path}. "
                    f"{self._way_out()} The optimizer `ApplyIfFinite` skips such steps."
                )

    def _way_out(self) -> str:
        return (
            f"The last good checkpoint is {self._last}; `fit` goes on from there when it is called "
            "again. Lower the learning rate before, or look for the batches that do this."
        )

    def _end(self) -> None:
        self._say(
            f"SIGTERM: training ends after step {self._steps}. It goes on from {self._last} when "
            "the same script is run again."
        )
        self._termination.end()

    def _say(self, message: str) -> None:
        if self._directory.hosts.number == 0:
            print(message, file=sys.stderr, flush=True)


def _specs(variables: list) -> list:
    return [
        [list(variable.shape), keras.backend.standardize_dtype(variable.dtype)]
        for variable in variables
    ]


def _check_variables(folder: str, expected: dict[str, list], groups: dict[str, list]) -> None:
    for name, group in groups.items():
        found = _specs(group)
        if len(found) != len(expected[name]):
            raise ValueError(
                f"The checkpoint {folder} must be of the same model, compiled in the same way. "
                f"Expected {len(found)} variables of the {name}. Received: {len(expected[name])}"
            )
        for variable, spec, other in zip(group, found, expected[name], strict=True):
            if spec != other:
                raise ValueError(
                    f"The checkpoint {folder} must be of the same model. Expected for "
                    f"{variable.path}: shape and dtype {spec}. Received: {other}"
                )
