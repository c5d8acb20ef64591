"""Where a pretrained directory may be written, and what is in it."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from bigbird_tf.checkpoints.pretrained_directory import (
    check_output_directory,
    write_pretrained_directory,
)
from bigbird_tf.config import BigBirdConfig

TENSORS = {"a": np.arange(6, dtype="float32").reshape(2, 3)}


def test_new_and_empty_directories_may_be_written(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (tmp_path / "new", "new", "~/new", "empty", "new/within/new"):
        found = check_output_directory(given)
        assert found == tmp_path / str(given).removeprefix("~/")
        assert found.is_absolute()


@pytest.mark.parametrize("kind", ["file", "full", "link to nowhere"])
def test_others_may_not(tmp_path, kind):
    path = tmp_path / "out"
    if kind == "file":
        path.write_text("")
    elif kind == "full":
        (path / ".hidden").mkdir(parents=True)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match=r"a new or an empty directory.*Received: .*out'"):
        check_output_directory(path)
    with pytest.raises(FileExistsError):
        write_pretrained_directory(path, BigBirdConfig(), TENSORS, "BigBirdModel")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_contents(tmp_path):
    """The architecture takes the place of the config's; other fields of others stay."""
    config = BigBirdConfig(block_size=8, extra={"architectures": ["Other"], "torch_dtype": "x"})
    files = {"vocab.txt": b"[PAD]\r\n", "a.json": b"\xff"}
    write_pretrained_directory(tmp_path / "a/out", config, TENSORS, "BigBirdForMaskedLM", files)
    out = tmp_path / "a/out"
    names = {"config.json", "model.safetensors", "vocab.txt", "a.json"}
    assert {entry.name for entry in out.iterdir()} == names
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["out"]
    assert {name: (out / name).read_bytes() for name in files} == files
    stored = json.loads((out / "config.json").read_text())
    assert stored["architectures"] == ["BigBirdForMaskedLM"]
    assert (stored["torch_dtype"], stored["block_size"]) == ("x", 8)
    with safe_open(out / "model.safetensors", framework="numpy") as opened:
        # `transformers` refuses files that do not say which framework's layout they have.
        assert opened.metadata() == {"format": "pt"}
        np.testing.assert_array_equal(opened.get_tensor("a"), TENSORS["a"])
