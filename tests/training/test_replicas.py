"""Several replicas train as one device does: `bigbird_tf.training`, on logical CPUs."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from filelock import FileLock

from tests.conftest import ROOT
from tests.training.replica_cases import CASES

pytestmark = pytest.mark.slow

# With four replicas: what depends on their number.
OF_FOUR = ("uneven_classification", "custom_loop", "losses", "dropout")
NAMES = {2: tuple(CASES), 4: OF_FOUR}
TRAINED = [name for name in CASES if name not in ("losses", "dropout")]


@pytest.fixture(scope="session")
def outcome(shared_folder):
    """Returns a function: of the number of replicas and the case's name, what came out."""

    @functools.cache
    def outcomes(replicas):
        path = shared_folder / f"outcomes_of_{replicas}_replicas.npz"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                module = [sys.executable, "-m", "tests.training.replica_cases"]
                run = subprocess.run(
                    [*module, str(replicas), path, *NAMES[replicas]],
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                )
                assert run.returncode == 0, run.stderr[-3000:]
        with np.load(path) as file:
            return dict(file)

    @functools.cache
    def of(replicas, name):
        if replicas == 1:
            found = CASES[name](tf.distribute.get_strategy())
            return {key: np.asarray(value) for key, value in found.items()}
        start = f"{name}: "
        found = {
            key.removeprefix(start): value
            for key, value in outcomes(replicas).items()
            if key.startswith(start)
        }
        assert "error" not in found, found["error"]
        return found

    return of


@pytest.mark.parametrize(
    ("replicas", "name"),
    [(replicas, name) for replicas in NAMES for name in NAMES[replicas] if name in TRAINED],
)
def test_trains_as_one_device(outcome, replicas, name):
    expected, found = outcome(1, name), outcome(replicas, name)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if "bfloat16" in name and "accuracy" in key:
            continue  # a single token counts 9e-3
        is_float16 = key in ("scaled", "if_finite")
        tolerance = 3e-3 if "bfloat16" in name else 1e-4 if is_float16 else 1e-6
        largest = max(1.0, np.abs(value.astype(float)).max())
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance * largest, err_msg=key)


@pytest.mark.parametrize("replicas", NAMES)
def test_losses_of_the_global_batch(outcome, replicas):
    expected, found = outcome(1, "losses"), outcome(replicas, "losses")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key.endswith("gradient"):
            assert np.abs(value).max() > 0
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-6, err_msg=key)
        else:
            # Keras' trainer multiplies by the number of replicas.
            assert found[key].shape == (replicas,)
            np.testing.assert_allclose(found[key] * replicas, value[0], rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("replicas", NAMES)
class TestDropout:
    def test_replicas_drop_different_entries(self, outcome, replicas):
        found = outcome(replicas, "dropout")
        masks = np.concatenate([found[name] for name in ("first", "second", "compiled")]) > 0
        assert masks.shape == (3 * replicas, 1, 100)
        agreement = np.mean(masks[:, None] == masks, axis=(2, 3))
        others = agreement[~np.eye(len(masks), dtype=bool)]
        assert 0.25 < others.min() <= others.max() < 0.75

    def test_the_first_replica_is_the_single_device(self, outcome, replicas):
        expected, found = outcome(1, "dropout"), outcome(replicas, "dropout")
        for key, value in expected.items():
            np.testing.assert_allclose(found[key][0], value[0], rtol=0, atol=1e-5, err_msg=key)

    def test_rematerialization_drops_the_same_again(self, outcome, replicas):
        found = outcome(replicas, "dropout")
        for what in ("", " gradient"):
            kept, again = found[f"kept{what}"], found[f"rematerialized{what}"]
            largest = np.abs(kept).max()
            np.testing.assert_allclose(again, kept, rtol=0, atol=1e-5 * largest)
            assert np.abs(kept[1] - kept[0]).max() > 1e-2 * largest
