"""Coding intervals per base: token classification of loci, and BED files of what was found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.preprocessing.genomics import (
    Interval,
    intervals_to_labels,
    labels_to_intervals,
    reverse_complement,
    write_bed,
)
from examples.genomics.sources import Locus, split
from examples.genomics.training import fit, make_config

__all__ = ["LABELS", "find_genes", "run", "score", "turn"]

LABELS = ["O", "CDS+", "CDS-"]
# What a base outside of genes counts in training, of which there are few.
OUTSIDE = 4.0


def turn(locus: Locus) -> Locus:
    """Returns the other strand of a locus, with its genes."""
    length = len(locus.sequence)
    other = {"+": "-", "-": "+"}
    genes = [
        Interval(g.chrom, length - g.end, length - g.start, g.name, g.score, other[g.strand])
        for g in locus.genes
    ]
    sequence = reverse_complement(locus.sequence).numpy().decode()
    return Locus(locus.name, sequence, tuple(sorted(genes)))


def examples(
    loci: Sequence[Locus], tokenizer: bb.Tokenizer, length: int, seed: int
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """Yields parts of loci, of either strand, with a label for each piece; without end."""
    rng = np.random.default_rng(seed)
    tokenized = []
    for locus in [*loci, *map(turn, loci)]:
        ids, starts, ends = (v.numpy() for v in tokenizer.tokenize_with_offsets(locus.sequence))
        labels = intervals_to_labels(locus.genes, starts, ends, LABELS, chrom=locus.name)
        tokenized.append((ids, labels))
    while True:
        ids, labels = tokenized[rng.integers(len(tokenized))]
        begin = rng.integers(max(1, len(ids) - length + 3))
        part = slice(begin, begin + length - 2)
        x, place = pack(tokenizer, ids[part], length)
        y, weight = np.zeros(length, np.int32), np.zeros(length, np.float32)
        y[place] = labels[part]
        weight[place] = np.where(y[place], 1.0, OUTSIDE)
        yield x, y, weight


def pack(tokenizer: bb.Tokenizer, ids: np.ndarray, length: int) -> tuple[dict, slice]:
    """Lays pieces out as `[CLS] pieces [SEP]`, and tells where they are."""
    x = {name: np.zeros(length, np.int32) for name in ("attention_mask", "token_type_ids")}
    x["input_ids"] = np.full(length, tokenizer.pad_token_id, np.int32)
    x["input_ids"][: len(ids) + 2] = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
    x["attention_mask"][: len(ids) + 2] = 1
    return x, slice(1, len(ids) + 1)


def find_genes(
    model: bb.BigBirdForTokenClassification,
    tokenizer: bb.Tokenizer,
    locus: Locus,
    length: int,
) -> list[Interval]:
    """Returns the coding intervals that a model finds in windows of so many pieces.

    Windows overlap by half; a piece has its label from the one in which it is nearest the middle.
    """
    ids, starts, ends = (v.numpy() for v in tokenizer.tokenize_with_offsets(locus.sequence))
    size = length - 2
    begins = list(range(0, max(1, len(ids) - size // 2), size // 2))
    packed = [pack(tokenizer, ids[begin : begin + size], length) for begin in begins]
    inputs = {name: np.stack([x[name] for x, _ in packed]) for name in packed[0][0]}
    logits = model.predict(inputs, batch_size=8, verbose=0)
    labels, nearest = np.zeros(len(ids), int), np.full(len(ids), np.inf)
    for begin, (_, place), row in zip(begins, packed, logits, strict=True):
        found = row[place].argmax(axis=-1)
        distance = np.abs(np.arange(len(found)) - (size - 1) / 2)
        part = slice(begin, begin + len(found))
        is_nearer = distance < nearest[part]
        labels[part] = np.where(is_nearer, found, labels[part])
        nearest[part] = np.minimum(nearest[part], distance)
    return labels_to_intervals(labels, starts, ends, LABELS, chrom=locus.name)


def score(loci: Sequence[Locus], found: Sequence[Sequence[Interval]]) -> dict[str, float]:
    """Compares intervals base by base, with strands.

    Returns:
        Percentages: bases with the right label; of coding ones and of others those that are found;
        and the mean of these two.
    """
    confusion = np.zeros((len(LABELS), len(LABELS)))
    for locus, intervals in zip(loci, found, strict=True):
        # Single bases as tokens.
        places = np.arange(len(locus.sequence))
        true, guess = (
            intervals_to_labels(which, places, places + 1, LABELS, chrom=locus.name)
            for which in (locus.genes, intervals)
        )
        np.add.at(confusion, (true, guess), 1)
    right = np.diag(confusion)
    coding = right[1:].sum() / max(1, confusion[1:].sum())
    other = right[0] / max(1, confusion[0].sum())
    parts = {
        "bases": right.sum() / confusion.sum(),
        "coding": coding,
        "not coding": other,
        "mean of both": (coding + other) / 2,
    }
    return {name: round(100 * float(value), 1) for name, value in parts.items()}


def run(
    loci: Sequence[Locus],
    *,
    seconds: float,
    length: int = 2048,
    short: int = 512,
    batch_size: int = 4,
    seed: int = 0,
    max_steps: int | None = None,
    checkpoint: Path | None = None,
    output: Path | None = None,
    **fields,
) -> dict:
    """Trains a model on annotated loci and asks it about others.

    Args:
        loci: Annotated sequences; those for testing are chosen by a hash of their names.
        seconds: Training time.
        length: Pieces of an input.
        short: Pieces of the windows that the same model reads for comparison.
        batch_size: Inputs of a step.
        seed: Of data and weights.
        max_steps: Ends training sooner.
        checkpoint: A directory with tokenizer and weights to start from, such as a GENA-LM; `None`
            for a new model on 3-mers.
        output: A folder for BED files of the test loci, and the model; `None` for none.
        **fields: Other fields of the config.
    """
    by_name = {locus.name: locus for locus in loci}
    train_names, test_names = split(by_name)
    # Every second one is turned, or a strand would be known beforehand.
    tests = [
        turn(by_name[name]) if number % 2 else by_name[name]
        for number, name in enumerate(test_names)
    ]
    keras.utils.set_random_seed(seed)
    if checkpoint is None:
        tokenizer = bb.DnaTokenizer(k=3)
        config = make_config(tokenizer, length, id2label=dict(enumerate(LABELS)), **fields)
        model = bb.BigBirdForTokenClassification(config)
    else:
        tokenizer = bb.Tokenizer.from_pretrained(checkpoint)
        model = bb.BigBirdForTokenClassification.from_pretrained(
            checkpoint, id2label=dict(enumerate(LABELS)), **fields
        )
    row = tf.TensorSpec([length], tf.int32)
    names = ("input_ids", "attention_mask", "token_type_ids")
    dataset = tf.data.Dataset.from_generator(
        lambda: examples([by_name[name] for name in train_names], tokenizer, length, seed),
        output_signature=(
            dict.fromkeys(names, row),
            row,
            tf.TensorSpec([length], tf.float32),
        ),
    ).batch(batch_size)
    rate = {} if checkpoint is None else {"learning_rate": 1e-4}
    report = fit(model, dataset, seconds, max_steps=max_steps, **rate)
    found = {
        size: [find_genes(model, tokenizer, locus, size) for locus in tests]
        for size in (length, short)
    }
    everything = [[Interval(t.name, 0, len(t.sequence), "CDS", 0, "+")] for t in tests]
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, intervals in (("found", found[length]), ("annotated", [t.genes for t in tests])):
            write_bed(output / f"{name}.bed", [i for of_locus in intervals for i in of_locus])
        model.save_pretrained(output / "model")
        tokenizer.save_pretrained(output / "model")
    return {
        "training loci": len(train_names),
        "test loci": len(tests),
        "test bases": sum(len(t.sequence) for t in tests),
        "weights": model.count_params(),
        "training": report,
        "bases found, %": {
            "all coding, on the + strand": score(tests, everything),
            f"the model, {length} pieces": score(tests, found[length]),
            f"the model, windows of {short} pieces": score(tests, found[short]),
        },
    }
