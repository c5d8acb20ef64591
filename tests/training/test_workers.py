"""`MultiWorkerMirroredStrategy`: the loop of docs/scaling.md, in one process and in two."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.test_docs import PREPARE, SNIPPET

pytestmark = pytest.mark.slow


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def losses(processes: list[subprocess.Popen]) -> list[list[float]]:
    """Returns the losses that each process prints."""
    outputs = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=500)
            assert process.returncode == 0, err[-3000:]
            outputs.append(out)
    finally:
        for process in processes:
            process.kill()
    return [[float(x) for x in re.findall(r"^loss (\S+)$", out, re.M)] for out in outputs]


def test_two_processes_are_one(tmp_path):
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    [loop] = [code for _, code in SNIPPET.findall(page) if code.startswith("# workers")]
    (tmp_path / "loop.py").write_text(loop)
    prepare = PREPARE.format(names=["google/bigbird-roberta-base"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    options = {"cwd": tmp_path, "text": True, "stdout": -1, "stderr": -1}
    subprocess.run([sys.executable, "-c", prepare], check=True, env=environment, cwd=tmp_path)

    def start(**more):
        command = [sys.executable, "loop.py"]
        return subprocess.Popen(command, env={**environment, **more}, **options)

    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(2)]
    first, second = losses([start(TF_CONFIG=json.dumps(task)) for task in tasks])
    [alone] = losses([start()])
    assert len(alone) == 3
    assert abs(alone[0] - alone[1]) > 1e-5  # It has learnt something.
    assert first == pytest.approx(alone, abs=1e-5)
    assert second == first
