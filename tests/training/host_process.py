"""Trains a model as one of the processes that Keras' variables tell of, or alone.

    python -m tests.training.host_process FOLDER [ACTION STEPS]

In the folder are its checkpoints, which it goes on from, and writes after every second step. After
so many steps it does to itself what `ACTION` says: `SIGKILL` or `SIGTERM`. It prints a JSON answer.
Run it on the JAX backend.
"""

import json
import os
import signal
import sys
import time

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

import bigbird_tf as bb
from tests.training.head_cases import BATCH, data_of, make
from tests.training.interrupted_runs import InterruptAfter

PROCESSES = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1"))
EPOCHS, STEPS = 3, 4


def end(action: str) -> None:
    """Sends the signal; where all are killed, none before the others have ended their step."""
    if action == "SIGKILL":
        multihost_utils.sync_global_devices(action)
        # The first one last, since the others end when they miss it.
        time.sleep(1.0 if jax.process_index() == 0 else 0.2)
    os.kill(os.getpid(), signal.Signals[action])


def main(folder: str, action: str = "", steps: str = "0") -> None:
    checkpoint = bb.TrainingCheckpoint(folder, every_steps=2)
    if PROCESSES > 1:
        keras.distribution.initialize()
    devices = keras.distribution.list_devices()
    distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    # Each process has its own part of each batch, and batches differ.
    size = BATCH // PROCESSES
    rows = np.concatenate([np.roll(np.arange(BATCH), step) for step in range(STEPS)])
    own = rows.reshape(STEPS, PROCESSES, size)[:, jax.process_index()].reshape(-1)
    inputs, labels, weights = data_of(bb.BigBirdForMaskedLM)
    weights = weights * (1 + np.arange(BATCH)[:, np.newaxis] % 3)
    model = make(bb.BigBirdForMaskedLM)
    losses = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print("epoch", epoch, logs["loss"], flush=True)
    )
    ends = InterruptAfter(int(steps), lambda: end(action))
    # The signal must have come to the others before the last step has.
    pause = 0.3 if action == "SIGTERM" else 0
    slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(pause))
    model.fit(
        {name: value[own] for name, value in inputs.items()},
        labels[own],
        sample_weight=weights[own],
        batch_size=size,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[checkpoint, losses, ends, slow],
    )
    answer = {
        "devices": len(devices),
        "of this process": jax.local_device_count(),
        "weights": [float(np.abs(weight).sum()) for weight in model.get_weights()],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
