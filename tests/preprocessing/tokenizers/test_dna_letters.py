"""Letters of DNA: the graph and Python read them alike, and a complement's is the letter."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedTokenFinder
from bigbird_tf.preprocessing.tokenizers.dna_letters import (
    COMPLEMENTS,
    READ_AS,
    read_python_sequence,
    read_sequences,
    to_strings,
)

ALL = "ACGTUNRYSWKMBDHVacgtunryswkmbdhv"


def test_both_read_alike():
    texts = [ALL, "", "gattaca", "RUNN"]
    expected = [read_python_sequence(text, "it") for text in texts]
    assert expected[0] == b"ACGTT" + b"N" * 11 + b"ACGTT" + b"N" * 11
    assert expected[2:] == [b"GATTACA", b"NTNN"]
    read = read_sequences(tf.constant(texts), AddedTokenFinder(["[MASK]"]))
    assert to_strings(read.data, read.lengths).numpy().tolist() == expected
    assert read.offsets.numpy().tolist() == [0, 32, 32, 39]


def test_other_bytes_are_none():
    assert {chr(byte) for byte in np.flatnonzero(READ_AS)} == set(ALL)
    assert {chr(byte) for byte in np.flatnonzero(COMPLEMENTS)} == set(ALL)


def test_the_complement_of_a_complement():
    for letter in ALL.replace("U", "").replace("u", ""):
        other = COMPLEMENTS[COMPLEMENTS[ord(letter)]]
        assert chr(other) == letter
    assert chr(COMPLEMENTS[ord("u")]) == "a"


@pytest.mark.parametrize(
    ("text", "shown"), [("ACXG", "X at base 2"), ("AC\n", "byte 10 at base 2")]
)
def test_a_letter_that_is_none(text, shown):
    with pytest.raises(ValueError, match=f"{shown} \\(from 0\\) of chr1"):
        read_python_sequence(text, "chr1")
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{shown} of sequence 1"):
        read_sequences(tf.constant(["AC", text]), AddedTokenFinder(["[MASK]"]))
