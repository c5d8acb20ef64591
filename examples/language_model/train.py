"""Trains language models of Python source, and compares their attention at equal time.

`python -m examples.language_model.train`. From nothing: a vocabulary of the training modules, then
one small decoder after the other, each for the same time. They differ in attention alone: full;
block-sparse as `BigBirdForCausalLM` has it; and its window without global and random blocks. Held
out modules tell how many bits a byte takes, by its position.
"""

import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

import bigbird_tf as bb
from examples.docs_qa.train import ENDLESS, Recipe, TimeBudget
from examples.language_model.sources import (
    Vocabulary,
    find_modules,
    read_modules,
    split_modules,
)

__all__ = ["ATTENTIONS", "bits_per_byte", "build_model", "run"]

RESULTS = Path(__file__).parent / "results"
SPARSE = {"causal_attention_type": "block_sparse", "num_window_blocks": (2, 0)}
ATTENTIONS: dict[str, dict[str, Any]] = {
    "block-sparse": {**SPARSE, "num_global_blocks": (1, 0), "num_random_blocks": 3},
    "window": {**SPARSE, "num_global_blocks": 0, "num_random_blocks": 0},
    "full": {"causal_attention_type": "original_full"},
}
RECIPE = Recipe(stages=(), learning_rate=2e-3, final_learning_rate=2e-4, warmup_steps=20)


def build_model(
    vocab_size: int, length: int, attention: str, seed: int = 0, **fields: Any
) -> bb.BigBirdForCausalLM:
    """Makes a new decoder: three layers, 192 wide, blocks of 64."""
    keras.utils.set_random_seed(seed)
    config = {
        "vocab_size": vocab_size,
        "hidden_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        # On CPUs, a GELU costs as much as the matrix products beside it.
        "hidden_act": "relu",
        # Minutes of training do not overfit.
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
        "max_position_embeddings": length,
        "block_size": 64,
        "is_decoder": True,
        **ATTENTIONS[attention],
    }
    return bb.BigBirdForCausalLM(bb.BigBirdConfig(**{**config, **fields}))


def windows(
    modules: Sequence[np.ndarray], length: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Returns batches for `fit` without end: parts of one module after the other."""
    rng = np.random.default_rng(seed)

    def draw():
        while True:
            order = rng.permutation(len(modules))
            pieces = np.concatenate([modules[i] for i in order])
            # Another beginning in each round.
            pieces = pieces[rng.integers(0, length) :]
            count = (len(pieces) - 1) // length
            for start in rng.permutation(count) * length:
                window = pieces[start : start + length + 1]
                yield window[:-1], window[1:]

    spec = tf.TensorSpec([length], tf.int32)
    dataset = tf.data.Dataset.from_generator(draw, output_signature=(spec, spec))
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


def train(
    model: bb.BigBirdForCausalLM,
    modules: Sequence[np.ndarray],
    length: int,
    batch_size: int,
    seconds: float,
) -> dict[str, float]:
    """Trains a model for a time that begins after its first step, for which a graph is traced."""
    optimizer = keras.optimizers.AdamW(
        RECIPE.learning_rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0
    )
    model.compile(optimizer=optimizer, metrics=None)
    dataset = windows(modules, length, batch_size, RECIPE.seed)
    weights = model.get_weights()
    model.fit(dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    model.set_weights(weights)
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    begin = time.monotonic()
    budget = TimeBudget(RECIPE, begin=begin, seconds=seconds, deadline=begin + seconds)
    history = model.fit(
        dataset, steps_per_epoch=ENDLESS, shuffle=False, verbose=0, callbacks=[budget]
    )
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
    return {
        "steps": steps,
        "pieces": steps * batch_size * length,
        "seconds": time.monotonic() - begin,
        "loss": history.history["loss"][-1],
    }


def bits_per_byte(
    model: bb.BigBirdForCausalLM,
    modules: Sequence[np.ndarray],
    num_bytes: np.ndarray,
    length: int,
    edges: Sequence[int],
) -> list[float]:
    """Returns bits per byte between positions, of the first `length` pieces of long modules.

    Args:
        model: The model.
        modules: Ids of texts; shorter ones than `length + 1` are left out.
        num_bytes: Bytes of each piece.
        length: How many pieces of each text.
        edges: Positions, from 0 to `length`, between which to average.

    Raises:
        ValueError: If no text is long enough.
    """
    long = [ids[: length + 1] for ids in modules if len(ids) > length]
    if not long:
        raise ValueError(f"`modules` must have a text of more than {length} pieces")

    @tf.function
    def losses(ids):
        logits = model(ids[:, :-1])
        return tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits)

    nats = np.concatenate([losses(tf.constant(ids[None])).numpy() for ids in long])
    sizes = num_bytes[np.stack(long)[:, 1:]]
    return [
        float(nats[:, start:end].sum() / np.log(2) / sizes[:, start:end].sum())
        for start, end in itertools.pairwise(edges)
    ]


def run(
    console: Console,
    *,
    seconds: float,
    length: int = 4096,
    batch_size: int = 1,
    vocab_size: int = 1500,
    max_bytes: int = 8_000_000,
    max_modules: int = 24,
    modules: Sequence[str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Trains and evaluates a model of each kind of attention.

    Args:
        console: Where to tell about it.
        seconds: Training time of each model.
        length: Pieces of a sequence.
        batch_size: Sequences of a step.
        vocab_size: Pieces of the vocabulary.
        max_bytes: At most so much source code to learn from.
        max_modules: At most so many held-out modules are evaluated.
        modules: Only modules whose names begin so; `None` for all.
        **fields: Other fields of the models' config.

    Returns:
        What the result's file holds.
    """
    files = {
        name: file
        for name, file in find_modules().items()
        if modules is None or name.startswith(tuple(modules))
    }
    names, held_out = split_modules(list(files))
    texts = read_modules(files, names, max_bytes)
    vocabulary = Vocabulary(texts, vocab_size)
    pieces = vocabulary.encode(texts)
    others = vocabulary.encode(read_modules(files, held_out, max_bytes))
    tests = [ids for ids in others if len(ids) > length][:max_modules]
    data = {
        "modules": len(texts),
        "bytes": sum(len(text.encode()) for text in texts),
        "pieces": sum(map(len, pieces)),
        "held_out_modules": len(tests),
    }
    console.print(data)
    # Eighths of the sequence, and of the first one the part before the window is full.
    edges = [0, length // 16, *(length * i // 8 for i in range(1, 9))]
    results: dict[str, Any] = {}
    for attention in ATTENTIONS:
        model = build_model(vocab_size, length, attention, **fields)
        trained = train(model, pieces, length, batch_size, seconds)
        by_position = bits_per_byte(model, tests, vocabulary.num_bytes, length, edges)
        total = bits_per_byte(model, tests, vocabulary.num_bytes, length, [0, length])[0]
        results[attention] = {**trained, "bits": by_position, "bits_of_all": total}
        console.print(attention, results[attention])
    return {"data": data, "length": length, "edges": edges, "results": results}


def print_results(found: dict[str, Any], console: Console) -> None:
    """Shows bits per byte of each kind of attention, by position."""
    edges = found["edges"]
    parts = [f"{start}-{end}" for start, end in itertools.pairwise(edges)]
    table = Table("attention", "steps", "all", *parts, title="bits per byte, by position in pieces")
    for name, result in found["results"].items():
        bits = [f"{x:.3f}" for x in (result["bits_of_all"], *result["bits"])]
        table.add_row(name, str(result["steps"]), *bits)
    console.print(table)


def write_results(found: dict[str, Any], folder: Path) -> None:
    """Writes `results.json` and `bits.png`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    figure, axis = plt.subplots(figsize=(7, 4.5))
    edges = np.array(found["edges"])
    middles = (edges[:-1] + edges[1:]) / 2
    for name, result in found["results"].items():
        axis.plot(middles, result["bits"], marker="o", label=f"{name}, {result['steps']} steps")
    axis.set(xlabel="position, pieces", ylabel="bits per byte", title="Held-out modules")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(folder / "bits.png", dpi=120)
    plt.close(figure)


# For `--quick`: some modules, and models that learn next to nothing.
MINIATURE: dict[str, Any] = {
    "seconds": 2.0,
    "length": 256,
    "vocab_size": 500,
    "max_modules": 2,
    "modules": ("json/", "email/", "html/", "logging/"),
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "intermediate_size": 24,
    "block_size": 16,
}


def main(
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time of each model.")] = 4.0,
    output: Annotated[Path, typer.Option(help="The folder of table and picture.")] = RESULTS,
    length: Annotated[int, typer.Option(min=256, help="Pieces of a sequence.")] = 4096,
    quick: Annotated[bool, typer.Option(help="All of it in miniature.")] = False,
) -> None:
    """Compares kinds of causal attention on Python source at equal time."""
    console = Console()
    if quick:
        print_results(run(console, **MINIATURE), console)
        return
    found = run(console, seconds=60 * minutes, length=length)
    print_results(found, console)
    write_results(found, output)


if __name__ == "__main__":
    typer.run(main)
