"""Trains heads of both families on eight devices of JAX that are one processor.

It prints a JSON answer. For each head, which shares of weights a device has. For those that it
trains, and each way of sharing out: the losses of two steps, and the largest difference of a weight
to that of one device. And what is said of uneven batches.
"""

import json
import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import keras
import numpy as np

import bigbird_tf as bb
from tests.training.head_cases import HEADS, config_of, data_of, make

# One of each family, and a head with weights of its own that are shared out; of the others, the
# shares are looked at. In the first one, devices share out the batch alone, too.
TRAINED = (
    bb.BigBirdForMaskedLM,
    bb.BigBirdForQuestionAnswering,
    bb.BigBirdPegasusForConditionalGeneration,
)


def train(cls: type, data: tuple, **options) -> tuple[list[float], keras.Model]:
    """Returns the losses of two steps, and the model."""
    model = make(cls, **options)
    return [float(np.ravel(model.train_on_batch(*data))[0]) for _ in range(2)], model


def shares(model: keras.Model) -> dict[str, list[int]]:
    """Returns the shape that each weight has on a device, where it is not the weight's own."""
    found = {}
    for variable in (*model.trainable_variables, *model.optimizer.variables):
        share = variable.value.addressable_shards[0].data.shape
        if share != tuple(variable.shape):
            found[variable.path.removeprefix(f"{model.name}/")] = list(share)
    return found


def refusals(model: keras.Model, distribution, data: tuple) -> dict:
    """Returns what is said where two examples are left for the last batch, and what was learnt."""
    inputs, labels = ({name: value[:6] for name, value in part.items()} for part in data[:2])
    calls = {
        "fit": lambda: model.fit(inputs, labels, batch_size=4, shuffle=False, verbose=0),
        "evaluate": lambda: model.evaluate(inputs, labels, batch_size=4, verbose=0),
        "predict": lambda: model.predict(inputs, batch_size=4, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(inputs, labels),
    }
    said, before = {}, model.get_weights()
    for name, call in calls.items():
        try:
            with distribution.scope():
                call()
        except ValueError as error:
            said[name] = str(error)
    moved = [float(np.abs(w - b).max()) for w, b in zip(model.get_weights(), before, strict=True)]
    return {"refused": said, "moved": max(moved)}


def main() -> None:
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((4, 2), ["data", "model"], devices)
    answer: dict = {"heads": {}}
    for cls, fields in HEADS.items():
        found = answer["heads"][cls.__name__] = {}
        layouts = bb.layout_map(config_of(cls, fields), mesh)
        ways = {"both": keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="data")}
        if cls not in TRAINED:
            with ways["both"].scope():
                model = make(cls)
                model.optimizer.build(model.trainable_variables)
            found["shares"] = shares(model)
            continue
        data = data_of(cls)
        # Op by op: nothing is compiled for the head alone.
        found["one"], alone = train(cls, data, run_eagerly=True)
        expected = [np.asarray(weight) for weight in alone.weights]
        if cls is TRAINED[0]:
            ways["data"] = keras.distribution.DataParallel(devices=devices)
        for name, distribution in ways.items():
            with distribution.scope():
                found[name], model = train(cls, data)
            found[f"{name} weights"] = max(
                float(np.abs(np.asarray(weight) - theirs).max())
                for weight, theirs in zip(model.weights, expected, strict=True)
            )
            if name == "both":
                found["shares"] = shares(model)
            if cls is bb.BigBirdForQuestionAnswering:
                answer |= refusals(model, distribution, data)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
