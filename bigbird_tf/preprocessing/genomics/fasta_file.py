"""`FastaFile`: sequences of a FASTA file by name and place, of which only these are read."""

import gzip
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bigbird_tf.preprocessing.genomics.gzip_files import is_gzip, open_text
from bigbird_tf.preprocessing.tokenizers.dna_letters import read_python_sequence

__all__ = ["FastaFile", "FastaWindow"]

# What `bgzip` writes behind the header of each of its blocks.
BGZIP_FIELD = b"BC\x02\x00"


class FastaWindow(NamedTuple):
    """A part of a record.

    Attributes:
        name: The record's.
        start, end: Its bases, from 0 on and without `end`, as in BED.
        sequence: The letters A, C, G, T and N.
    """

    name: str
    start: int
    end: int
    sequence: str


class FastaFile:
    """A FASTA file by the library `pyfaidx` (the extra `genomics`).

    The file's index, `NAME.fai` as `samtools` makes it, is used or made; where the folder cannot be
    written to, in a folder for temporary files. Then a part of a chromosome is read in no more time
    than one of a short record. Files that `bgzip` compressed are read so, too; those of `gzip` are
    decompressed into the folder for temporary files, until the object goes.

    Letters are read as `DnaTokenizer` reads them.

    Args:
        path: The file.

    Attributes:
        lengths: Bases of each record, by its name: what is between ">" and the first space.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the library is not installed.
        ValueError: If it is no FASTA file, a name is there twice, or the lines of a record are not
            of one length. The message has the record's name.

    Example:

    >>> genome = FastaFile("chromosomes.fa")
    >>> genome.fetch("chr7", 27_000_000, 27_000_060)
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"`path` must be a FASTA file. Received: {self.path}")
        self._folder: str | None = None
        self._records = self._open()
        self.lengths = {name: len(record) for name, record in self._records.items()}

    def _open(self) -> Any:
        """Returns the library's object."""
        try:
            import pyfaidx
        except ImportError as error:
            raise ImportError(
                "FASTA files need the package `pyfaidx`, which is not installed: "
                "pip install 'bigbird-tf[genomics]'"
            ) from error
        file = self._readable()
        index = Path(f"{self.path}.fai")
        if file != self.path or not (index.is_file() or os.access(self.path.parent, os.W_OK)):
            index = Path(self._temporary(), "index.fai")
        _check_begins(file, self.path)
        try:
            return pyfaidx.Fasta(str(file), indexname=str(index), as_raw=True, rebuild=True)
        except (pyfaidx.FastaIndexingError, ValueError, KeyError) as error:
            raise ValueError(f"{self.path} is no FASTA file that can be read: {error}") from error

    def _temporary(self) -> str:
        """Returns a folder that goes with the object."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="bigbird_tf_")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def _readable(self) -> Path:
        """Returns a file that can be read at any place."""
        if not is_gzip(self.path) or self._is_bgzip():
            return self.path
        plain = Path(self._temporary(), self.path.stem)
        try:
            with gzip.open(self.path) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, 2**20)
        except (EOFError, OSError) as error:
            raise ValueError(f"{self.path} is no whole gzip file: {error}") from error
        return plain

    def _is_bgzip(self) -> bool:
        with self.path.open("rb") as file:
            return file.read(16)[12:] == BGZIP_FIELD

    def fetch(self, name: str, start: int = 0, end: int | None = None) -> str:
        """Reads a part of a record.

        Args:
            name: The record's.
            start: Its first base, from 0 on.
            end: The base behind its last one; `None` for the record's end.

        Raises:
            KeyError: If there is no such record.
            ValueError: If the bases are not in the record, or have a letter that is none of DNA.
        """
        if name not in self.lengths:
            names = ", ".join(list(self.lengths)[:5])
            raise KeyError(f"{self.path} has no record {name!r}. It has {names}, …")
        length = self.lengths[name]
        end = length if end is None else end
        if not 0 <= start <= end <= length:
            raise ValueError(
                f"`start` and `end` must be within the {length} bases of {name!r}. Received: "
                f"start={start}, end={end}"
            )
        if start == end:
            return ""
        letters = self._records[name][start:end]
        return read_python_sequence(letters, f"record {name!r}, from base {start} on").decode()

    def windows(self, length: int, step: int | None = None) -> Iterator[FastaWindow]:
        """Cuts all records into windows, one after the other.

        Args:
            length: Bases of a window; a record's last one may be shorter.
            step: From one window's first base to the next one's; `None` for `length`.

        Raises:
            ValueError: If a number is not positive.
        """
        step = length if step is None else step
        if length < 1 or step < 1:
            raise ValueError(
                f"`length` and `step` must be positive. Received: length={length}, step={step}"
            )
        for name, bases in self.lengths.items():
            # Where one reaches the end, none begins behind it.
            for start in range(0, max(1, bases - length + step), step):
                end = min(start + length, bases)
                yield FastaWindow(name, start, end, self.fetch(name, start, end))


def _check_begins(file: Path, path: Path) -> None:
    """Refuses a file that does not begin with a record."""
    with open_text(file) as source:
        begin = source.read(1)
    if begin != ">":
        raise ValueError(
            f"{path} must be a FASTA file, whose first letter is '>'. Received: {begin!r}"
        )
