"""A disk that has no room left: what was there stays, what was begun goes, and a message tells."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird_tf import models
from bigbird_tf.preprocessing import BigBirdTokenizer
from tests.preprocessing.conftest import train_vocabulary
from tests.serving.conftest import small_config

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KIB = 1024


def run_with_room(room: int, command) -> subprocess.CompletedProcess:
    """Runs Python where files may be so long and no longer, as if the disk were full then."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )


@pytest.fixture
def pretrained(tmp_path) -> Path:
    folder = tmp_path / "model"
    models.BigBirdForTokenClassification(
        small_config(vocab_size=1007, hidden_size=128)
    ).save_pretrained(folder)
    BigBirdTokenizer(train_vocabulary()).save_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_size > 600 * KIB
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


# What Python writes does not fit, or that does and the weights, which TensorFlow writes, do not.
@pytest.mark.parametrize("room", [64 * KIB, 512 * KIB])
def test_export(pretrained, tmp_path, room):
    versions = tmp_path / "versions"
    (versions / "1").mkdir(parents=True)
    (versions / "1/saved_model.pb").write_bytes(b"the version before")
    before = contents(versions)
    run = run_with_room(room, ["-m", "bigbird_tf.cli", "export", pretrained, versions])
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert "could not be written" in run.stderr
    assert "versions" in run.stderr
    assert contents(versions) == before
    assert [entry.name for entry in versions.iterdir()] == ["1"]


def test_save_pretrained_over_an_older_model(pretrained):
    before = contents(pretrained)
    script = (
        "import sys\n"
        "import bigbird_tf as bb\n"
        "model = bb.BigBirdForTokenClassification.from_pretrained(sys.argv[1])\n"
        "model.set_weights([weight + 1 for weight in model.get_weights()])\n"
        "try:\n"
        "    model.save_pretrained(sys.argv[1])\n"
        "except OSError as error:\n"
        "    sys.exit(f'refused: {error}')\n"
    )
    run = run_with_room(64 * KIB, ["-c", script, pretrained])
    assert run.returncode == 1, run.stderr
    assert "refused: " in run.stderr
    assert "model.safetensors" in run.stderr
    assert contents(pretrained) == before
