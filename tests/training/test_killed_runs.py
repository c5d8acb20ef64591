"""Runs that are killed ten times end with the weights of one that is not."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_weights_are_those_of_an_uninterrupted_run(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "tests.training.killed_runs", tmp_path],
        cwd=ROOT,
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
        np.testing.assert_array_equal(found[name], values, err_msg=name)
