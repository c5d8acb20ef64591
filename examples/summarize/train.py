"""Trains a small summariser from scratch, and measures it: `python -m examples.summarize.train`.

From nothing: a vocabulary of the training packages' sources, then a small BigBird-Pegasus; short
functions and classes first, whole modules in the end. Packages for testing are read by nobody
before they are summarised.
"""

import hashlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import keras
import sentencepiece
import tensorflow as tf
import typer
from keras import ops
from rich.console import Console
from rich.table import Table

import bigbird_tf as bb
from bigbird_tf.models.losses import weighted_crossentropy
from bigbird_tf.preprocessing import evaluate_rouge
from examples.docs_qa.train import ENDLESS, Recipe, Stage, TimeBudget
from examples.summarize.sources import (
    Pair,
    find_packages,
    read_pairs,
    split_packages,
    without,
)

__all__ = ["FULL", "QUICK", "build_model", "run", "train_vocabulary"]

TARGET_LENGTH = 28
CHARS_OF_PIECE = 8  # No text has more, so what is cut before it is tokenized would not be read.
# Functions and classes are short, and many: of these, a step teaches most.
FULL = Recipe(
    stages=(
        Stage("parts", 192, 32, 0.6),
        Stage("modules", 2048, 4, 0.4),
    ),
    learning_rate=2e-3,
    warmup_steps=100,
)
QUICK = Recipe(stages=(Stage("modules", 128, 4, 1.0),), warmup_steps=2)
GENERATION = {
    "max_new_tokens": TARGET_LENGTH,
    "num_beams": 4,
    "length_penalty": 0.8,
    "no_repeat_ngram_size": 3,
}


def train_vocabulary(pairs: Sequence[Pair], vocab_size: int = 4000) -> bb.PegasusTokenizer:
    """Trains a SentencePiece vocabulary with the special pieces of BigBird-Pegasus."""
    lines = {line for pair in pairs for line in pair.document[:2000].splitlines()}
    lines = sorted(lines)[:: max(1, len(lines) // 100_000)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line[:300] for line in lines] + [pair.summary for pair in pairs]),
        model_writer=model,
        vocab_size=vocab_size,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        # `PegasusTokenizer` writes line breaks so.
        user_defined_symbols=["<n>"],
        num_threads=2,
        minloglevel=2,
    )
    return bb.PegasusTokenizer(model.getvalue())


def build_model(
    tokenizer: bb.PegasusTokenizer, longest: int, seed: int = 0, **fields
) -> bb.BigBirdPegasusForConditionalGeneration:
    """Makes a new model: two layers in each stack, 160 wide, blocks of 32."""
    keras.utils.set_random_seed(seed)
    config = {
        **tokenizer.config_fields,
        "d_model": 160,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 640,
        "decoder_ffn_dim": 640,
        # On CPUs, a GELU costs as much as the matrix products beside it.
        "activation_function": "relu",
        "dropout": 0.0,
        "init_std": 0.05,
        "block_size": 32,
        "num_random_blocks": 2,
        "max_position_embeddings": longest,
    }
    return bb.BigBirdPegasusForConditionalGeneration(
        bb.BigBirdPegasusConfig(**{**config, **fields})
    )


def fit(
    model: bb.BigBirdPegasusForConditionalGeneration,
    tokenizer: bb.PegasusTokenizer,
    sources: dict[str, list[Pair]],
    recipe: Recipe,
    seconds: float,
    console: Console,
) -> list[dict]:
    """Trains a model within a given time, stage by stage; each does one step at least."""
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0
    )
    begin, share, report = time.monotonic(), 0.0, []
    for stage in recipe.stages:
        share += stage.share
        preprocessor = bb.SummarizationPreprocessor(tokenizer, stage.length, TARGET_LENGTH)
        pairs = sources[stage.source]
        dataset = tf.data.Dataset.from_tensor_slices(
            (
                [pair.document[: CHARS_OF_PIECE * stage.length] for pair in pairs],
                [pair.summary for pair in pairs],
            )
        )
        dataset = dataset.shuffle(len(pairs), seed=recipe.seed).repeat().batch(stage.batch_size)
        model.compile(optimizer, loss=weighted_crossentropy(label_smoothing=0.1))
        budget = TimeBudget(recipe, begin=begin, seconds=seconds, deadline=begin + share * seconds)
        before = int(ops.convert_to_numpy(optimizer.iterations))
        history = model.fit(
            dataset.map(preprocessor, num_parallel_calls=2).prefetch(4),
            steps_per_epoch=ENDLESS,
            shuffle=False,  # They are shuffled already.
            verbose=0,
            callbacks=[budget],
        )
        report.append(
            {
                "source": stage.source,
                "length": stage.length,
                "batch_size": stage.batch_size,
                "steps": int(ops.convert_to_numpy(optimizer.iterations)) - before,
                **{name: values[-1] for name, values in history.history.items()},
            }
        )
        console.print(report[-1])
    return report


def summarize(
    model: bb.BigBirdPegasusForConditionalGeneration,
    tokenizer: bb.PegasusTokenizer,
    documents: Sequence[str],
    length: int,
    batch_size: int = 16,
) -> list[str]:
    """Summarises documents, of which the model reads the first `length` pieces."""
    preprocessor = bb.SummarizationPreprocessor(tokenizer, length, TARGET_LENGTH)
    summaries = []
    for start in range(0, len(documents), batch_size):
        batch = [text[: CHARS_OF_PIECE * length] for text in documents[start : start + batch_size]]
        # One shape, so that one graph serves all.
        inputs = preprocessor(tf.constant(batch + [""] * (batch_size - len(batch))))
        tokens = model.generate(inputs, **GENERATION)[: len(batch)]
        kept = [[i for i in row if i not in tokenizer.all_special_ids] for row in tokens.numpy()]
        written = tokenizer.detokenize(tf.ragged.constant(kept, dtype=tf.int32)).numpy()
        summaries += [text.decode(errors="replace") for text in written]
    return summaries


def run(
    recipe: Recipe,
    output: Path | None,
    console: Console,
    *,
    minutes: float,
    packages: Sequence[str] | None = None,
    max_documents: int = 200,
    vocab_size: int = 4000,
    lengths: tuple[int, int] = (2048, 512),
    **fields,
) -> dict:
    """Trains and evaluates a model.

    Args:
        recipe: How to train.
        output: The folder to write model and results into; `None` for none.
        console: Where to tell about it.
        minutes: Training time.
        packages: Only these packages; `None` for all.
        max_documents: At most so many modules are summarised.
        vocab_size: Pieces of the vocabulary.
        lengths: How many pieces of a module the model sees, all and cut.
        **fields: Other fields of the model's config.

    Returns:
        What `results.json` in the folder holds as well.
    """
    files = find_packages()
    names = [name for name in files if packages is None or name in packages]
    splits = split_packages(names)
    console.print(f"reading the sources of {len(names)} packages")
    pairs = {
        split: read_pairs({name: files[name] for name in chosen}, seed=recipe.seed)
        for split, chosen in splits.items()
    }
    train = pairs["train"]
    sources = {
        "parts": [pair for pair in train if not pair.is_module],
        "modules": [pair for pair in train if pair.is_module],
    }
    tests = [pair for pair in without(pairs["test"], train) if pair.is_module]
    # In an order of nothing that they are about.
    tests = sorted(tests, key=lambda pair: digest_of(pair.document))[:max_documents]
    tokenizer = train_vocabulary(train, vocab_size)
    model = build_model(tokenizer, lengths[0], recipe.seed, **fields)
    pieces = [len(ids) for ids in tokenizer.tokenize([pair.document for pair in tests])]
    long = [number for number, count in enumerate(pieces) if count >= lengths[1]]
    data = {
        "packages": {split: len(chosen) for split, chosen in splits.items()},
        "training_modules": len(sources["modules"]),
        "training_parts": len(sources["parts"]),
        "test_modules": len(tests),
        "longer_than_cut": len(long),
        "weights": model.count_params(),
    }
    console.print(data)
    stages = fit(model, tokenizer, sources, recipe, 60 * minutes, console)

    documents = [pair.document for pair in tests]
    answers = {
        "its name": [text.split("\n")[0].replace("_", " ") for text in documents],
        "its first sentence": [pair.lead for pair in tests],
        **{
            f"the model, {length} pieces": summarize(model, tokenizer, documents, length)
            for length in lengths
        },
    }
    references = [pair.summary for pair in tests]
    groups = {"all": list(range(len(tests))), f"{lengths[1]} pieces or more": long}
    scores = {
        name: {
            group: evaluate_rouge([references[i] for i in chosen], [texts[i] for i in chosen])
            for group, chosen in groups.items()
            if chosen
        }
        for name, texts in answers.items()
    }
    print_scores(scores, console)
    examples = [
        {"summary": references[i], **{name: texts[i] for name, texts in answers.items()}}
        for i in range(min(8, len(tests)))
    ]
    results = {"data": data, "training": stages, "rouge": scores, "examples": examples}
    if output is not None:
        model.config = model.config.replace(extra={**model.config.extra, **GENERATION})
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
        text = json.dumps(results, indent=2, ensure_ascii=False)
        (output / "results.json").write_text(text + "\n", encoding="utf-8")
    return results


def digest_of(text: str) -> str:
    """Returns what a text is sorted by, the same on all machines."""
    return hashlib.sha256(text.encode()).hexdigest()


def print_scores(scores: dict, console: Console) -> None:
    """Shows ROUGE-1, -2 and -Lsum of each way to summarise."""
    groups = next(iter(scores.values()))
    table = Table("summary of a module", *groups)
    table.caption = "ROUGE-1 / 2 / Lsum, F-measure in percent"
    for name, of_name in scores.items():
        cells = [" / ".join(f"{x:.1f}" for x in group.values()) for group in of_name.values()]
        table.add_row(name, *cells)
    console.print(table)


def main(
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time.")] = 10.0,
    output: Annotated[Path, typer.Option(help="The folder to write.")] = Path("summarize_model"),
    max_documents: Annotated[int, typer.Option(min=1, help="Modules to summarise.")] = 200,
    quick: Annotated[bool, typer.Option(help="All of it in miniature.")] = False,
) -> None:
    """Trains a summariser of Python modules from scratch, and measures it."""
    if quick:
        run(QUICK, None, Console(), minutes=0.02, **MINIATURE)
        return
    run(FULL, output, Console(), minutes=minutes, max_documents=max_documents)


# For `--quick`: some of the standard library, and a model that learns nothing.
MINIATURE = {
    "packages": ("email", "json", "logging", "html", "http", "asyncio", "wsgiref", "zipfile"),
    "max_documents": 4,
    "vocab_size": 500,
    "lengths": (128, 64),
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "block_size": 8,
}

if __name__ == "__main__":
    typer.run(main)
