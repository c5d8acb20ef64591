"""Letters of DNA: how each is read, and its complement; in the graph and in Python."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedTokenFinder, Matches

__all__ = [
    "COMPLEMENTS",
    "LETTERS",
    "READ_AS",
    "Sequences",
    "check_letters",
    "read_python_sequence",
    "read_sequences",
    "to_strings",
]

LETTERS = "ACGTN"
# IUPAC's letters for one of several bases.
AMBIGUOUS = "RYSWKMBDHV"
RULE = (
    "Sequences must be of the letters A, C, G, T (or U) and N, and those of IUPAC for "
    f"several bases ({', '.join(AMBIGUOUS)}), large or small"
)


def _table(letters: str, values: str) -> np.ndarray:
    """Returns what each byte becomes, uint8 of shape (256,); 0 for those that are no letters."""
    table = np.zeros(256, np.uint8)
    for letter, value in zip(letters, values, strict=True):
        table[ord(letter)] = ord(value)
    return table


# What a letter is read as.
_LARGE = "ACGTUN" + AMBIGUOUS
READ_AS = _table(_LARGE + _LARGE.lower(), ("ACGTTN" + "N" * len(AMBIGUOUS)) * 2)
_COMPLEMENT = "TGCAAN" + "YRSWMKVHDB"
COMPLEMENTS = _table(_LARGE + _LARGE.lower(), _COMPLEMENT + _COMPLEMENT.lower())


class Sequences(NamedTuple):
    """A batch of sequences as they are read, letter by letter.

    Attributes:
        data: The bytes of all sequences, end to end; uint8 of shape (M,). Special tokens stand in
            them as they were written.
        is_special: Which of them belong to special tokens; bool of shape (M,).
        lengths: Bytes of each sequence; int32 of shape (B,).
        matches: The special tokens, by the bytes of their sequence.
    """

    data: tf.Tensor
    is_special: tf.Tensor
    lengths: tf.Tensor
    matches: Matches

    @property
    def offsets(self) -> tf.Tensor:
        """Where each sequence begins in `data`; int32 of shape (B,)."""
        return tf.cumsum(self.lengths, exclusive=True)


def read_sequences(texts: tf.Tensor, finder: AddedTokenFinder) -> Sequences:
    """Reads sequences: small letters as large ones, U as T, letters for several bases as N.

    Args:
        texts: Strings of shape (B,).
        finder: Finds the special tokens, which stay as they are.

    Raises:
        tf.errors.InvalidArgumentError: If a sequence has another letter.
    """
    lengths = tf.strings.length(texts)
    data = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
    none = tf.zeros([0], tf.int32)
    # Few sequences have special tokens, and the others need not be searched.
    matches = Matches(
        *tf.cond(
            tf.reduce_any(data == ord("[")),
            lambda: tuple(finder.find(texts)),
            lambda: (none, none, none, none),
        )
    )
    base = tf.gather(tf.cumsum(lengths, exclusive=True), matches.rows)
    places = tf.concat([base + matches.starts, base + matches.ends], 0)[:, tf.newaxis]
    steps = tf.concat([tf.ones_like(base), -tf.ones_like(base)], 0)
    is_special = tf.cumsum(tf.scatter_nd(places, steps, [tf.shape(data)[0] + 1]))[:-1] > 0
    read = tf.gather(READ_AS, tf.cast(data, tf.int32))
    read = tf.where(is_special, data, read)
    with tf.control_dependencies([check_letters(data, read, lengths)]):
        return Sequences(tf.identity(read), is_special, lengths, matches)


def to_strings(data: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Returns bytes below 128, uint8 of shape (M,), as strings of the given lengths (B,)."""
    rows = tf.RaggedTensor.from_row_lengths(tf.cast(data, tf.int32), lengths, validate=False)
    return tf.strings.unicode_encode(rows, "UTF-8")


def check_letters(data: tf.Tensor, read: tf.Tensor, lengths: tf.Tensor) -> tf.Operation:
    """Returns a check that all bytes are letters; its message has the first that is none.

    Args:
        data: Bytes as they came, uint8 of shape (M,).
        read: What they are read as; 0 for no letters.
        lengths: Bytes of each sequence, int32 of shape (B,).
    """
    is_letter = tf.reduce_all(read > 0)

    def message() -> tf.Tensor:
        place = tf.argmin(read, output_type=tf.int32)
        ends = tf.cumsum(lengths)
        row = tf.searchsorted(ends, [place], side="right")[0]
        base = place - ends[row] + lengths[row]
        byte = tf.cast(data[place], tf.int32)
        letter = tf.strings.unicode_encode([tf.minimum(byte, 127)], "UTF-8")
        shown = tf.where(
            (byte > 32) & (byte < 127),
            letter,
            tf.strings.join(["byte ", tf.strings.as_string(byte)]),
        )
        base, row = tf.strings.as_string(base), tf.strings.as_string(row)
        where = [" at base ", base, " of sequence ", row, " (both from 0)"]
        return tf.strings.join([f"{RULE}. Received: ", shown, *where])

    return tf.debugging.Assert(is_letter, [tf.cond(is_letter, lambda: "", message)])


def read_python_sequence(sequence: str | bytes, name: str) -> bytes:
    """Reads one sequence as `read_sequences` does, without special tokens.

    Args:
        sequence: The letters.
        name: What it is, for messages.

    Raises:
        TypeError: If it is neither a string nor bytes.
        ValueError: If it has another letter.
    """
    if not isinstance(sequence, (str, bytes)):
        raise TypeError(
            f"{name} must be a string or bytes. Received: an object of type "
            f"{type(sequence).__name__}"
        )
    data = sequence.encode("utf-8", "replace") if isinstance(sequence, str) else sequence
    read = data.translate(READ_AS.tobytes())
    place = read.find(b"\0")
    if place >= 0:
        byte = data[place]
        shown = chr(byte) if 32 < byte < 127 else f"byte {byte}"
        raise ValueError(f"{RULE}. Received: {shown} at base {place} (from 0) of {name}")
    return read
