"""`DataPosition` with data of TensorFlow: of all kinds that `fit` takes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.training import TrainingCheckpoint, data_position
from tests.training.interrupted_runs import (
    BATCH,
    EPOCHS,
    STEPS,
    InterruptAfter,
    Interruption,
    assert_same,
    make_arrays,
    make_model,
    state_of,
)


def of_each_epoch(seed=3):
    examples = tf.data.Dataset.from_tensor_slices(make_arrays()).shuffle(7, seed=seed)
    return examples.batch(BATCH).prefetch(2), {}


def repeated():
    examples = tf.data.Dataset.from_tensor_slices(make_arrays()).shuffle(7, seed=3).repeat()
    return examples.batch(BATCH).prefetch(2), {"steps_per_epoch": STEPS}


def finite_in_parts():
    """Returns a data set that is longer than an epoch and shorter than two, so begun again."""
    return of_each_epoch()[0], {"steps_per_epoch": STEPS - 2}


def of_unknown_length():
    """Returns a data set that tells its length to nobody; Keras learns it in the first epoch."""
    return of_each_epoch()[0].filter(lambda x, y: True), {}


class Python(keras.utils.PyDataset):
    """Shuffles with NumPy's global generator, as many do."""

    def __init__(self):
        super().__init__()
        self.order = np.random.permutation(len(make_arrays()[0]))

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        return tuple(x[chosen] for x in make_arrays())


def of_python():
    return Python(), {"shuffle": False}


def of_a_generator():
    x, y = make_arrays()

    def batches():
        while True:
            chosen = rng.permutation(len(x))[:BATCH]
            yield x[chosen], y[chosen]

    rng = np.random.default_rng(5)
    return batches(), {"steps_per_epoch": STEPS}


def run(make_data, folder, *callbacks):
    model = make_model()
    data, fit = make_data()
    checkpoint = TrainingCheckpoint(folder, every_steps=2)
    model.fit(data, **fit, epochs=EPOCHS, verbose=0, callbacks=[checkpoint, *callbacks])
    return state_of(model)


@pytest.mark.parametrize(
    ("make_data", "is_drawn_again"),
    [
        (of_each_epoch, False),
        (of_each_epoch, True),
        (repeated, False),
        (repeated, True),
        (finite_in_parts, False),
        (finite_in_parts, True),
        (of_unknown_length, False),
        (of_unknown_length, True),
        (of_python, False),
        (of_a_generator, False),
    ],
)
@pytest.mark.filterwarnings("ignore:.*shuffle=True:UserWarning")
# Keras begins the data again after an epoch that they do not fill.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_goes_on(tmp_path, monkeypatch, make_data, is_drawn_again):
    expected = run(make_data, tmp_path / "uninterrupted")
    if is_drawn_again:
        # As with several replicas.
        monkeypatch.setattr(data_position, "write_iterator", lambda path, iterator: False)
    with pytest.raises(Interruption):
        run(make_data, tmp_path / "interrupted", InterruptAfter(STEPS + 3))
    is_written = bool(list((tmp_path / "interrupted").glob("*/iterator.index")))
    assert is_written == (not is_drawn_again and make_data not in (of_python, of_a_generator))
    assert_same(run(make_data, tmp_path / "interrupted"), expected)


@pytest.mark.filterwarnings("ignore:.*shuffle=True:UserWarning")
def test_each_example_once_without_a_seed(tmp_path):
    seen = []

    def note(data):
        seen.append(float(data[0][0, 0]))
        return {"loss": 0.0}

    model = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_step = note
    for interruption in ([InterruptAfter(5)], []):
        data = tf.data.Dataset.range(12).shuffle(12).map(lambda n: 2 * [tf.cast([n], "float32")])
        checkpoint = TrainingCheckpoint(tmp_path, every_steps=1)
        try:
            model.fit(data.batch(1), verbose=0, callbacks=[checkpoint, *interruption])
        except Interruption:
            seen.pop()  # that step comes again, since no checkpoint has been written after it
    assert sorted(seen) == [*range(12)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*shuffle=True:UserWarning")
def test_other_data(tmp_path):
    with pytest.raises(Interruption):
        run(of_each_epoch, tmp_path, InterruptAfter(3))

    def shorter():
        return of_each_epoch()[0].map(lambda x, y: (x, y)).take(1), {}

    with (
        pytest.warns(RuntimeWarning, match="not made as they were"),
        pytest.raises(ValueError, match="must be those that the checkpoint was written with"),
    ):
        run(shorter, tmp_path)
