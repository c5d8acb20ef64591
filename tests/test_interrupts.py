"""Signals that arrive where Python drops what their handlers raise."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import gc, signal, sys, time
from bigbird_tf_cli.interrupts import heed_signals

signal.signal(signal.SIGINT, signal.default_int_handler)  # Shells may have it ignored.
heed_signals()
number = int(sys.argv[1])
calls = []

def callback(phase, info):
    if not calls:
        calls.append(phase)
        signal.raise_signal(number)
        time.sleep(0.01)

gc.callbacks.append(callback)
gc.collect()
print("dropped", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_within_a_callback_of_the_garbage_collector(number):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(number)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.stdout == "dropped\n"
    assert run.returncode == 128 + number
    assert run.stderr == ""


def test_other_errors_there_are_reported():
    script = (
        "import gc\n"
        "from bigbird_tf_cli.interrupts import heed_signals\n"
        "heed_signals()\n"
        "gc.callbacks.append(lambda phase, info: 1 / 0)\n"
        "gc.collect()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 0
    assert "ZeroDivisionError" in run.stderr


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_that_came_out_as_another_error(number):
    """As within TensorFlow, which asks tensors for attributes and takes any error for a no."""
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bigbird_tf_cli import commands\n"
        "def app(**_):\n"
        "    try:\n"
        "        signal.raise_signal(int(sys.argv.pop()))\n"
        "    except BaseException:\n"
        "        raise AttributeError('no attribute') from None\n"
        "commands.app = app\n"
        "commands.main()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(number)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 128 + number
    assert run.stdout == run.stderr == ""
