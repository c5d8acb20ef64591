"""Real sequences: those that Debian's packages carry, and a phage that is here."""

import hashlib
import subprocess
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bigbird_tf.preprocessing.genomics import FastaFile, Interval

__all__ = [
    "E_COLI",
    "KLEBSIELLA",
    "LAMBDA",
    "Locus",
    "find",
    "read_genome",
    "read_loci",
    "split",
    "windows",
]

# A package, and a file in it.
E_COLI = ("bowtie-examples", "usr/share/doc/bowtie/examples/genomes/NC_008253.fna.gz")
KLEBSIELLA = (
    "kaptive-data",
    "usr/share/kaptive/reference_database/Klebsiella_k_locus_primary_reference.gbk",
)
# Phage lambda, of the package bowtie2-examples: 48,502 bases.
LAMBDA = Path(__file__).with_name("lambda_virus.fa.gz")


class Locus(NamedTuple):
    """A sequence with its genes.

    Attributes:
        name: Its name.
        sequence: The letters.
        genes: Its coding intervals.
    """

    name: str
    sequence: str
    genes: tuple[Interval, ...]


def find(source: tuple[str, str], folder: Path) -> Path:
    """Returns a package's file: the installed one, or one that `apt-get` downloads.

    Args:
        source: The package, and the file's path.
        folder: Where downloads are kept.

    Raises:
        FileNotFoundError: If neither is to be had.
    """
    package, name = source
    for path in (Path("/", name), folder / name):
        if path.is_file():
            return path
    folder.mkdir(parents=True, exist_ok=True)
    commands = (["apt-get", "download", package], ["dpkg-deb", "-x", f"{package}.deb", "."])
    try:
        for command in commands:
            if command[0] == "dpkg-deb":
                command[2] = next(file.name for file in folder.glob(f"{package}_*.deb"))
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, StopIteration, subprocess.CalledProcessError) as error:
        raise FileNotFoundError(
            f"/{name} is not installed, and `apt-get download {package}` did not bring it. Install "
            f"the package {package}, or name a file of your own: --fasta, --genbank"
        ) from error
    for file in folder.glob(f"{package}_*.deb"):
        file.unlink()
    return folder / name


def read_genome(path: Path) -> list[str]:
    """Returns the sequences of a FASTA file."""
    file = FastaFile(path)
    return [file.fetch(name) for name in file.lengths]


def read_loci(path: Path) -> list[Locus]:
    """Returns the records of a GenBank file, each with its coding intervals."""
    from Bio import BiopythonWarning, SeqIO

    loci = []
    with path.open(encoding="utf-8") as file, warnings.catch_warnings():
        # Of lines that are longer than the format allows.
        warnings.simplefilter("ignore", BiopythonWarning)
        for record in SeqIO.parse(file, "genbank"):
            genes = [
                Interval(record.id, int(part.start), int(part.end), "CDS", 0, _strand(part))
                for feature in record.features
                if feature.type == "CDS"
                for part in feature.location.parts
            ]
            loci.append(Locus(record.id, str(record.seq), tuple(genes)))
    return loci


def _strand(part) -> str:
    return "-" if part.strand == -1 else "+"


def split(names: Iterable[str], test_share: float = 0.15) -> tuple[list[str], list[str]]:
    """Shares names out to training and testing, each to the same side on all machines."""
    sides: tuple[list[str], list[str]] = ([], [])
    for name in names:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
        sides[number < test_share].append(name)
    return sides


def windows(sequences: Sequence[str], length: int) -> list[str]:
    """Cuts sequences into windows of whole length."""
    return [
        sequence[start : start + length]
        for sequence in sequences
        for start in range(0, len(sequence) - length + 1, length)
    ]
