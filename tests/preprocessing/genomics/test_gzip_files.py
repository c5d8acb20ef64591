"""Text files, compressed or not, whatever they are called."""

import gzip

import pytest

from bigbird_tf.preprocessing.genomics.gzip_files import is_gzip, open_text


@pytest.mark.parametrize("name", ["genome.fa", "genome.fa.gz"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_by_what_is_in_them(tmp_path, name, is_compressed):
    path = tmp_path / name
    data = b">chr1\nACGT\xff\n"
    path.write_bytes(gzip.compress(data) if is_compressed else data)
    assert is_gzip(path) is is_compressed
    with open_text(path) as file:
        assert file.read() == ">chr1\nACGT\N{REPLACEMENT CHARACTER}\n"


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.gz"
    path.touch()
    assert not is_gzip(path)
    with open_text(path) as file:
        assert file.read() == ""
