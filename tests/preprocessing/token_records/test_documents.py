import itertools
import json

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.token_records.documents import (
    Broken,
    Piece,
    kind_of,
    read_documents,
)

LINES = ["Zürich naïve", "", "one", "two words", "日本語 猫", "last"]


def read(path, kind, start=0, end=None, field="text"):
    end = path.stat().st_size if end is None else end
    return list(read_documents(Piece(str(path), kind, start, end), field))


@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_line_belongs_to_one_piece(tmp_path, ending, newline):
    """Wherever a file is cut, even within a letter or between a line and its end."""
    path = tmp_path / "texts"
    path.write_bytes((newline.join(LINES) + ending).encode())
    size = path.stat().st_size
    for cut in range(size + 1):
        found = read(path, "line", 0, cut) + read(path, "line", cut, size)
        assert found == LINES, cut


def test_a_file_is_a_document(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(LINES).encode())
    assert read(path, "file") == ["\n".join(LINES)]
    path.write_bytes(b"ab\xff")
    assert read(path, "file") == [Broken(str(path), "no UTF-8: invalid start byte at its byte 2")]


def test_broken_lines_of_json(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [
        b'{"body": "first"}',
        b'{"body": "second"',
        b"",
        b'["body"]',
        b'{"text": "of another field"}',
        b'{"body": 3}',
        b'{"body": "\\ud800"}',
        b'{"body": "\xff"}',
        b"[" * 100_000,
        b'{"body": "last", "more": 1}',
    ]
    path.write_bytes(b"\n".join(lines))
    found = read(path, "json", field="body")
    assert [x for x in found if isinstance(x, str)] == ["first", "last"]
    broken = [x for x in found if isinstance(x, Broken)]
    assert [x.place for x in broken][:2] == [f"{path}, byte 18", f"{path}, byte 37"]
    reasons = ["no JSON", *["no text in the field 'body'"] * 3, "half a surrogate", "no JSON"]
    assert len(broken) == 7
    for entry, reason in zip(broken, [*reasons, "no JSON"], strict=True):
        assert entry.reason.startswith(reason)


def example(**texts) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        for name, values in texts.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_records(tmp_path):
    path = tmp_path / "texts.tfrecord"
    entries = [
        example(text=["naïve".encode()]),
        b"no example",
        example(text=[b"a", b"b"]),
        example(other=[b"a"]),
        example(text=[b"last"]),
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for entry in entries:
            writer.write(entry)
    found = read(path, "tfrecord")
    assert [x for x in found if isinstance(x, str)] == ["naïve", "last"]
    assert [x.place for x in found if isinstance(x, Broken)] == [
        f"{path}, record {number}" for number in (1, 2, 3)
    ]
    # Cut short: what comes before counts.
    path.write_bytes(path.read_bytes()[:-5])
    found = read(path, "tfrecord")
    assert found[0] == "naïve"
    assert found[-1].place == str(path)
    assert "truncated" in found[-1].reason


def test_what_is_not_there_any_more(tmp_path):
    [broken] = read_documents(Piece(str(tmp_path / "gone"), "line", 0, 9), "text")
    assert "No such file" in broken.reason


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", "line"), ("A.JSONL", "json"), ("b.tfrecords", "tfrecord"), ("a.json.txt", "line")],
)
def test_kinds(name, kind):
    assert kind_of(name, "line") == kind


def test_compressed_files_are_refused():
    with pytest.raises(ValueError, match=r"Compressed files are not read.*a.jsonl.gz"):
        kind_of("a.jsonl.gz", "line")


def test_many_places(tmp_path):
    """Cut at random into many pieces, each line is read once."""
    path = tmp_path / "texts.jsonl"
    texts = [f"{i} " + "x" * (i * 37 % 91) for i in range(200)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    cuts = sorted(np.random.default_rng(0).integers(0, path.stat().st_size, 60).tolist())
    edges = [0, *cuts, path.stat().st_size]
    found = [x for i, j in itertools.pairwise(edges) for x in read(path, "json", i, j)]
    assert found == texts
