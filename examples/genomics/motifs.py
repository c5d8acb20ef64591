"""Pairs of motifs thousands of bases apart: the controlled proof that distance is read.

Two motifs are planted into real sequence, one near the left end and one near the right. Each comes
in two forms, and the third label says whether the two forms match. Each form alone says nothing of
that: whoever sees one motif at a time, in windows, and adds up what they say, can only guess.
The first two labels, the forms themselves, are there to be seen in windows, too.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

import bigbird_tf as bb
from examples.genomics.training import fit, make_config

__all__ = ["LABELS", "plant", "run"]

LABELS = ("left form", "right form", "match")
K = 6
# Motifs begin within this share of the length from their end.
NEAR_END = 0.1


def make_motifs(seed: int, pieces: int) -> list[list[str]]:
    """Returns both forms of the left motif and of the right one; strings of so many k-mers."""
    rng = np.random.default_rng(seed)
    return [["".join(rng.choice(list("ACGT"), K * pieces)) for _ in range(2)] for _ in range(2)]


def plant(
    background: Sequence[str], count: int, pieces: int, motifs: Sequence[Sequence[str]], seed: int
) -> tuple[list[str], np.ndarray, int]:
    """Plants pairs of motifs into parts of real sequences.

    Args:
        background: Sequences, each longer than `pieces` k-mers.
        count: How many to make.
        pieces: Their length in k-mers.
        motifs: Both forms of the left motif and of the right one.
        seed: Decides parts, places and forms.

    Returns:
        The sequences; labels, float32 of shape (count, 3); the fewest bases between two motifs.
    """
    rng = np.random.default_rng(seed)
    length, size = K * pieces, len(motifs[0][0])
    long = [sequence for sequence in background if len(sequence) > length]
    room = max(1, int(NEAR_END * pieces))
    made, labels, nearest = [], [], length
    for _ in range(count):
        source = long[rng.integers(len(long))]
        begin = rng.integers(len(source) - length)
        left, right = rng.integers(0, 2, 2)
        # Whole k-mers, so that each motif is always the same pieces.
        first = K * int(rng.integers(room))
        second = length - size - K * int(rng.integers(room))
        part = source[begin : begin + length].replace("N", "A")
        part = part[:first] + motifs[0][left] + part[first + size :]
        made.append(part[:second] + motifs[1][right] + part[second + size :])
        labels.append((left, right, left == right))
        nearest = min(nearest, second - first - size)
    return made, np.array(labels, "float32"), nearest


def cut(sequences: Sequence[str], pieces: int) -> list[list[str]]:
    """Cuts each sequence into windows of so many k-mers, special pieces included."""
    size = K * (pieces - 2)
    return [[text[i : i + size] for i in range(0, len(text), size)] for text in sequences]


def run(
    background: Sequence[str],
    *,
    seconds: float,
    pieces: int = 1020,
    motif: int = 96,
    window: int = 512,
    batch_size: int = 16,
    tests: int = 200,
    seed: int = 0,
    max_steps: int | None = None,
    **fields,
) -> dict:
    """Trains a model on whole sequences, and one of the same size on windows; both are asked alike.

    Args:
        background: Real sequences to plant into.
        seconds: Training time of each.
        pieces: Length of a sequence in k-mers.
        motif: Of a motif, likewise: so long that minutes of training are enough.
        window: Length of a window in pieces, special ones included.
        batch_size: Sequences of a step.
        tests: New sequences to ask.
        seed: Of data and weights.
        max_steps: Ends training sooner.
        **fields: Other fields of the config.

    Returns:
        For both models how each label was found, in percent, and what training was.
    """
    tokenizer = bb.DnaTokenizer(k=K)
    motifs = make_motifs(seed, motif)
    asked, answers, nearest = plant(background, tests, pieces, motifs, seed + 1)
    results = {"bases": K * pieces, "bases of a motif": K * motif}
    results |= {"fewest bases between": nearest, "tests": tests}
    for name, length in (("whole", pieces + 2), ("windows", window)):
        keras.utils.set_random_seed(seed)
        config = make_config(
            tokenizer,
            # The same model, whatever it reads.
            pieces + 2,
            hidden_size=64,
            num_attention_heads=2,
            intermediate_size=256,
            num_labels=len(LABELS),
            problem_type="multi_label_classification",
            **fields,
        )
        model = bb.BigBirdForSequenceClassification(config)

        def batches(length=length):
            step = 0
            while True:
                step += 1
                made = plant(background, batch_size, pieces, motifs, seed + 1000 + step)
                parts = cut(made[0], length)
                owners = np.repeat(np.arange(batch_size), [len(part) for part in parts])
                yield [text for part in parts for text in part], made[1][owners]

        dataset = tf.data.Dataset.from_generator(
            batches,
            output_signature=(
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None, len(LABELS)], tf.float32),
            ),
        ).map(lambda text, y, n=length: (tokenizer(text, max_length=n, padding="max_length"), y))
        report = fit(model, dataset, seconds, max_steps=max_steps)
        found = predict(model, tokenizer, asked, length)
        right = 100 * ((found > 0) == (answers > 0)).mean(axis=0)
        results[name] = {
            **{label: round(float(value), 1) for label, value in zip(LABELS, right, strict=True)},
            "training": report,
        }
    return results


def predict(
    model: bb.BigBirdForSequenceClassification,
    tokenizer: bb.DnaTokenizer,
    sequences: Sequence[str],
    length: int,
) -> np.ndarray:
    """Returns the logits of sequences, the mean over the windows of each; (count, labels)."""
    parts = cut(sequences, length)
    texts = [text for part in parts for text in part]
    inputs = tokenizer(texts, max_length=length, padding="max_length")
    logits = model.predict(inputs, batch_size=16, verbose=0)
    ends = np.cumsum([len(part) for part in parts])
    return np.stack([rows.mean(axis=0) for rows in np.split(logits, ends[:-1])])
