"""`Throughput`: what it counts; times are not asserted, but that logs agree with each other."""

import copy
import csv
import threading

import keras
import numpy as np
import pytest

from bigbird_tf.models import BigBirdForMaskedLM
from bigbird_tf.training import ApplyIfFinite, Throughput, TrainingCheckpoint
from bigbird_tf.training.arithmetic import training_flops_per_token
from tests.backends import IS_TENSORFLOW
from tests.contract import LENGTH, VOCABULARY, tiny_config

ROWS, BATCH = 7, 3  # the last batch has one row
PEAK = 1e9


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Returns a model, and what the logs of two epochs said."""
    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=1))
    model.compile()
    ids = np.random.default_rng(1).integers(6, VOCABULARY, (ROWS, LENGTH)).astype("int32")
    file = tmp_path_factory.mktemp("logs") / "log.csv"
    steps = []

    class Logs(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(dict(logs))

    callbacks = [Throughput(PEAK), keras.callbacks.CSVLogger(file), Logs()]
    fit = {"batch_size": BATCH, "epochs": 2, "verbose": 0}
    history = model.fit({"input_ids": ids}, ids, **fit, callbacks=callbacks).history
    # Nothing of it stays in the model.
    assert "step_time" not in model.fit({"input_ids": ids}, ids, verbose=0).history
    return model, history, steps, file


def test_logs(fitted):
    model, history, steps, file = fitted
    # The first step, of three rows, is left out.
    for epoch, (rows, count) in enumerate([(ROWS - BATCH, 2), (ROWS, 3)]):
        seconds = history["step_time"][epoch] * count
        assert history["tokens_per_second"][epoch] * seconds == pytest.approx(rows * LENGTH)
        used = history["utilization"][epoch] * PEAK / history["tokens_per_second"][epoch]
        assert used == pytest.approx(training_flops_per_token(model, LENGTH))
    assert ["step_time" in logs for logs in steps] == [False] + 5 * [True]
    with open(file) as lines:
        assert [float(row["step_time"]) for row in csv.DictReader(lines)] == history["step_time"]


def test_arithmetic(fitted):
    model = fitted[0]
    config = model.config
    width, inner, heads = 21, 13, 3
    # By hand: projections, the feed-forward layer, the head's own layer, the word embeddings.
    products = 4 * width**2 + 2 * width * inner + width**2 + VOCABULARY * width
    products += width**2  # the pooler, which sees a token of each sequence only
    (layer,) = [part for part in model._flatten_layers() if hasattr(part, "pattern")]
    # Ten blocks of four: two global rows of ten, eight of eight blocks with repeats.
    pattern = layer.pattern(LENGTH, training=True)
    blocks = 2 * 10 + int(pattern.is_read.sum())
    attention = 4 * heads * 7 * blocks * config.block_size**2
    expected = 3 * (2 * products + attention / LENGTH)
    assert training_flops_per_token(model, LENGTH) == pytest.approx(expected)
    # Below 28 tokens attention is full.
    full = 3 * (2 * products + 4 * heads * 7 * 20)
    assert training_flops_per_token(model, 20) == pytest.approx(full)


def test_given_arithmetic_of_a_model_on_vectors():
    model = keras.Sequential([keras.layers.Input([11, 5]), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    callback = Throughput(100.0, flops_per_token=7.0)
    data = np.zeros((9, 11, 5), "float32"), np.zeros((9, 11, 2), "float32")
    history = model.fit(*data, batch_size=3, verbose=0, callbacks=[callback]).history
    (speed,), (seconds,) = history["tokens_per_second"], history["step_time"]
    assert speed * seconds == pytest.approx(3 * 11)
    assert history["utilization"] == pytest.approx([speed * 7 / 100])


@pytest.mark.parametrize("arguments", [{"peak_flops": 0}, {"flops_per_token": -1.5}])
def test_arguments(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}` must be above 0. Received: {name}={value}"):
        Throughput(**arguments)


def test_epochs_of_one_step_have_the_same_columns(tmp_path):
    """So has a run that goes on with the last step of an epoch."""
    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=1))
    model.compile()
    ids = np.random.default_rng(1).integers(6, VOCABULARY, (3, LENGTH)).astype("int32")
    file = tmp_path / "log.csv"
    callbacks = [Throughput(PEAK), keras.callbacks.CSVLogger(file)]
    model.fit({"input_ids": ids}, ids, epochs=2, verbose=0, callbacks=callbacks)
    with open(file) as lines:
        first, second = csv.DictReader(lines)
    for name in ("step_time", "tokens_per_second", "utilization"):
        assert np.isnan(float(first[name]))
        assert float(second[name]) > 0


@pytest.mark.skipif(IS_TENSORFLOW, reason="TensorFlow's steps end before callbacks are called")
def test_jax_does_not_wait_for_each_step(tmp_path):
    """Keras then tells callbacks of a step's end in other threads."""
    threads = []

    class Watched(Throughput):
        def on_train_batch_end(self, batch, logs=None):
            threads.append(threading.current_thread())
            super().on_train_batch_end(batch, logs)

    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=1))
    model.compile(ApplyIfFinite(keras.optimizers.AdamW()))
    ids = np.random.default_rng(1).integers(6, VOCABULARY, (ROWS, LENGTH)).astype("int32")
    callbacks = [Watched(PEAK), TrainingCheckpoint(tmp_path / "checkpoints", every_steps=2)]
    model.fit({"input_ids": ids}, ids, batch_size=BATCH, verbose=0, callbacks=callbacks)
    assert len(threads) == 3
    assert threading.main_thread() not in threads


def test_callbacks_can_be_copied(tmp_path):
    """As KerasTuner does before each trial."""
    copies = copy.deepcopy([Throughput(PEAK), TrainingCheckpoint(tmp_path, max_to_keep=2)])
    assert copies[0].peak_flops == PEAK
    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=1))
    model.compile()
    ids = np.full((2, LENGTH), 7, "int32")
    history = model.fit({"input_ids": ids}, ids, epochs=2, verbose=0, callbacks=copies).history
    assert len(history["tokens_per_second"]) == 2
    assert len([*tmp_path.iterdir()]) == 2
