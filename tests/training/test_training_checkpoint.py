"""`TrainingCheckpoint`: interrupted runs end as one that was not."""

import json
import os
import signal

import keras
import numpy as np
import pytest

from bigbird_tf.training import TrainingCheckpoint, checkpoint_directory, training_checkpoint
from tests.backends import IS_TENSORFLOW
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


def run(folder, *callbacks, epochs=EPOCHS, every_steps=2, max_to_keep=3, model=None):
    """Trains on shuffled arrays, as a script does that is run again; returns model and history."""
    model = make_model() if model is None else model
    checkpoint = TrainingCheckpoint(folder, every_steps=every_steps, max_to_keep=max_to_keep)
    fit = {"batch_size": BATCH, "epochs": epochs, "verbose": 0}
    history = model.fit(*make_arrays(), **fit, callbacks=[checkpoint, *callbacks])
    return model, history.history


def interrupt(folder, steps, action=None, **options):
    with pytest.raises(Interruption):
        run(folder, InterruptAfter(steps, action), **options)


@pytest.fixture(autouse=True)
def _default_signals():
    """Sets what handles SIGTERM: a `fit` that ended with an error leaves its own handler."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Returns the state and the history of a run that nothing interrupts."""
    model, history = run(tmp_path_factory.mktemp("uninterrupted"))
    return state_of(model), history


@pytest.mark.parametrize("every_steps", [1, 4, None])
def test_goes_on(tmp_path, uninterrupted, capfd, every_steps):
    state, history = uninterrupted
    interrupt(tmp_path, 5, every_steps=every_steps)
    interrupt(tmp_path, STEPS + 3, every_steps=every_steps)
    model, rest = run(tmp_path, every_steps=every_steps)
    assert_same(state_of(model), state)
    # The metrics of the interrupted epoch are of the whole of it.
    for name, values in rest.items():
        np.testing.assert_allclose(values, history[name][-len(values) :], rtol=1e-6)
    assert f"Training goes on from {tmp_path}/step-" in capfd.readouterr().err


def test_a_run_that_is_over(tmp_path, uninterrupted):
    state, history = uninterrupted
    run(tmp_path, epochs=EPOCHS - 1, every_steps=None)
    model, rest = run(tmp_path, every_steps=None)
    assert_same(state_of(model), state)
    assert rest["loss"] == pytest.approx(history["loss"][-1:])
    # `fit` has nothing left to do, and the next one without the callback begins at the start.
    model, rest = run(tmp_path, every_steps=None)
    assert_same(state_of(model), state)
    assert rest == {}
    assert len(model.fit(*make_arrays(), epochs=1, verbose=0).history["loss"]) == 1


def test_keeps_the_newest(tmp_path):
    run(tmp_path, epochs=1, max_to_keep=2)
    assert names(tmp_path) == ["step-00000004", f"step-{STEPS:08d}"]


def cut_short(folder):
    file = max(
        (path for path in folder.rglob("*") if path.is_file() and path.name != "checkpoint.json"),
        key=lambda path: path.stat().st_size,
    )
    os.truncate(file, file.stat().st_size // 2)


def flip_a_bit(folder):
    file = max(
        (path for path in folder.rglob("*") if path.is_file() and path.name != "checkpoint.json"),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def lose_a_file(folder):
    next(path for path in folder.rglob("*") if path.name != "checkpoint.json").rename(
        folder.parent / "elsewhere"
    )


def lose_the_record(folder):
    (folder / "checkpoint.json").unlink()


def write_half_the_record(folder):
    file = folder / "checkpoint.json"
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (cut_short, "is damaged: expected"),
        (flip_a_bit, "is damaged: expected"),
        (lose_a_file, "is missing"),
        (lose_the_record, "was not finished"),
        (write_half_the_record, "checkpoint.json is damaged"),
    ],
)
def test_damaged_checkpoints_are_passed_over(tmp_path, damage, what):
    directory = checkpoint_directory.CheckpointDirectory(tmp_path, max_to_keep=3)

    def write(folder):
        for name in ("a", "b"):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(bytes(range(100)))
        return {"steps": 1}

    for number in (1, 2):
        directory.write(number, write)
    damage(tmp_path / "step-00000002")
    with pytest.warns(RuntimeWarning, match=f"step-00000002 is passed over: .*{what}"):
        folder, record = directory.newest()
    assert (folder, record["steps"]) == (f"{tmp_path}/step-00000001", 1)
    # It is removed once there is another one.
    directory.write(1, write)
    assert "step-00000002" not in names(tmp_path)


def test_goes_on_from_the_one_before(tmp_path, uninterrupted):
    interrupt(tmp_path, 7)
    cut_short(tmp_path / "step-00000006")
    with pytest.warns(RuntimeWarning, match="step-00000006 is passed over"):
        model, _ = run(tmp_path)
    assert_same(state_of(model), uninterrupted[0])


def test_no_whole_checkpoint(tmp_path, uninterrupted):
    interrupt(tmp_path, 3)
    lose_the_record(tmp_path / "step-00000002")
    with pytest.warns(RuntimeWarning) as warned:
        model, _ = run(tmp_path)
    assert "training begins at the start" in str(warned[1].message)
    assert_same(state_of(model), uninterrupted[0])


def test_a_full_disk(tmp_path, uninterrupted, monkeypatch):
    write, left = training_checkpoint.backend.write_variables, [2]

    def write_half(path, groups):
        write(path, groups)
        left[0] -= 1
        if left[0] < 0:
            cut_short(tmp_path / os.path.basename(os.path.dirname(path)))
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_checkpoint.backend, "write_variables", write_half)
    with pytest.warns(RuntimeWarning, match=r"step 6 could not be written.*No space left.*goes on"):
        interrupt(tmp_path, 7)
    assert names(tmp_path) == ["step-00000002", "step-00000004"]
    monkeypatch.undo()
    model, _ = run(tmp_path)
    assert_same(state_of(model), uninterrupted[0])


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file" / "runs")


def terminate():
    signal.raise_signal(signal.SIGTERM)


def test_sigterm(tmp_path, uninterrupted, capfd):
    # What is left of a run that failed is not asked to end the process.
    interrupt(tmp_path, 1)
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, InterruptAfter(5, terminate), every_steps=99)
    assert ended.value.code == 128 + signal.SIGTERM
    message = capfd.readouterr().err
    assert f"training ends after step 5. It goes on from {tmp_path}/step-00000005" in message
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    model, _ = run(tmp_path)
    assert_same(state_of(model), uninterrupted[0])


def test_sigterm_outside_of_fit(tmp_path):
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        interrupt(tmp_path, 2)
        signal.raise_signal(signal.SIGTERM)
        assert came == [1]
        # What handled it before does so after the checkpoint, and the process ends anyway.
        with pytest.raises(SystemExit):
            run(tmp_path, InterruptAfter(1, terminate))
        assert came == [1, 1]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_model(tmp_path):
    interrupt(tmp_path, 3)
    other = keras.Sequential([keras.layers.Input([5]), keras.layers.Dense(3)])
    other.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"must be of the same model.*variables of the model"):
        run(tmp_path, model=other)
    record_file = tmp_path / "step-00000002/checkpoint.json"
    record = json.loads(record_file.read_text())
    record["variables"]["model"][0][0] = [5, 12]
    record_file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"Expected for .*kernel.*\[5, 11\].*\[5, 12\]"):
        run(tmp_path)


def test_weights_that_are_not_finite(tmp_path):
    model = make_model()

    def spoil():
        if not IS_TENSORFLOW:
            model.jax_state_sync()
        model.layers[0].kernel.assign(np.full((5, 11), np.nan))

    with pytest.raises(FloatingPointError, match=r"after step 4: .*kernel.*step-00000002"):
        run(tmp_path, InterruptAfter(3, spoil), model=model)
    assert names(tmp_path) == ["step-00000002"]


@pytest.mark.parametrize(
    "arguments", [{"every_steps": 0}, {"max_to_keep": 0}, {"every_steps": 1.5}]
)
def test_arguments(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}` must be a positive.*Received: {name}={value}"):
        TrainingCheckpoint("runs", **arguments)


def test_outside_of_fit(tmp_path):
    with pytest.raises(RuntimeError, match=r"works in `Model\.fit`"):
        TrainingCheckpoint(tmp_path).on_train_begin()
