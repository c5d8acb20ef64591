import importlib
import json
import shutil
from pathlib import Path

import pytest

from bigbird_tf.preprocessing import BigBirdTokenizer, Preparation, prepare_records
from bigbird_tf.preprocessing.token_records import shard_writer
from tests.preprocessing.conftest import WORDS
from tests.preprocessing.token_records.conftest import documents, rows

# Its function has the same name.
module = importlib.import_module("bigbird_tf.preprocessing.token_records.prepare_records")


def contents(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def ids_of_documents(tokenizer) -> list[int]:
    return [int(i) for text in documents() for i in tokenizer.tokenize(text).numpy()]


def test_joined(records, tokenizer):
    found = rows(records)
    inner = [i for row in found for i in row[1:-1]]
    assert [i for i in inner if i != tokenizer.sep_token_id] == ids_of_documents(tokenizer)
    # Between documents, but where one fills its record.
    separators = inner.count(tokenizer.sep_token_id)
    assert len(documents()) - 4 < separators < len(documents())
    assert {row[0] for row in found} == {tokenizer.cls_token_id}
    assert {row[-1] for row in found} == {tokenizer.sep_token_id}
    assert {len(row) for row in found[:-1]} == {32}
    assert BigBirdTokenizer.from_pretrained(records / "tokenizer").vocab_size == (
        tokenizer.vocab_size
    )


def test_sentences(tmp_path, tokenizer):
    # Sentences begin with a piece of their own, so what they are made of is the text's pieces.
    texts = [" ".join(f"{' '.join(WORDS[i : i + j])}." for j in range(2, 9)) for i in range(5)]
    texts[2] = " ".join(WORDS[:20] * 3)
    (tmp_path / "texts").write_text("\n".join(texts))
    prepared = prepare_records(
        f"{tmp_path}/texts",
        tmp_path / "out",
        tokenizer,
        length=32,
        packing="sentences",
        documents="line",
    )
    found = rows(tmp_path / "out")
    assert prepared == Preparation(1, len(texts), 0, 0, len(found), sum(map(len, found)), ())
    parts = [tokenizer.tokenize(text).numpy().tolist() for text in texts]
    assert [i for row in found for i in row[1:-1]] == [i for part in parts for i in part]
    ends = [tokenizer.id_to_token(row[-2]).endswith(".") for row in found]
    # But where a sentence is longer than a record.
    cut = -(-len(parts[2]) // 30)
    assert cut > 1
    assert ends.count(False) == cut
    assert len(found) > len(texts) + cut


def test_pieces_of_long_texts(tmp_path, monkeypatch, records, texts, tokenizer):
    """Cut at spaces for the tokenizer's sake, and a few documents at a time: the same ids."""
    monkeypatch.setattr(shard_writer, "STRETCH", 31)
    monkeypatch.setattr(shard_writer, "BATCH", 100)
    prepare_records(f"{texts}/*.txt", tmp_path / "out", tokenizer, length=32)
    assert rows(tmp_path / "out") == rows(records)
    assert "".join(shard_writer._cut("x" * 100)) == "x" * 100


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """JSON lines, some broken, that go into several shards."""
    monkeypatch.setattr(module, "MEBI", 3000)
    path = tmp_path / "texts.jsonl"
    entries = [json.dumps({"text": text}) for text in documents()]
    entries[3:3] = ["{", '{"text": " "}', "[]"]
    path.write_text("\n".join(entries))
    return str(path)


def prepare(lines, directory, tokenizer, **options):
    return prepare_records(lines, directory, tokenizer, length=24, shard_mebibytes=1, **options)


def test_broken_lines_are_counted_and_told(lines, tmp_path, tokenizer):
    prepared = prepare(lines, tmp_path / "out", tokenizer)
    assert prepared.shards > 3
    assert (prepared.documents, prepared.empty, prepared.broken) == (len(documents()), 1, 2)
    first, second = prepared.told
    assert first.startswith(f"{lines}, byte ")
    assert "no JSON" in first
    assert "no text in the field 'text'" in second
    found = rows(tmp_path / "out")
    assert (prepared.sequences, prepared.tokens) == (len(found), sum(map(len, found)))


def test_goes_on_where_it_was_interrupted(lines, tmp_path, monkeypatch, tokenizer):
    whole = prepare(lines, tmp_path / "whole", tokenizer)
    write, written = shard_writer.ShardWriter.write, []

    def interrupted(self, pieces, path):
        written.append(path)
        if len(written) == 3:
            Path(f"{path}.tfrecord.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        return write(self, pieces, path)

    monkeypatch.setattr(shard_writer.ShardWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(lines, tmp_path / "part", tokenizer)
    calls = []
    again = prepare(
        lines, tmp_path / "part", tokenizer, progress=lambda *call: calls.append(call[:2])
    )
    assert again == whole
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    # The two that were there are not written again.
    assert len(written) == whole.shards + 1
    assert calls == [(whole.shards, done) for done in range(2, whole.shards + 1)]
    assert prepare(lines, tmp_path / "part", tokenizer) == whole


def test_parts(lines, tmp_path, tokenizer):
    whole = prepare(lines, tmp_path / "whole", tokenizer)
    parts = [prepare(lines, tmp_path / "parts", tokenizer, part=(i, 3)) for i in (2, 0, 1)]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert min(part.shards for part in parts) > 0
    for name in whole._fields[:-1]:
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    calls = []
    again = prepare(
        lines, tmp_path / "parts", tokenizer, part=(0, 3), progress=lambda *x: calls.append(x[:2])
    )
    assert again == parts[1]
    assert calls == [(again.shards, again.shards)]


def test_a_beginning_that_was_interrupted(lines, tmp_path, monkeypatch, tokenizer):
    """What it left, or what another machine writes just now, is no obstacle."""
    with monkeypatch.context() as patches:
        patches.setattr(module, "write_whole", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(lines, tmp_path / "out", tokenizer)
    assert (tmp_path / "out/tokenizer").is_dir()
    (tmp_path / "out/.plan.json.7.partial").write_text("{")
    whole = prepare(lines, tmp_path / "out", tokenizer)
    assert whole.shards == len([*(tmp_path / "out").glob("*.tfrecord")]) > 1


@pytest.mark.slow
def test_processes(lines, tmp_path, tokenizer):
    whole = prepare(lines, tmp_path / "one", tokenizer)
    assert prepare(lines, tmp_path / "two", tokenizer, processes=2)[:-1] == whole[:-1]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_other_arguments_than_before(lines, tmp_path, tokenizer, pegasus_vocabulary):
    prepare(lines, tmp_path / "out", tokenizer)
    with pytest.raises(ValueError, match="with another value of packing: take the same arg"):
        prepare(lines, tmp_path / "out", tokenizer, packing="sentences")
    other = BigBirdTokenizer(pegasus_vocabulary)
    with pytest.raises(ValueError, match="another value of tokenizer, vocabulary"):
        prepare(lines, tmp_path / "out", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes").touch()
    with pytest.raises(ValueError, match="`directory` must be new or empty"):
        prepare(lines, tmp_path / "mine", tokenizer)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"length": 2}, "`length` must be an integer, 3 or more. Received: length=2"),
        ({"length": True}, "Received: length=True"),
        (
            {"shard_mebibytes": 0},
            "`shard_mebibytes` must be a positive integer. Received: shard_mebibytes=0",
        ),
        ({"processes": 0}, "`processes` must be a positive integer. Received: processes=0"),
        ({"part": (2, 2)}, r"`part` must be a number and how many.*Received: part=\(2, 2\)"),
        ({"part": 3}, "`part` must be a number.*Received: part=3"),
        ({"part": (True, 2)}, "`part` must be a number"),
        ({"packing": "words"}, "`packing` must be 'joined' or 'sentences'. Received.*'words'"),
        ({"documents": "page"}, "`documents` must be 'file' or 'line'. Received.*'page'"),
    ],
)
def test_arguments(texts, tmp_path, tokenizer, arguments, match):
    with pytest.raises(ValueError, match=match):
        prepare_records(f"{texts}/*.txt", tmp_path / "out", tokenizer, **arguments)
    assert not (tmp_path / "out").exists()


def test_no_text(tmp_path, tokenizer):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="There is no text: all files are empty"):
        prepare_records(f"{tmp_path}/a.txt", tmp_path / "out", tokenizer)


def test_a_damaged_plan(records, tmp_path, texts, tokenizer):
    shutil.copytree(records, tmp_path / "out")
    (tmp_path / "out/plan.json").write_text("{")
    with pytest.raises(ValueError, match="is no plan of `prepare_records`"):
        prepare_records(f"{texts}/*.txt", tmp_path / "out", tokenizer)
