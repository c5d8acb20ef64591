import gzip

import pytest

from bigbird_tf.preprocessing.genomics import Interval, read_bed, write_bed

LINES = """# made by hand
track name=x
browser position chr1
chr1\t0\t7
chr1\t7\t19\tgene\t12.6\t-\tmore\tcolumns

chr 2\t5\t5\ta "quoted" name\t.\t+
"""
INTERVALS = [
    Interval("chr1", 0, 7, ".", 0, "."),
    Interval("chr1", 7, 19, "gene", 13, "-"),
    Interval("chr 2", 5, 5, 'a "quoted" name', 0, "+"),
]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_read(tmp_path, compress):
    path = tmp_path / "a.bed"
    path.write_bytes(compress(LINES.encode()))
    assert read_bed(path) == INTERVALS


def test_written_and_read(tmp_path):
    path = tmp_path / "a.bed"
    write_bed(path, INTERVALS)
    assert path.read_text().splitlines()[1] == "chr1\t7\t19\tgene\t13\t-"
    assert read_bed(path) == INTERVALS
    write_bed(path, [])
    assert read_bed(path) == []
    for wrong in (("a\tb", 0, 1), ("a", 2, 1), ("a", -1, 1), ("a", 0, 1, "x\ny")):
        with pytest.raises(ValueError, match="`intervals` must have"):
            write_bed(path, [wrong])


@pytest.mark.parametrize(
    "line", ["chr7", "chr7\t5", "chr7\tx\t5", "chr7\t9\t5", "chr7\t-1\t5", "chr7\t1\t5\tn\t0\t*"]
)
def test_broken_lines(tmp_path, line):
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t0\t1\n{line}\n")
    with pytest.raises(ValueError, match=r"Line 2 of .*a.bed, of record 'chr7', must have"):
        read_bed(path)
    with pytest.raises(FileNotFoundError, match="must be a BED file"):
        read_bed(tmp_path / "none.bed")
