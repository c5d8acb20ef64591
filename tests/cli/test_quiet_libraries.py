"""What libraries log does not reach the terminal; all else does, from wherever it comes."""

import os
import subprocess
import sys

import pytest

from bigbird_tf.cli.log_filter import copy_without_logs, is_log
from tests.conftest import ROOT

LOGS = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795658114.784294   13997 cudart_stub.cc:31] Could not find cuda drivers on your",
    "E0000 00:00:1795658114.784294   13997 cuda_dnn.cc:8310] Unable to register cuDNN factory",
    "2026-03-04 05:06:07.891011: I tensorflow/core/util/port.cc:153] oneDNN is on",
    "normalizer.cc(51) LOG(INFO) precompiled_charsmap is empty. use identity normalization.",
]
MESSAGES = [
    "F0000 00:00:1795658114.784294   13997 cpu_feature_guard.cc:11] built for AVX",
    "trainer_interface.cc(339) LOG(ERROR) no sentences",
    "Error: No directory 'I0000'",
    "Traceback (most recent call last):",
    "",
    "2026-03-04: done",
]


@pytest.mark.parametrize("line", LOGS)
def test_logs(line):
    assert is_log(line.encode())


@pytest.mark.parametrize("line", MESSAGES)
def test_messages(line):
    assert not is_log(line.encode())


def test_lines_that_come_in_pieces():
    text = "\n".join([MESSAGES[2], *LOGS, MESSAGES[3], "\rhalf", LOGS[0]]).encode()
    read, write = os.pipe()
    copied = copy_without_logs(read)
    seen = b""
    for start in range(0, len(text), 7):
        os.write(write, text[start : start + 7])
        seen += next(copied)
    os.close(write)
    seen += b"".join(copied)
    os.close(read)
    assert seen.decode() == "\n".join([MESSAGES[2], MESSAGES[3], "\rhalf\n"])


# Stands for TensorFlow, which logs while it is imported, and may end the process.
SCRIPT = """
import os, subprocess, sys
sys.argv[0] = "bigbird-tf"
CHILD = r"import os; os.write(2, b'I0000 00:00:1.2 3 a.cc:4] log\\n')"
from bigbird_tf.cli import commands

@commands.app.command()
def noisy(end: str = "return"):
    for line in {logs}:
        os.write(2, line.encode() + b"\\n")
    print("of Python", file=sys.stderr)
    subprocess.run([sys.executable, "-c", CHILD])
    os.write(2, b"of C\\n")
    if end == "abort":
        os.abort()
    if end == "error":
        raise ValueError("mistake")

sys.argv = ["bigbird-tf", "noisy", *sys.argv[1:]]
commands.main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "messages"),
    [
        ([], 0, ["of C", "of Python"]),
        (["--end", "error"], 1, ["--verbose shows", "Error: mistake", "of C", "of Python"]),
        # The last words of a process that TensorFlow ends.
        (["--end", "abort"], -6, ["of C", "of Python"]),
        (["--verbose"], 0, [*LOGS, "of C", "of Python"]),
    ],
)
def test_command(arguments, code, messages):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(logs=LOGS), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == code, run.stderr
    lines = sorted(line for line in run.stderr.splitlines() if line)
    if "--verbose" in arguments:
        assert set(messages) <= set(lines)
    else:
        assert len(lines) == len(messages)
        for line, message in zip(lines, sorted(messages), strict=True):
            assert line.startswith(message)
