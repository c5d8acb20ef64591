"""Masked language models of a genome: bits per base, beside Markov models of its letters."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.preprocessing.genomics import reverse_complement
from examples.genomics.sources import windows
from examples.genomics.training import fit, make_config

__all__ = ["bits_per_base", "markov_bits", "run"]

# How strongly a Markov model holds to what the next shorter one says, in occurrences.
PRIOR = 4.0


def markov_bits(
    train: Sequence[str], test: Sequence[str], orders: Sequence[int]
) -> dict[int, float]:
    """Returns the bits per base of Markov models, which know the bases before each one.

    What the context of an order has seldom been seen with is filled up from the order below.

    Args:
        train: Sequences to count in, on both strands.
        test: Sequences to predict.
        orders: How many bases before are known, ascending.
    """
    strands = [*train, *(text.decode() for text in reverse_complement(list(train)).numpy())]
    learnt, asked = _codes(strands), _codes(test)
    # Of each base of the test the probability by the order below.
    probability = np.full(asked.size, 0.25)
    found = {}
    for order in range(max(orders) + 1):
        # A number a context and the base behind it; whoever has N among them is left out.
        grams, whole = _grams(learnt, order)
        counts = np.bincount(grams[whole], minlength=4 ** (order + 1)).astype(np.float64)
        seen, known = _grams(asked, order)
        of_context = counts.reshape(-1, 4).sum(axis=1)
        better = (counts[seen] + PRIOR * probability) / (of_context[seen // 4] + PRIOR)
        probability = np.where(known, better, probability)
        if order in orders:
            found[order] = float(-np.log2(probability[asked < 4]).mean())
    return found


def _codes(sequences: Sequence[str]) -> np.ndarray:
    """Returns all bases as numbers, 4 for others and between sequences."""
    data = np.frombuffer("N".join(sequences).encode(), np.uint8)
    table = np.full(256, 4)
    table[list(b"ACGT")] = range(4)
    return table[data]


def _grams(codes: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each base a number of it and the `order` bases before, and whether all are."""
    number, whole = np.zeros(codes.size, np.int64), np.ones(codes.size, bool)
    padded = np.concatenate([np.full(order, 4), codes])
    for place in range(order + 1):
        part = padded[place : place + codes.size]
        number = 4 * number + np.minimum(part, 3)
        whole &= part < 4
    return number, whole


def bits_per_base(
    model: bb.BigBirdForMaskedLM,
    tokenizer: bb.DnaTokenizer,
    texts: Sequence[str],
    length: int,
    mask_rate: float = 0.15,
) -> float:
    """Returns the bits that a model needs for a base of the pieces that it does not see.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        texts: What to ask about.
        length: Pieces that the model reads at once; longer texts lose their ends.
        mask_rate: The share of pieces that are hidden.
    """
    preprocessor = bb.MaskedLMPreprocessor(
        tokenizer,
        length,
        mask_rate=mask_rate,
        mask_token_rate=1.0,
        random_token_rate=0.0,
        seed=17,
    )
    sizes = np.array(
        [len(text) for text in tokenizer.token_text(tf.range(model.config.vocab_size)).numpy()]
    )
    nats, bases = 0.0, 0
    for start in range(0, len(texts), 8):
        x, y, weight = preprocessor(tf.constant(texts[start : start + 8]), start)
        log_p = tf.nn.log_softmax(model(x, training=False))
        of_pieces = tf.gather(log_p, y, batch_dims=2).numpy()
        nats -= float((of_pieces * weight.numpy()).sum())
        bases += int((sizes[y.numpy()] * weight.numpy()).sum())
    return nats / bases / np.log(2)


def run(
    genome: Sequence[str],
    *,
    seconds: float,
    length: int = 2048,
    short: int = 512,
    vocab_size: int | None = None,
    orders: Sequence[int] = (0, 1, 2, 3, 5, 8, 11),
    batch_size: int = 4,
    tests: int = 32,
    seed: int = 0,
    max_steps: int | None = None,
    **fields,
) -> dict:
    """Trains a masked language model, and asks it about sequence that it has not been trained on.

    Args:
        genome: Sequences; the last tenth of each is for testing.
        seconds: Training time.
        length: Pieces of an input.
        short: Pieces of what the same model is given for comparison.
        vocab_size: Pieces of a vocabulary that is learnt first; `None` for 3-mers. Of more pieces
            a model learns in hours what stands beside what, not in minutes.
        orders: Of the Markov models.
        batch_size: Inputs of a step.
        tests: Test inputs at most.
        seed: Of data and weights.
        max_steps: Ends training sooner.
        **fields: Other fields of the config.
    """
    train = [text[: len(text) * 9 // 10] for text in genome]
    test = [text[len(text) * 9 // 10 :] for text in genome]
    if vocab_size is None:
        tokenizer = bb.DnaTokenizer(k=3)
    else:
        tokenizer = bb.DnaTokenizer.train(train, vocab_size, max_bases=1_000_000, seed=seed)
    sample = "".join(train)[:200_000]
    per_piece = len(sample) / len(tokenizer.tokenize(sample))
    # As many bases as fit, seldom more.
    bases = int(per_piece * (length - 2) * 0.97)
    keras.utils.set_random_seed(seed)
    model = bb.BigBirdForMaskedLM(make_config(tokenizer, length, **fields))
    # In minutes, steps are few: how often each piece is it knows from the beginning.
    counts = 1 + np.bincount(tokenizer.tokenize(sample).numpy(), minlength=tokenizer.vocab_size)
    model.head.bias.assign(np.log(counts / counts.sum()))
    preprocessor = bb.MaskedLMPreprocessor(tokenizer, length, seed=seed)
    long = [text for text in train if len(text) >= bases]

    def texts():
        rng = np.random.default_rng(seed)
        while True:
            source = long[rng.integers(len(long))]
            begin = rng.integers(len(source) - bases + 1)
            yield source[begin : begin + bases]

    dataset = tf.data.Dataset.from_generator(
        texts, output_signature=tf.TensorSpec([], tf.string)
    ).batch(batch_size)
    numbered = tf.data.Dataset.zip(dataset, tf.data.Dataset.counter())
    report = fit(
        model,
        numbered.map(lambda text, draw: preprocessor(reverse_complement(text, 0.5), draw)),
        seconds,
        max_steps=max_steps,
    )
    asked = windows(test, bases)[:tests]
    parts = windows(asked, int(per_piece * (short - 2) * 0.97))
    by_order = markov_bits(train, asked, orders)
    return {
        "training bases": sum(map(len, train)),
        "test bases": sum(map(len, asked)),
        "bases a piece": round(per_piece, 2),
        "weights": model.count_params(),
        "training": report,
        "bits a base": {
            "each base as often as another": 2.0,
            **{f"Markov model, order {order}": round(v, 4) for order, v in by_order.items()},
            f"the model, {length} pieces": round(bits_per_base(model, tokenizer, asked, length), 4),
            f"the model, cut to {short} pieces": round(
                bits_per_base(model, tokenizer, parts, short), 4
            ),
        },
    }
