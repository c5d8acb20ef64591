"""Heads with a `DnaTokenizer`: sequences in; labels, intervals and filled masks out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.preprocessing.genomics import labels_to_intervals
from bigbird_tf.serving import make_servable
from bigbird_tf.serving.export import SERVABLES
from tests.serving.conftest import small_config

LABELS = ["O", "gene+", "gene-"]
RNG = np.random.default_rng(3)
# Longer than the model's 61 pieces, one without a base, and short.
SEQUENCES = ["".join(RNG.choice(list("ACGTN"), n)) for n in (401, 0, 17, 150)]


@pytest.fixture(scope="module")
def tokenizer():
    return bb.DnaTokenizer(k=3)


def make(cls, tokenizer, **fields):
    keras.utils.set_random_seed(29)
    return cls(small_config(**{**tokenizer.config_fields, "id2label": None, **fields}))


@pytest.mark.parametrize("overlapping", [False, True])
def test_intervals(overlapping):
    """Bases of the sequence, as the labels of its tokens make them."""
    tokenizer = bb.DnaTokenizer(k=3, overlapping=overlapping)
    fields = {"id2label": dict(enumerate(LABELS))}
    model = make(bb.BigBirdForTokenClassification, tokenizer, **fields)
    servable = make_servable(model, tokenizer)
    found = servable.signatures()["serving_default"](text=tf.constant(SEQUENCES))
    for row in (2,):
        # Of one window; others are put together as those of texts are.
        logits = model(tokenizer([SEQUENCES[row]], pad_to_multiple_of=4))
        ids, starts, ends = (v.numpy() for v in tokenizer.tokenize_with_offsets(SEQUENCES[row]))
        labels = np.argmax(logits[0, 1 : len(ids) + 1], axis=-1)
        expected = labels_to_intervals(labels, starts, ends, LABELS, chrom="x")
        count = int(np.sum(found["ends"][row] > 0))
        rows = [found[name][row, :count].numpy() for name in ("starts", "ends", "labels")]
        assert [(int(s), int(e), label.decode()) for s, e, label in zip(*rows, strict=True)] == [
            (i.start, i.end, i.name + i.strand) for i in expected
        ]
    for row, sequence in enumerate(SEQUENCES):
        end = 0
        for k, text in enumerate(found["texts"][row].numpy()):
            if not text:
                continue
            assert end <= found["starts"][row, k]
            start, end = int(found["starts"][row, k]), int(found["ends"][row, k])
            assert sequence[start:end] == text.decode()
    assert not found["labels"][1].numpy().any() or set(found["labels"][1].numpy()) == {b""}


def test_masks_are_filled_without_spaces(tokenizer):
    model = make(bb.BigBirdForMaskedLM, tokenizer)
    fill = make_servable(model, tokenizer, num_best=40).signatures()["serving_default"]
    found = fill(text=tf.constant(["ACG[MASK]TTT"]))
    for token, text in zip(
        found["tokens"][0, 0].numpy(), found["filled"][0, 0].numpy(), strict=True
    ):
        assert text == b"ACG" + token + b"TTT"


def test_other_letters_are_a_request_s_error(tokenizer):
    model = make(bb.BigBirdForSequenceClassification, tokenizer)
    classify = make_servable(model, tokenizer).signatures()["serving_default"]
    assert classify(text=tf.constant(SEQUENCES))["probabilities"].shape == (4, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="X at base 1 of sequence 1"):
        classify(text=tf.constant(["ACG", "AX"]))


def test_examples_are_sequences():
    """What a server is warmed up with."""
    tokenizer = bb.DnaTokenizer(k=3)
    for name, servable in SERVABLES.items():
        if name.startswith("BigBirdPegasus"):
            continue
        made = object.__new__(servable)
        made.tokenizer = tokenizer
        for values in made.example_inputs(7).values():
            tokenizer.tokenize(tf.constant(values))
