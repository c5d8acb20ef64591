"""Trains a model as one of the processes that Keras' variables tell of, or alone.

It prints a JSON answer. Run it on the JAX backend.
"""

import json
import os

import jax
import keras
import numpy as np

import bigbird_tf as bb
from tests.training.head_cases import BATCH, data_of, make

PROCESSES = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1"))


def main() -> None:
    if PROCESSES > 1:
        keras.distribution.initialize()
    devices = keras.distribution.list_devices()
    distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    # Each process has its own part of the batch.
    size = BATCH // PROCESSES
    own = slice(size * jax.process_index(), size * (jax.process_index() + 1))
    inputs, labels, weights = data_of(bb.BigBirdForMaskedLM)
    model = make(bb.BigBirdForMaskedLM)
    history = model.fit(
        {name: value[own] for name, value in inputs.items()},
        labels[own],
        sample_weight=weights[own],
        batch_size=size,
        epochs=3,
        shuffle=False,
        verbose=0,
    )
    answer = {
        "devices": len(devices),
        "of this process": jax.local_device_count(),
        "losses": history.history["loss"],
        "weights": [float(np.abs(weight).sum()) for weight in model.get_weights()],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
