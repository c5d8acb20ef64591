"""Which Python the Makefile takes."""

import configparser
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FAILS = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"
TOO_OLD = "#!/bin/sh\nexit 1\n"  # what its check of the version ends in
RUNS = f'#!/bin/sh\nexec {sys.executable} "$@"\n'


@pytest.fixture
def make(tmp_path):
    """Runs make where nothing but the given Pythons is to be found."""
    program = shutil.which("make")

    def make(pythons, *arguments):
        for name, script in pythons.items():
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        return subprocess.run(
            [program, *arguments, f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.installed"],
            cwd=ROOT,
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return make


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        ({"python3.11": RUNS, "python3.12": RUNS}, "python3.11"),
        ({"python3.11": FAILS, "python3.12": RUNS}, "python3.12"),
        ({"python3.13": RUNS, "python3": TOO_OLD}, "python3.13"),
        ({"python3.11": FAILS, "python3": RUNS}, "python3"),
    ],
)
def test_the_first_that_runs(make, tmp_path, pythons, expected):
    done = make(pythons, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"\n{expected} -m venv {tmp_path}/venv\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [([], "tensorflow-2-20"), (["TENSORFLOW=2.21"], "tensorflow-2-21")],
)
def test_which_tensorflow(make, arguments, extra):
    done = make({"python3": RUNS}, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"pip install [^']*'\.\[test,examples,{extra}\]'", done.stdout)
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    needed = settings["options.extras_require"][extra].split()
    version = extra.removeprefix("tensorflow-").replace("-", ".")
    assert needed == [f"tensorflow=={version}.*", f"tensorflow-text=={version}.1"]


def test_pip_finds_all_extras():
    """pip passes over an extra, with a warning, whose name has a dot: it asks for a dash."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    names = list(settings["options.extras_require"])
    assert names
    assert names == [re.sub(r"[-_.]+", "-", name).lower() for name in names]


def test_none_that_runs(make, tmp_path):
    done = make({"python3.11": FAILS, "python3": TOO_OLD})
    assert done.returncode == 2
    assert "No Python 3.11, 3.12 or 3.13" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_one_that_is_asked_for(make):
    done = make({"python3.11": RUNS}, "--dry-run", "PYTHON=/opt/python3")
    assert "\n/opt/python3 -m venv " in done.stdout
