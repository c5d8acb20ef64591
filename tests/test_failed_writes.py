"""Writes that fail in the middle leave what was there before, and nothing else."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from bigbird_tf.checkpoints.pretrained_directory import write_pretrained_directory
from bigbird_tf.checkpoints.sentence_transformers_format import save_options
from bigbird_tf.checkpoints.tensor_files import write_tensors
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import BigBirdForSentenceEmbedding
from bigbird_tf.preprocessing import (
    BigBirdTokenizer,
    DnaTokenizer,
    FastTokenizer,
    WordPieceTokenizer,
)
from tests.contract import tiny_config
from tests.preprocessing.conftest import train_vocabulary

TOKENIZERS = {
    "SentencePiece": lambda: BigBirdTokenizer(train_vocabulary()),
    "DNA": lambda: DnaTokenizer(k=3),
    "WordPiece": lambda: WordPieceTokenizer(WORD_PIECES),
    "tokenizers": lambda: FastTokenizer(json.dumps(FAST_JSON).encode()),
}
WORD_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "bird"]
FAST_JSON = {
    "version": "1.0",
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "WordLevel",
        "vocab": {piece: index for index, piece in enumerate(WORD_PIECES)},
        "unk_token": "[UNK]",
    },
}
TENSORS = {"a": np.arange(7, dtype="float32")}


def contents(folder):
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def write_half_of_a_text(monkeypatch, *, after=0):
    """Lets files of Python break off in the middle, all but the first ones."""
    count = itertools.count()

    def writing_half(write):
        def write_half(path, content, **options):
            if next(count) < after:
                return write(path, content, **options)
            write(path, content[: len(content) // 2], **options)
            raise OSError(28, "No space left on device")

        return write_half

    for name in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, writing_half(getattr(Path, name)))


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


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokenizers(tmp_path, monkeypatch, kind):
    """Whichever of their files it is."""
    if kind == "tokenizers":
        pytest.importorskip("tokenizers")
    tokenizer = TOKENIZERS[kind]()
    tokenizer.save_pretrained(tmp_path)
    for name in contents(tmp_path):
        (tmp_path / name).write_text(f"the old {name}")
    before = contents(tmp_path)
    assert len(before) > 1
    for after in range(len(before)):
        with monkeypatch.context() as patch:
            write_half_of_a_text(patch, after=after)
            with pytest.raises(OSError, match="No space left"):
                tokenizer.save_pretrained(tmp_path)
        # The first files are new, and all others as they were.
        found = contents(tmp_path)
        assert found.keys() == before.keys()
        assert sum(found[name] != before[name] for name in before) == after
    tokenizer.save_pretrained(tmp_path)
    assert not set(contents(tmp_path).values()) & set(before.values())


def test_vocabulary_alone(tmp_path, monkeypatch):
    tokenizer = TOKENIZERS["SentencePiece"]()
    file = tokenizer.save_vocabulary(tmp_path)
    file.write_text("the old one")
    write_half_of_a_text(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        tokenizer.save_vocabulary(tmp_path)
    assert contents(tmp_path) == {"spiece.model": b"the old one"}


def test_sentence_transformers_files(tmp_path, monkeypatch):
    model = BigBirdForSentenceEmbedding(tiny_config(num_hidden_layers=0))
    save_options(model, tmp_path)
    (tmp_path / "modules.json").write_text("the old one")
    before = contents(tmp_path / "1_Pooling") | {"modules.json": b"the old one"}
    write_half_of_a_text(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        save_options(model, tmp_path)
    assert (tmp_path / "modules.json").read_text() == "the old one"
    assert not list(tmp_path.rglob("*.partial"))
    assert contents(tmp_path / "1_Pooling").items() <= before.items()


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
