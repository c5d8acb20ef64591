import gzip
import random

import pytest

from bigbird_tf.preprocessing.genomics import FastaFile, FastaWindow

pytest.importorskip("pyfaidx")

rng = random.Random(3)
RECORDS = {
    "chr1": "".join(rng.choices("ACGTNacgtn", k=1013)),
    "chr2|x": "".join(rng.choices("ACGTRYU", k=60)),
    "short": "AC",
}


def fasta(records=None, width=60) -> bytes:
    lines = []
    for name, sequence in (records or RECORDS).items():
        lines.append(f">{name} what it is")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return "\n".join([*lines, ""]).encode()


def read(sequence):
    return "".join({"U": "T", "R": "N", "Y": "N"}.get(x, x) for x in sequence.upper())


def write_bgzip(path):
    bgzf = pytest.importorskip("Bio.bgzf")
    with bgzf.BgzfWriter(str(path)) as file:
        file.write(fasta())


WAYS = {
    "plain.fa": lambda path: path.write_bytes(fasta()),
    "gzip.fa.gz": lambda path: path.write_bytes(gzip.compress(fasta())),
    "bgzip.fa.gz": write_bgzip,
    "windows.fa": lambda path: path.write_bytes(fasta().replace(b"\n", b"\r\n")),
}


@pytest.fixture(params=WAYS)
def file(request, tmp_path):
    path = tmp_path / request.param
    WAYS[request.param](path)
    return FastaFile(str(path))


def test_parts(file):
    assert file.lengths == {name: len(sequence) for name, sequence in RECORDS.items()}
    for name, sequence in RECORDS.items():
        assert file.fetch(name) == read(sequence)
        for start, end in ((0, 1), (1, 2), (0, 0), (len(sequence), len(sequence))):
            assert file.fetch(name, start, end) == read(sequence)[start:end]
    assert file.fetch("chr1", 57, 731) == read(RECORDS["chr1"])[57:731]
    assert file.fetch("chr1", 1000) == read(RECORDS["chr1"])[1000:]


def test_windows(file):
    expected = [
        FastaWindow("chr1", start, min(start + 400, 1013), read(RECORDS["chr1"])[start:][:400])
        for start in (0, 300, 600, 900)
    ]
    found = list(file.windows(400, 300))
    # The last one begins before the end, and none behind one that reaches it.
    assert found[:3] == expected[:3]
    assert [w for w in found if w.name == "chr1"][-1].end == 1013
    assert [(w.name, w.start, w.end) for w in found if w.name != "chr1"] == [
        ("chr2|x", 0, 60),
        ("short", 0, 2),
    ]
    for name, sequence in RECORDS.items():
        whole = "".join(w.sequence for w in file.windows(97) if w.name == name)
        assert whole == read(sequence)
    for arguments in ((0,), (5, 0)):
        with pytest.raises(ValueError, match="`length` and `step` must be positive"):
            list(file.windows(*arguments))


def test_places_outside(file):
    for start, end in ((-1, 5), (0, 1014), (7, 6)):
        with pytest.raises(ValueError, match="within the 1013 bases of 'chr1'"):
            file.fetch("chr1", start, end)
    with pytest.raises(KeyError, match="has no record 'chr3'"):
        file.fetch("chr3")


def test_an_index_is_kept_and_read_only_folders_will_do(tmp_path):
    path = tmp_path / "a.fa"
    path.write_bytes(fasta())
    FastaFile(path)
    assert (tmp_path / "a.fa.fai").read_text().startswith("chr1\t1013\t")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first letter is '>'. Received: ''"),
        (b"\nACGT\n", "first letter is '>'"),
        (b"LOCUS x\n", "first letter is '>'. Received: 'L'"),
        (b">one\nACGT\nAC\nACGT\n>two\nACGT\n", "one"),
        (b">one\nACGT\n>one\nACGT\n", "one"),
        (gzip.compress(fasta())[:-20], "no whole gzip file"),
    ],
)
def test_broken_files(tmp_path, content, message):
    path = tmp_path / "broken.fa"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        FastaFile(path)
    assert "broken.fa" in str(error.value)


def test_other_letters_have_the_records_name(tmp_path):
    path = tmp_path / "a.fa"
    path.write_bytes(b">good\nACGT\n>bad one\nACGTAC\nACG-AC\n")
    file = FastaFile(path)
    assert file.fetch("good") == "ACGT"
    assert file.fetch("bad", 0, 9) == "ACGTACACG"
    with pytest.raises(ValueError, match=r"- at base 4 .* of record 'bad', from base 5"):
        file.fetch("bad", 5)
    with pytest.raises(FileNotFoundError, match="must be a FASTA file"):
        FastaFile(tmp_path / "none.fa")
