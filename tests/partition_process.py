"""Trains a small model on eight devices of JAX that are one processor.

It reads a JSON request from standard input: `folder`, where XLA writes the compiled steps. It
prints a JSON answer, for each way of sharing out: the losses of two steps, and the step's program.
"""

import json
import os
import sys
from pathlib import Path

request = json.loads(sys.stdin.read())
folder = Path(request["folder"])
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_dump_hlo_as_text "
    f"--xla_dump_to={folder} --xla_dump_hlo_module_re=.*train_step.*"
)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import bigbird_tf as bb  # noqa: E402

BATCH, LENGTH = 16, 208


def distributions() -> dict:
    """Returns the ways: on one device, by sequences, and by sequences and heads."""
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((4, 2), ["data", "model"], devices)
    sizes = {"vocab_size": 101, "max_position_embeddings": LENGTH, "hidden_size": 24}
    config = bb.BigBirdConfig(num_attention_heads=4, intermediate_size=40, **sizes)
    layouts = bb.layout_map(config, mesh)
    both = keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="data")
    by_sequence = keras.distribution.DataParallel(devices=devices)
    return {"one": (None, 4), "data": (by_sequence, 4), "both": (both, 4), "odd heads": (both, 3)}


def losses(num_heads: int) -> list[float]:
    """Returns the losses of two steps of two layers."""
    config = bb.BigBirdConfig(
        vocab_size=101,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=num_heads,
        intermediate_size=40,
        block_size=16,
        num_random_blocks=2,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = bb.BigBirdForSequenceClassification(config)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(0, 0.2, weight.shape).astype("float32"))
    ids = rng.integers(3, 101, (BATCH, LENGTH))
    mask = np.arange(LENGTH) < rng.integers(150, LENGTH, (BATCH, 1))
    inputs = {"input_ids": ids, "attention_mask": mask.astype("int32")}
    model.compile(optimizer=keras.optimizers.SGD(0.05))
    labels = rng.integers(0, 2, BATCH)
    return [float(model.train_on_batch(inputs, labels)[0]) for _ in range(2)]


answer = {}
for name, (distribution, num_heads) in distributions().items():
    keras.distribution.set_distribution(distribution)
    before = set(folder.glob("*after_optimizations.txt"))
    found = losses(num_heads)
    programs = set(folder.glob("*after_optimizations.txt")) - before
    answer[name] = {"losses": found, "programs": sorted(map(str, programs))}
keras.distribution.set_distribution(None)
answer["odd heads alone"] = {"losses": losses(3)}
print(json.dumps(answer))
