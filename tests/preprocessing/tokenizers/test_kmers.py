"""K-mers in the graph, against a plain loop over the letters."""

import random

import pytest
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers import DnaTokenizer


def cut(sequence, k, overlapping):
    """Returns the pieces of a sequence of A, C, G, T and N, and the first base of each."""
    pieces, start = [], 0
    while start < len(sequence):
        end = start
        while end < len(sequence) and sequence[end] != "N":
            end += 1
        stretch = sequence[start:end]
        if overlapping and len(stretch) >= k:
            pieces += [(stretch[i : i + k], start + i) for i in range(len(stretch) - k + 1)]
        else:
            whole = len(stretch) // k * k
            pieces += [(stretch[i : i + k], start + i) for i in range(0, whole, k)]
            pieces += [(stretch[i], start + i) for i in range(whole, len(stretch))]
        if end < len(sequence):
            pieces.append(("N", end))
        start = end + 1
    return pieces


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("k", [3, 5])
def test_as_a_loop_does(k, overlapping):
    rng = random.Random(k)
    sequences = ["".join(rng.choices("ACGTN", (5, 5, 5, 5, 1), k=n)) for n in (0, 1, 4, 7, 50, 83)]
    sequences += ["NN", "N" + "A" * k, "C" * k + "N", "G" * (2 * k)]
    tokenizer = DnaTokenizer(k=k, overlapping=overlapping)
    ids, starts, ends = tokenizer.tokenize_with_offsets(tf.constant(sequences))
    for row, sequence in enumerate(sequences):
        expected = cut(sequence, k, overlapping)
        pieces = [tokenizer.id_to_token(i) for i in ids[row].numpy()]
        assert list(zip(pieces, starts[row].numpy(), strict=True)) == expected
        assert ends[row].numpy().tolist() == [start + len(piece) for piece, start in expected]
    assert tokenizer.detokenize(ids).numpy().tolist() == [text.encode() for text in sequences]
