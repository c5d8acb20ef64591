"""`bigbird-tf prepare`: what it hands on, and what it says."""

import json

import pytest

from bigbird_tf import preprocessing
from bigbird_tf.preprocessing import BigBirdTokenizer, Preparation, Tokenizer
from tests.preprocessing.conftest import train_vocabulary

NOTHING_MORE = {
    "length": 4096,
    "packing": "joined",
    "documents": "file",
    "field": "text",
    "shard_mebibytes": 64,
    "processes": 1,
    "part": (0, 1),
}


def test_all_options(run, notes, monkeypatch):
    monkeypatch.setattr(Tokenizer, "from_pretrained", lambda name: f"tokenizer of {name}")
    told = tuple(f"[bold]{number}.txt: no UTF-8" for number in range(12))
    prepared = Preparation(3, 20, 2, 12, 40, 5000, told)
    prepare = notes(preprocessing, "prepare_records", prepared)
    outcome = run(
        "prepare", "a/model", "out", "a/*.txt", "b.jsonl", "--length", 64, "--packing", "sentences",
        "--documents", "line", "--field", "body", "--shard-mebibytes", 7, "--processes", 5,
        "--part", "2/3",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    arguments, options = prepare.call
    assert arguments == (["a/*.txt", "b.jsonl"], "out", "tokenizer of a/model")
    assert callable(options.pop("progress"))
    assert options == {
        "length": 64,
        "packing": "sentences",
        "documents": "line",
        "field": "body",
        "shard_mebibytes": 7,
        "processes": 5,
        "part": (2, 3),
    }
    assert "5,000 tokens of 20 documents, in 40 records of 3 files" in outcome.err
    assert "without text: 2" in outcome.err
    assert "broken, left out: 12" in outcome.err
    assert told[9] in outcome.err
    assert told[10] not in outcome.err
    assert "written: out" in outcome.err


def test_defaults(run, notes, monkeypatch):
    monkeypatch.setattr(Tokenizer, "from_pretrained", lambda name: "tokenizer")
    prepare = notes(preprocessing, "prepare_records", Preparation())
    outcome = run("prepare", "a/model", "out", "a.txt")
    assert outcome.code == 0, outcome.err
    _, options = prepare.call
    assert {name: value for name, value in options.items() if name != "progress"} == NOTHING_MORE
    assert "broken" not in outcome.err


@pytest.mark.parametrize("part", ["2", "1/2/3", "a/b"])
def test_a_part_that_is_none(run, part):
    outcome = run("prepare", "a/model", "out", "a.txt", "--part", part)
    assert outcome.code == 2
    assert f"Invalid value for '--part': '{part}' is not like 0/8." in outcome.err


def test_in_earnest(run, tmp_path):
    BigBirdTokenizer(train_vocabulary()).save_pretrained(tmp_path / "model")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "stone house"}) + "\n{\n")
    arguments = ("prepare", tmp_path / "model", tmp_path / "out", tmp_path / "a.jsonl")
    for _ in range(2):
        outcome = run(*arguments)
        assert outcome.code == 0, outcome.err
        assert "in 1 records of 1 files" in outcome.err
        assert "broken, left out: 1" in outcome.err
    outcome = run(*arguments, "--length", 64)
    assert outcome.code == 1
    assert "with another value of length" in outcome.err
