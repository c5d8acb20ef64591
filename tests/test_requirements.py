"""What is said where TensorFlow is missing."""

import os
import subprocess
import sys

import pytest

from bigbird_tf.requirements import require_tensorflow, without_backend
from tests.conftest import ROOT

# As if it were not installed, and Keras' backend its default.
CODE = """
import sys
sys.modules["tensorflow"] = None
import bigbird_tf
"""


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow_text"])
def test_a_part_that_needs_tensorflow(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    message = f"Tokenizers need TensorFlow.*{name!r} is not installed: `pip install tensorflow"
    with pytest.raises(ImportError, match=message):
        require_tensorflow("Tokenizers")


def test_tensorflow_is_there():
    import tensorflow as tf

    assert require_tensorflow("Tokenizers") is tf


def test_a_module_that_is_not_tensorflow():
    error = ModuleNotFoundError("No module named 'h5py'", name="h5py")
    assert without_backend(error) is error


def test_the_backend_is_missing():
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    run = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Keras' backend is TensorFlow, which is not installed.")
    assert "KERAS_BACKEND=jax" in last
