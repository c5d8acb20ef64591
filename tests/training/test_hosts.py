"""JAX in several processes, as on several hosts, over the loopback: as in one process."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.training.test_workers import free_ports

pytestmark = pytest.mark.jax


def start(processes: int, number: int = 0, address: str = "") -> subprocess.Popen:
    """Starts one of the processes, which have four devices together."""
    variables = {
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={4 // processes}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(processes),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.host_process"],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(processes: list[subprocess.Popen]) -> list[dict]:
    """Returns what each process says."""
    found = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=500)
            assert process.returncode == 0, err[-3000:]
            found.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in processes:
            process.kill()
    return found


def test_two_processes_are_one():
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    first, second = answers([start(2, number, address) for number in range(2)])
    [alone] = answers([start(1)])
    assert [first["devices"], first["of this process"]] == [4, 2]
    assert [alone["devices"], alone["of this process"]] == [4, 4]
    losses = alone["losses"]
    assert losses[0] - losses[2] > 1e-3 * losses[0]  # It has learnt something.
    assert first["losses"] == pytest.approx(losses, abs=1e-5)
    assert second["losses"] == first["losses"]
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-6)
    assert second["weights"] == first["weights"]
