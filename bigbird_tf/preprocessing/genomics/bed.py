"""BED files: intervals of records, with names."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bigbird_tf.preprocessing.genomics.gzip_files import open_text
from bigbird_tf.whole_files import write_whole

__all__ = ["Interval", "read_bed", "write_bed"]

# Lines that are not of intervals.
HEADERS = ("#", "track", "browser")
STRANDS = ("+", "-", ".")


class Interval(NamedTuple):
    """A line of a BED file.

    Attributes:
        chrom: The record that it is of, such as a chromosome.
        start, end: Its bases, from 0 on and without `end`.
        name: What it is.
        score: From 0 to 1000.
        strand: `"+"`, `"-"`, or `"."` for neither.
    """

    chrom: str
    start: int
    end: int
    name: str = "."
    score: int = 0
    strand: str = "."


def read_bed(path: str | os.PathLike) -> list[Interval]:
    """Reads the intervals of a BED file of three columns or more, which may be a gzip file.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is broken. The message has its number and the record's name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a BED file. Received: {path}")
    intervals = []
    with open_text(path) as file:
        for number, fields in enumerate(
            csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1
        ):
            if not fields or fields[0].startswith(HEADERS):
                continue
            try:
                intervals.append(_read(fields))
            except (IndexError, ValueError) as error:
                raise ValueError(
                    f"Line {number} of {path}, of record {fields[0]!r}, must have a start and an "
                    f"end in columns 2 and 3, 0 ≤ start ≤ end; a score and a strand, if any, in 5 "
                    f"and 6. Received: {fields[1:]}"
                ) from error
    return intervals


def _read(fields: list[str]) -> Interval:
    start, end = int(fields[1]), int(fields[2])
    name, score, strand = (*fields[3:6], *(".", "0", ".")[len(fields[3:6]) :])
    if not 0 <= start <= end or strand not in STRANDS:
        raise ValueError
    return Interval(fields[0], start, end, name, 0 if score == "." else round(float(score)), strand)


def write_bed(path: str | os.PathLike, intervals: Iterable[Interval]) -> None:
    """Writes intervals as a BED file of six columns, whole or not at all.

    Args:
        path: The file.
        intervals: What to write.

    Raises:
        ValueError: If an interval is impossible.
    """
    lines = []
    for interval in intervals:
        interval = Interval(*interval)
        fields = [str(field) for field in interval]
        if not 0 <= interval.start <= interval.end or any("\t" in f or "\n" in f for f in fields):
            raise ValueError(
                "`intervals` must have 0 ≤ start ≤ end, and neither tabs nor line breaks in them. "
                f"Received: {interval}"
            )
        lines.append("\t".join(fields) + "\n")
    write_whole(Path(path), "".join(lines))
