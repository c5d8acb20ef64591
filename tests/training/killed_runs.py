"""Trains a model again and again in processes that are killed, and once in one that is not.

    python -m tests.training.killed_runs FOLDER

Each process is forked from this one, which has imported everything and run nothing yet. It writes
`killed.npz` and `uninterrupted.npz`, the weights at the end, and prints what ended each process,
as JSON.
"""

import json
import os
import random
import resource
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf.models import BigBirdForSequenceClassification
from bigbird_tf.training import TrainingCheckpoint, backend, checkpoint_directory
from tests.backends import compile_fast
from tests.contract import LENGTH, SEPARATOR, VOCABULARY, tiny_config

EXAMPLES, BATCH, EPOCHS = 60, 3, 3
STEPS = EXAMPLES // BATCH  # of 60 in all
SECONDS_OF_A_STEP = 0.02  # about


class EndItself(keras.callbacks.Callback):
    """Kills the process after so many steps, or makes something fail from then on."""

    def __init__(self, steps, action):
        super().__init__()
        self.left, self.action = steps, action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.action()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_any_moment():
    """Kills the process soon, whatever it is doing then: in a step, between steps, or writing."""
    threading.Timer(random.Random(os.getpid()).uniform(0, 1.5) * SECONDS_OF_A_STEP, kill).start()


def kill_while_writing():
    """Kills the process when half of the next checkpoint's variables are written."""
    write = backend.write_variables

    def write_half(path, groups):
        write(path, groups)
        files = [file for file in Path(path).parent.rglob("*") if file.is_file()]
        largest = max(files, key=lambda file: file.stat().st_size)
        os.truncate(largest, largest.stat().st_size // 2)
        kill()

    backend.write_variables = write_half


def kill_before_the_record():
    """Kills the process when the next checkpoint is whole but for its record."""
    checkpoint_directory.write_whole = lambda *_: kill()


def fill_the_disk():
    """No file can grow beyond some bytes until the process is killed, two checkpoints later."""
    # Python has the signal ignored, so that writes fail.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    warn, left = warnings.warn, [2]

    def warn_and_kill(message, *arguments, **options):
        if "could not be written" in str(message):
            left[0] -= 1
            if left[0] == 0:
                kill()
        warn(message, *arguments, **options)

    warnings.warn = warn_and_kill


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def train(folder: Path, *callbacks) -> BigBirdForSequenceClassification:
    """Trains as a script does that is run again after each end."""
    keras.utils.set_random_seed(11)
    config = tiny_config(num_hidden_layers=1, hidden_dropout_prob=0.2)
    model = BigBirdForSequenceClassification(config)
    model.compile(keras.optimizers.AdamW(1e-3))
    rng = np.random.default_rng(2)
    ids = rng.integers(SEPARATOR + 1, VOCABULARY, (EXAMPLES, LENGTH)).astype("int32")
    labels = rng.integers(0, 2, EXAMPLES).astype("int32")
    data = tf.data.Dataset.from_tensor_slices((ids, labels)).shuffle(EXAMPLES, seed=4).batch(BATCH)
    checkpoint = TrainingCheckpoint(folder, every_steps=4)
    model.fit(data, epochs=EPOCHS, verbose=0, callbacks=[checkpoint, *callbacks])
    return model


def fork(run) -> int:
    """Calls a function in another process; returns its status, negative if a signal ended it."""
    process = os.fork()
    if process == 0:
        try:
            run()
        except SystemExit as error:
            os._exit(error.code)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def save(model, file: Path) -> None:
    np.savez(file, *[np.array(variable) for variable in model.variables])


def main(folder: Path) -> None:
    """Runs all processes; the moments are drawn."""
    compile_fast()
    rng = random.Random(int(os.environ.get("KILLED_RUNS_SEED", 5)))
    runs = folder / "runs"
    statuses = [fork(lambda: save(train(folder / "other"), folder / "uninterrupted.npz"))]
    actions = [kill, kill_while_writing, kill_before_the_record, kill_at_any_moment] * 2
    actions += [fill_the_disk, terminate]
    rng.shuffle(actions)
    for action in actions:
        end = EndItself(rng.randint(2, 6), action)
        statuses.append(fork(lambda end=end: train(runs, end)))
    statuses.append(fork(lambda: save(train(runs), folder / "killed.npz")))
    print(json.dumps({"statuses": statuses, "actions": [action.__name__ for action in actions]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
