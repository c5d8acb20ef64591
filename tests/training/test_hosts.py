"""JAX in several processes, as on several hosts, over the loopback: as in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.test_workers import free_ports

pytestmark = pytest.mark.jax


def start(folder: Path, processes: int, number: int, address: str, *end: str) -> subprocess.Popen:
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
        [sys.executable, "-m", "tests.training.host_process", str(folder), *end],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *ends: tuple[str, ...]) -> list[tuple[int, list[str], str]]:
    """Runs a process for each end; returns their statuses, and what they print."""
    [port] = free_ports(1)
    processes = [
        start(folder, len(ends), number, f"127.0.0.1:{port}", *end)
        for number, end in enumerate(ends)
    ]
    found = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=500)
            found.append((process.returncode, out.splitlines(), err))
    finally:
        for process in processes:
            process.kill()
    return found


def losses(lines: list[str]) -> dict[str, float]:
    """Returns the loss of each epoch that ended."""
    return {line.split()[1]: float(line.split()[2]) for line in lines if line.startswith("epoch")}


def test_two_processes_are_one_also_where_they_are_ended(tmp_path):
    [(status, lines, err)] = run(tmp_path / "one", ())
    assert status == 0, err[-3000:]
    alone, expected = json.loads(lines[-1]), losses(lines)
    assert [alone["devices"], alone["of this process"]] == [4, 4]
    assert expected["0"] - expected["2"] > 1e-3 * expected["0"]  # It has learnt something.

    # The second is told to end, in the first epoch: both do, after the same step.
    told = run(tmp_path / "two", (), ("SIGTERM", "1"))
    assert [status for status, *_ in told] == [143, 143], told
    assert "SIGTERM: training ends after step" in told[0][2]
    assert "training ends" not in told[1][2]  # once is enough
    # Both are killed five steps later, after one or two that they have written.
    killed = run(tmp_path / "two", ("SIGKILL", "5"), ("SIGKILL", "5"))
    assert [status for status, *_ in killed] == [-9, -9], killed
    assert "Training goes on from" in killed[0][2]
    last = run(tmp_path / "two", (), ())
    assert [status for status, *_ in last] == [0, 0], last
    assert "Training goes on from" in last[0][2]
    found = {**losses(told[0][1]), **losses(killed[0][1]), **losses(last[0][1])}
    assert found == pytest.approx(expected, abs=1e-5)
    first, second = (json.loads(lines[-1]) for _, lines, _ in last)
    assert [first["devices"], first["of this process"]] == [4, 2]
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-6)
    assert second["weights"] == first["weights"]
