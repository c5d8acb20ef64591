"""What all tests share: seeds, settings of property tests, a process that loads what we save."""

import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

# Before TensorFlow is imported, here and in processes that tests start. They compile much and
# compute little, two at a time: threads of tiny operations and optimized machine code cost a third
# of the time and gain nothing.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import keras

from tests.backends import IS_TENSORFLOW, calls_tensorflow, compile_fast

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# Machines differ in speed, so no deadlines; and a failure must come again, so no fresh randomness.
hypothesis.settings.register_profile(
    "bigbird", deadline=None, derandomize=True, max_examples=20, print_blob=True
)
hypothesis.settings.load_profile("bigbird")


compile_fast()
if not IS_TENSORFLOW:
    import jax

    # Many functions are the same: compiled once, for all processes of a run.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        _CACHE = tempfile.TemporaryDirectory(prefix="jax_cache_")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_configure(config):
    # JAX 0.10 does not write the files of its cache whole: a process may see half of what another
    # one writes. Then it compiles for itself.
    config.addinivalue_line(
        "filterwarnings", "ignore:Error reading persistent compilation cache entry"
    )


def pytest_collection_modifyitems(items):
    """Leaves out, on JAX, tests that call TensorFlow themselves: its graphs, tapes, SavedModels."""
    for item in items if not IS_TENSORFLOW else ():
        if calls_tensorflow(item.function):
            item.add_marker(pytest.mark.skip(reason="TensorFlow's own: the test calls it itself"))


def pytest_collection_finish():
    # Libraries and graphs are millions of objects. Python would look through them again and again,
    # for seconds, also where Keras asks it to (when it quantizes a layer).
    gc.set_threshold(1_000_000, 20, 100)
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(1987)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all processes of this run share; make what is in it under a `FileLock`."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def google_fixtures() -> Path:
    """The folder with outputs of Google's code, which lies beside the repository in CI."""
    folder = SHARED / "fixtures/google"
    if not folder.is_dir():
        pytest.skip(f"needs the outputs of Google's code at {folder}")
    return folder


def answer_of(module: str, request: dict | None = None, **environment: str) -> dict:
    """Runs a module of the tests in a process of its own.

    Args:
        module: Its name. It reads JSON from its input, and prints JSON in its last line.
        request: What it reads.
        **environment: Variables besides those of this process.
    """
    run = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])


class LoaderProcess:
    """Another Python process that loads models and runs them.

    It serves all tests of a session, since importing TensorFlow takes seconds; it knows nothing of
    the process that saved.
    """

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.loader_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, **request) -> dict:
        """Loads a model and runs it; see `tests.loader_process`."""
        self.process.stdin.write(json.dumps(request, default=str) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process that loads ended with {self.process.wait()}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer


@pytest.fixture(scope="session")
def loader_process():
    loader = LoaderProcess()
    yield loader
    loader.process.stdin.close()
    loader.process.wait(timeout=60)
    loader.process.stdout.close()
