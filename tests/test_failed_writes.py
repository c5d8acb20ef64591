"""Writes that fail in the middle leave what was there before, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from bigbird_tf.checkpoints.pretrained_directory import write_pretrained_directory
from bigbird_tf.checkpoints.tensor_files import write_tensors
from bigbird_tf.config import BigBirdConfig

TENSORS = {"a": np.arange(7, dtype="float32")}


def contents(folder):
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def write_half_of_a_text(monkeypatch):
    write_text = Path.write_text

    def write_half(path, text, **options):
        write_text(path, text[: len(text) // 2], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_half)


def write_half_of_the_tensors(monkeypatch, error):
    def write_half(tensors, file, **options):
        Path(file).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(safetensors.numpy, "save_file", write_half)


def test_config(tmp_path, monkeypatch):
    BigBirdConfig(vocab_size=101).save_pretrained(tmp_path)
    before = contents(tmp_path)
    write_half_of_a_text(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        BigBirdConfig(vocab_size=103).save_pretrained(tmp_path)
    assert contents(tmp_path) == before
    assert BigBirdConfig.from_pretrained(tmp_path).vocab_size == 101


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (safetensors.SafetensorError("No space left on device"), OSError),
        (OSError(28, "No space left on device"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_tensors(tmp_path, monkeypatch, error, seen):
    file = tmp_path / "model.safetensors"
    write_tensors(TENSORS, file)
    before = contents(tmp_path)
    write_half_of_the_tensors(monkeypatch, error)
    with pytest.raises(seen, match=None if seen is KeyboardInterrupt else "No space left"):
        write_tensors({"a": np.zeros(7, "float32")}, file)
    assert contents(tmp_path) == before


def test_tensors_that_cannot_take_the_place_of_the_old_ones(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    write_tensors(TENSORS, file)
    before = contents(tmp_path)

    def refuse(source, target):
        raise PermissionError(13, "in use", str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="in use"):
        write_tensors({"a": np.zeros(7, "float32")}, file)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("half", ["tensors", "config"])
def test_converted_directory(tmp_path, monkeypatch, half):
    """A conversion leaves nothing that looks finished, not even the folder."""
    if half == "config":
        write_half_of_a_text(monkeypatch)
    else:
        write_half_of_the_tensors(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        write_pretrained_directory(tmp_path / "out", BigBirdConfig(), TENSORS, "BigBirdModel")
    assert list(tmp_path.iterdir()) == []
