"""Runs that are killed ten times end with the weights of one that is not."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("backend", "tolerance"),
    [
        pytest.param("tensorflow", 0, marks=pytest.mark.slow),
        pytest.param("jax", 1e-6, marks=pytest.mark.jax),
    ],
)
def test_weights_are_those_of_an_uninterrupted_run(tmp_path, backend, tolerance):
    run = subprocess.run(
        [sys.executable, "-m", "tests.training.killed_runs", tmp_path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    outcome = json.loads(run.stdout.splitlines()[-1])
    first, *killed, last = outcome["statuses"]
    assert first == last == 0, run.stderr[-3000:]
    expected = [143 if action == "terminate" else -9 for action in outcome["actions"]]
    assert len(killed) == 10
    assert killed == expected
    with np.load(tmp_path / "uninterrupted.npz") as file:
        expected = dict(file)
    with np.load(tmp_path / "killed.npz") as file:
        found = dict(file)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance, err_msg=name)
