"""Files that are written whole or not at all."""

import io
import os
import stat
from pathlib import Path

import pytest
from keras.src.utils import file_utils

from bigbird_tf.whole_files import whole_file, write_whole


@pytest.mark.parametrize(
    ("content", "expected"),
    [("Zürich\n", "Zürich\n".encode()), (b"\xff\r\n", b"\xff\r\n"), ("", b"")],
)
def test_text_and_bytes(tmp_path, content, expected):
    file = tmp_path / "file"
    for _ in range(2):
        write_whole(str(file), content)
        assert file.read_bytes() == expected
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, error, is_there):
    file = tmp_path / "file"
    if is_there:
        file.write_text("before")

    def fail():
        with whole_file(file) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["before"] * is_there


def test_nothing_of_it_is_there_before_the_end(tmp_path):
    file = tmp_path / "file"
    with whole_file(file) as partial:
        partial.write_text("all")
        assert partial.parent == tmp_path
        # No server or reader takes it for a file of theirs; two processes have two of them.
        assert partial.name == f".file.{os.getpid()}.partial"
        assert not file.exists()
    assert file.read_text() == "all"


def test_a_link_stays_one(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other/file")
    for text in ("one", "two"):
        write_whole(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "other/file").read_text() == text
    assert len(list((tmp_path / "other").iterdir())) == 1


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_permissions_stay(tmp_path, mode):
    file = tmp_path / "file"
    file.write_text("before")
    file.chmod(mode)
    write_whole(file, "behind")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("behind", mode)


def test_a_new_files_permissions_are_the_systems(tmp_path):
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "whole", "")
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "whole")]
    assert modes[0] == modes[1]


def test_what_is_no_regular_file(tmp_path):
    """As `/dev/stdout`: nothing takes its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "through it")
        assert os.read(reader, 99) == b"through it"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nothing/file", "text")
    assert not Path(tmp_path / "nothing").exists()


@pytest.mark.parametrize("content", ["ä\n", b"\xff"])
def test_an_object_of_a_store_is_written_at_once(monkeypatch, content):
    opened = []

    class Stored(io.BytesIO):
        def close(self):
            opened.append(self.getvalue())
            super().close()

    def store(path, mode):
        opened.append((path, mode))
        return Stored()

    monkeypatch.setattr(file_utils, "File", store)
    write_whole("gs://bucket/name", content)
    data = content if isinstance(content, bytes) else content.encode()
    assert opened == [("gs://bucket/name", "wb"), data]
