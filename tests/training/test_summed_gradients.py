"""Optimizers on one device; on several replicas see `test_replicas`."""

import keras
import numpy as np
import pytest

from bigbird_tf.training import sum_gradients_first, summed_gradients

GRADIENTS = np.array([[3.0, -1.0], [0.5, 2.0], [-4.0, 0.25]], "float32")


def updated(optimizer) -> np.ndarray:
    variable = keras.Variable([1.0, -2.0])
    optimizer.build([variable])
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(gradient), variable)])
    return variable.numpy()


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.1),
        lambda: keras.optimizers.AdamW(0.1, global_clipnorm=0.5),
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2, clipvalue=0.5),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, clipnorm=0.1)),
    ],
    ids=["plain", "clipped", "accumulated", "scaled"],
)
def test_one_device_is_as_before(make):
    plain, ours = make(), make()
    sum_gradients_first(ours)
    sum_gradients_first(ours)  # once is enough
    np.testing.assert_array_equal(updated(ours), updated(plain))
    mine, theirs = (keras.optimizers.serialize(optimizer) for optimizer in (ours, plain))
    for config in (mine, theirs):
        config["config"].pop("name")
        config["config"].get("inner_optimizer", {"config": {}})["config"].pop("name", None)
    assert mine == theirs


@pytest.mark.parametrize("scaled_first", [False, True])
def test_compiled_again_it_sums_once(scaled_first, monkeypatch):
    """Keras wraps an optimizer anew at each `compile` of a float16 model."""
    calls = []

    def add_up(self, pairs):
        pairs = list(pairs)
        calls.append(len(pairs))
        return pairs

    monkeypatch.setattr(keras.optimizers.SGD, "_all_reduce_sum_gradients", add_up)
    monkeypatch.setattr(summed_gradients, "replica_context", object)
    inner = keras.optimizers.SGD(0.1)
    for _ in range(2):
        if scaled_first:
            sum_gradients_first(keras.optimizers.LossScaleOptimizer(inner))
        sum_gradients_first(inner)
    updated(inner)
    assert calls == [1] * 2 * len(GRADIENTS)
    calls.clear()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    sum_gradients_first(scaled.inner_optimizer)
    sum_gradients_first(scaled)
    updated(scaled)
    assert calls == [1] * 2 * len(GRADIENTS)
