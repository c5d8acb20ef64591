"""Tokens a second of the `tf.data` pipeline beside Hugging Face's fast tokenizer.

`python -m benchmarks.tokenizer`: the same vocabulary, the same documents, two threads each, batches
of documents in and padded arrays of ids out.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import measuring

DEFAULT_VOCABULARY = Path(__file__).parents[2] / "shared/fixtures/vocab/gpt2.model"


def documents(count: int) -> list[str]:
    """Returns source files of the standard library as documents: text that is on every machine."""
    folder = Path(os.__file__).parent
    files = sorted(folder.glob("*.py"))
    found = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return (found * (count // len(found) + 1))[:count]


def main(
    vocabulary: Annotated[Path, typer.Option(help="A spiece.model.")] = DEFAULT_VOCABULARY,
    count: Annotated[int, typer.Option(help="Documents.")] = 400,
    batch: Annotated[int, typer.Option(help="Documents in a batch.")] = 16,
    max_length: Annotated[int, typer.Option(help="Pieces of an input.")] = 4096,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 5,
) -> None:
    """Measures tokens a second."""
    os.environ["RAYON_NUM_THREADS"] = "2"
    import tempfile

    import tensorflow as tf
    from transformers import BigBirdTokenizer as PeerTokenizer

    import bigbird_tf as bb

    texts = documents(count)
    tokenizer = bb.BigBirdTokenizer(vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        peer = PeerTokenizer.from_pretrained(folder)
    dataset = (
        tf.data.Dataset.from_tensor_slices(texts)
        .batch(batch)
        .map(lambda text: tokenizer(text, max_length=max_length), num_parallel_calls=2)
        .prefetch(2)
    )
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    dataset = dataset.with_options(options)
    counts = {}

    def ours():
        total = sum(int(x["attention_mask"].numpy().sum()) for x in dataset)
        counts["bigbird_tf, tf.data"] = total

    def theirs():
        total = 0
        for start in range(0, len(texts), batch):
            encoded = peer(
                texts[start : start + batch],
                padding=True,
                truncation=True,
                max_length=max_length,
                return_tensors="np",
            )
            total += int(encoded["attention_mask"].sum())
        counts["transformers, fast"] = total

    seconds = measuring.interleave(
        {"bigbird_tf, tf.data": ours, "transformers, fast": theirs}, rounds
    )
    rates = {name: counts[name] / value for name, value in seconds.items()}
    base = rates["transformers, fast"]
    measuring.print_table(
        f"{count} documents, batches of {batch}, at most {max_length} pieces",
        ["", "tokens", "tokens/s", "ratio"],
        [[name, counts[name], rate, rate / base] for name, rate in rates.items()],
    )
    path = measuring.write_json("tokenizer", {"tokens": counts, "tokens_per_second": rates})
    print(f"Wrote {path}")


if __name__ == "__main__":
    typer.run(main)
