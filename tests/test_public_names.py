"""What `import bigbird_tf` gives, and that only the command is without it at first."""

import subprocess
import sys

import pytest

import bigbird_tf
from tests.conftest import ROOT

# As the command begins.
COMMAND = """
import sys
sys.argv = ["/usr/bin/bigbird-tf", "info"]
import bigbird_tf
assert "keras" not in sys.modules
assert not {*bigbird_tf.__all__} - {*dir(bigbird_tf)}
"""
NAMES = """
from bigbird_tf import *
for name in bigbird_tf.__all__:
    assert globals()[name] is getattr(bigbird_tf, name), name
print(BigBirdTokenizer.__name__, checkpoints.__name__)
"""


def test_all_is_there():
    # Not by `getattr`, which imports what is not there yet.
    assert not {*bigbird_tf.__all__} - {*vars(bigbird_tf)}


def test_other_names():
    with pytest.raises(AttributeError, match="module 'bigbird_tf' has no attribute 'BigBrid'"):
        bigbird_tf.BigBrid  # noqa: B018


def test_is_not_there_in_the_command():
    subprocess.run([sys.executable, "-c", COMMAND], check=True, cwd=ROOT)


@pytest.mark.slow
def test_comes_in_the_command_when_it_is_asked_for():
    run = subprocess.run(
        [sys.executable, "-c", COMMAND + NAMES],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "BigBirdTokenizer bigbird_tf.checkpoints\n"
