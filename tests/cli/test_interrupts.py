"""Signals that arrive where Python drops what their handlers raise."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bigbird_tf.cli.interrupts import signal_handler
from tests.conftest import ROOT

SCRIPT = """
import gc, signal, sys, time
sys.argv[0] = "bigbird-tf"  # Without TensorFlow.
from bigbird_tf.cli.interrupts import signal_handler

signal.signal(signal.SIGINT, signal.default_int_handler)  # Shells may have it ignored.
number = int(sys.argv[1])
calls = []

def callback(phase, info):
    if not calls:
        calls.append(phase)
        signal.raise_signal(number)
        time.sleep(0.01)

class Asked:
    def __getattr__(self, name):
        signal.raise_signal(number)

class Finalized:
    def __del__(self):
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error

try:
    with signal_handler():
        if sys.argv[2] == "callback":
            gc.callbacks.append(callback)
            gc.collect()
        elif sys.argv[2] == "finalizer":
            Finalized()
        else:
            try:
                Asked().name
            except BaseException:
                pass  # As code in C does.
        print("dropped", flush=True)
        try:
            time.sleep(60)
        finally:
            time.sleep(0.5)  # Long enough for more of them to come.
            print("cleared", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [2, 15])
@pytest.mark.parametrize("where", ["callback", "attribute", "finalizer"])
def test_a_signal_whose_error_is_dropped(number, where):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(number), where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.stdout == "dropped\ncleared\n"
    assert run.returncode == 128 + number
    assert run.stderr == ""


def test_other_errors_there_are_reported():
    script = (
        "import gc, sys\n"
        "sys.argv[0] = 'bigbird-tf'\n"
        "from bigbird_tf.cli.interrupts import signal_handler\n"
        "with signal_handler():\n"
        "    gc.callbacks.append(lambda phase, info: 1 / 0)\n"
        "    gc.collect()\n"
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
        "sys.argv[0] = 'bigbird-tf'\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bigbird_tf.cli import commands\n"
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


def test_all_is_as_before_afterwards():
    script = (
        "import signal, sys\n"
        "sys.argv[0] = 'bigbird-tf'\n"
        "from bigbird_tf.cli.interrupts import signal_handler\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def state():\n"
        "    numbers = signal.SIGINT, signal.SIGTERM\n"
        "    return [*map(signal.getsignal, numbers), sys.unraisablehook]\n"
        "before = state()\n"
        "with signal_handler():\n"
        "    assert not set(before) & set(state())\n"
        "assert state() == before\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=30)


def test_what_code_in_c_prints_of_an_interruption(capsys):
    """Such as "SystemError: <built-in function __import__> returned a result with an exception"."""
    before = sys.excepthook

    def interrupted():
        with signal_handler():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            except SystemExit:
                sys.excepthook(SystemError, SystemError("with an exception set"), None)
                raise

    with pytest.raises(SystemExit):
        interrupted()
    assert sys.excepthook is before
    assert "SystemError" not in capsys.readouterr().err
    with signal_handler():
        sys.excepthook(ValueError, ValueError("one of our own"), None)
    assert "one of our own" in capsys.readouterr().err
