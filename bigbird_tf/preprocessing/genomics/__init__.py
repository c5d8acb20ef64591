"""Files of sequences and intervals, and what is done with them before and after a model."""

from bigbird_tf.preprocessing.genomics.bed import Interval, read_bed, write_bed
from bigbird_tf.preprocessing.genomics.fasta_file import FastaFile, FastaWindow
from bigbird_tf.preprocessing.genomics.reverse_complement import reverse_complement
from bigbird_tf.preprocessing.genomics.token_intervals import (
    intervals_to_labels,
    labels_to_intervals,
)

__all__ = [
    "FastaFile",
    "FastaWindow",
    "Interval",
    "intervals_to_labels",
    "labels_to_intervals",
    "read_bed",
    "reverse_complement",
    "write_bed",
]
