import pytest

from bigbird_tf.preprocessing.token_records.documents import Piece
from bigbird_tf.preprocessing.token_records.plan import find_files, plan_shards


def test_lines_are_divided_and_documents_are_not():
    files = [("a.jsonl", 25), ("b.txt", 25), ("c.txt", 3), ("d.txt", 0), ("e.txt", 4)]
    assert plan_shards(files, "file", 10) == [
        [Piece("a.jsonl", "json", 0, 10)],
        [Piece("a.jsonl", "json", 10, 20)],
        [Piece("a.jsonl", "json", 20, 25)],
        [Piece("b.txt", "file", 0, 25)],
        [Piece("c.txt", "file", 0, 3), Piece("e.txt", "file", 0, 4)],
    ]
    assert plan_shards([("a", 0)], "line", 10) == []


def test_files(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.txt").mkdir()
    found = find_files([f"{tmp_path}/*.txt", f"{tmp_path}/b.txt", f"{tmp_path}/c.*"])
    assert found == [(f"{tmp_path}/{name}", len(name)) for name in ("a.txt", "b.txt", "c.md")]
    for pattern in (f"{tmp_path}/*.jsonl", f"{tmp_path}/folder.txt", f"{tmp_path}"):
        with pytest.raises(FileNotFoundError, match=r"take the files, such as 'texts/\*.txt'"):
            find_files([f"{tmp_path}/a.txt", pattern])
