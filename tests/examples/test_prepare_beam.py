"""`examples.train.prepare_beam`, by Beam's direct runner; needs the extra `beam`."""

import subprocess
import sys

import pytest

import bigbird_tf as bb
from bigbird_tf.preprocessing import prepare_records
from tests.conftest import ROOT
from tests.preprocessing.conftest import WORDS, train_vocabulary


@pytest.mark.beam
def test_records_are_those_of_prepare_records(tmp_path):
    tokenizer = bb.BigBirdTokenizer(train_vocabulary())
    tokenizer.save_pretrained(tmp_path / "model")
    for number in range(5):
        text = " ".join((WORDS[number:] * 9000)[: 40_000 * (number + 1)])
        (tmp_path / f"{number}.txt").write_text(text)
    files = f"{tmp_path}/*.txt"
    expected = prepare_records(
        files, tmp_path / "one", tokenizer, length=96, packing="sentences", shard_mebibytes=1
    )
    assert expected.shards > 2
    program = [sys.executable, "-m", "examples.train.prepare_beam"]
    options = ("--length", "96", "--packing", "sentences", "--shard-mebibytes", "1", "--parts", "3")
    run = subprocess.run(
        [*program, tmp_path / "model", tmp_path / "beam", files, *options, "--runner=DirectRunner"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines()[-1] == str(expected)
    found, wanted = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.is_file()}
        for name in ("beam", "one")
    )
    assert found == wanted
