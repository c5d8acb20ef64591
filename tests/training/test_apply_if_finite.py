"""`ApplyIfFinite`: steps without finite gradients change nothing but their counts."""

import keras
import numpy as np
import pytest

from bigbird_tf.training import ApplyIfFinite, TrainingCheckpoint

ROWS, BATCH = 24, 3
BAD = (1, 4, 5)  # steps, from 0


def make_model(optimizer, **compiled):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input([5]), keras.layers.Dense(2)])
    model.compile(optimizer, "mse", **compiled)
    return model


def make_data(bad):
    """Returns arrays of eight batches, some of which have one value that is not finite."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, 5)).astype("float32")
    y = rng.standard_normal((ROWS, 2)).astype("float32")
    for count, step in enumerate(bad):
        x[step * BATCH, 2] = (np.nan, np.inf)[count % 2]
    return x, y


def fit(model, data, *callbacks, epochs=1):
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    return model.fit(*data, **options, epochs=epochs, callbacks=callbacks)


def state_of(optimizer):
    return [np.array(variable) for variable in optimizer.variables]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_is_as_if_the_batches_were_not_there(jit_compile):
    x, y = make_data(BAD)
    good = [row for row in range(ROWS) if row // BATCH not in BAD]
    expected = make_model(keras.optimizers.AdamW(0.1), jit_compile=jit_compile)
    fit(expected, (x[good], y[good]))
    optimizer = ApplyIfFinite(keras.optimizers.AdamW(0.1))
    found = make_model(optimizer, jit_compile=jit_compile)
    fit(found, (x, y))
    for mine, theirs in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)
    moments = state_of(expected.optimizer)
    for mine, theirs in zip(state_of(optimizer.inner_optimizer), moments, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)
    assert (int(optimizer.skipped_steps), int(optimizer.skipped_in_a_row)) == (len(BAD), 0)
    assert int(optimizer.iterations) == ROWS // BATCH - len(BAD)
    assert float(optimizer.dynamic_scale) == 1


def test_scales_the_loss():
    optimizer = ApplyIfFinite(
        keras.optimizers.SGD(0.1), loss_scaling=True, initial_scale=64, dynamic_growth_steps=2
    )
    fit(make_model(optimizer), make_data([0, 1, 7]))
    # Halved twice, doubled after the fourth and the sixth step, halved at the last.
    assert float(optimizer.dynamic_scale) == 64 / 4 * 4 / 2
    assert (int(optimizer.skipped_steps), int(optimizer.skipped_in_a_row)) == (3, 1)


def test_config():
    optimizer = ApplyIfFinite(
        keras.optimizers.AdamW(0.1, weight_decay=0.3), loss_scaling=True, initial_scale=8, name="a"
    )
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is ApplyIfFinite
    assert again.get_config() == optimizer.get_config()
    assert again.inner_optimizer.weight_decay == 0.3


@pytest.mark.parametrize("loss_scaling", [False, True])
def test_saved_with_its_counts(tmp_path, loss_scaling):
    optimizer = ApplyIfFinite(keras.optimizers.Adam(), loss_scaling=loss_scaling)
    model = make_model(optimizer)
    fit(model, make_data(BAD))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert int(again.skipped_steps) == len(BAD)
    for mine, theirs in zip(state_of(again), state_of(optimizer), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_ends_after_too_many_in_a_row(tmp_path):
    model = make_model(ApplyIfFinite(keras.optimizers.Adam()))
    checkpoint = TrainingCheckpoint(tmp_path, every_steps=1, max_skipped_steps=3)
    history = fit(model, make_data(BAD), checkpoint).history
    assert history["skipped_steps"] == [len(BAD)]
    message = r"in 3 steps in a row, up to step 13.*last good checkpoint is .*step-00000012;"
    with pytest.raises(FloatingPointError, match=message):
        fit(model, make_data([2, 3, 4]), checkpoint, epochs=2)
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    assert all(np.isfinite(np.array(weight)).all() for weight in model.weights)
    # It goes on from there, if there may be more of them.
    checkpoint = TrainingCheckpoint(tmp_path, every_steps=1, max_skipped_steps=4)
    history = fit(model, make_data([2, 3, 4]), checkpoint, epochs=2).history
    assert history["skipped_steps"] == [len(BAD) + 3]
