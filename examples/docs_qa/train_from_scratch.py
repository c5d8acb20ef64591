"""Trains the model that ships: `python -m examples.docs_qa.train_from_scratch`.

From nothing: a vocabulary of the training packages' pages, then a small BigBird on windows of them,
short ones first. Recipes are compared on the validation packages; the test packages are asked with
`--test` only, by whoever has chosen. `examples.docs_qa.calibrate` tells afterwards how sure its
answers are.
"""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bigbird_tf import BigBirdForQuestionAnswering
from bigbird_tf.preprocessing import BigBirdTokenizer
from examples.docs_qa.console import (
    FitProgress,
    evaluate_with_progress,
    heading,
    load_pages_with_progress,
    make_progress,
    print_data,
    print_evaluations,
)
from examples.docs_qa.dataset import MAX_LENGTH, describe, encode_split
from examples.docs_qa.evaluate import FAR, GROUPS, Reader, View, choose_questions
from examples.docs_qa.questions import make_practice, make_splits
from examples.docs_qa.train import SPAN_LOSSES, Recipe, Stage, build_model, train
from examples.docs_qa.vocabulary import train_vocabulary

__all__ = ["RECIPES", "VIEWS", "run"]

VIEWS = (View(MAX_LENGTH), View(512), View(512, up_to=MAX_LENGTH))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to train, and how.

    Attributes:
        recipe: How.
        model: Fields of the model's config that differ from `build_model`'s.
    """

    recipe: Recipe
    model: dict = dataclasses.field(default_factory=dict)


# Many definitions in short windows of digests: of these, a step teaches most.
STAGES = (
    Stage("practice", 128, 32, 0.05),
    Stage("practice", 512, 16, 0.15),
    Stage("practice", 1024, 8, 0.25),
    Stage("train", 2048, 4, 0.25),
    Stage("train", 4096, 2, 0.3),
)
RECIPE = Recipe(stages=STAGES, final_learning_rate=1e-4)
# Depth was compared on the validation packages; the checkpoint's card has the results. All are of
# one size: what layers there are more, they are narrower.
RECIPES = {
    "four-layers": Plan(RECIPE),
    "five-layers": Plan(RECIPE, {"num_hidden_layers": 5, "intermediate_size": 768}),
    "six-layers": Plan(RECIPE, {"num_hidden_layers": 6, "intermediate_size": 512}),
    # What goes on from a model of these, without new auxiliary outputs.
    "longer": Plan(
        Recipe(
            (Stage("train", 4096, 2, 1.0),),
            learning_rate=3e-4,
            final_learning_rate=3e-5,
            loss_weights=SPAN_LOSSES,
        )
    ),
}


def processor_time() -> float:
    """Returns the time for which this process has had all processors, in seconds."""
    return time.process_time() / os.cpu_count()


def run(
    plan: Plan,
    output: Path,
    console: Console,
    *,
    minutes: float,
    packages: tuple[str, ...] | None = None,
    vocab_size: int = 8000,
    start: Path | None = None,
    max_questions: int | None = None,
    test: bool = False,
) -> dict:
    """Trains and evaluates a model.

    Args:
        plan: What, and how.
        output: The folder for pages, and for the model.
        console: Where to tell about it.
        minutes: Training time, in minutes of all processors.
        packages: Only these packages; `None` for all.
        vocab_size: Pieces of the vocabulary.
        start: The folder of a model to go on from, with its vocabulary; `None` for a new one.
        max_questions: At most so many questions in an evaluation.
        test: Whether to ask the test packages, too.

    Returns:
        What `results.json` in the folder holds as well.
    """
    heading(console, "1. Pages", "help pages of this machine's Python packages, by pydoc")
    pages, _ = load_pages_with_progress(output, console, packages=packages)
    splits = make_splits(pages)
    with console.status("training the vocabulary, cutting pages into pieces"):
        texts = splits["train"].pages.values()
        if start is None:
            tokenizer = BigBirdTokenizer(train_vocabulary(texts, vocab_size=vocab_size))
        else:
            tokenizer = BigBirdTokenizer.from_pretrained(start)
        encoded = {name: encode_split(split, tokenizer) for name, split in splits.items()}
        practice = encode_split(make_practice(splits["train"]), tokenizer)
        # Evidence far apart is rare.
        distances = encoded["train"].distances()
        often = encoded["train"].repeat(1 + 2 * (distances >= FAR // 2) + 6 * (distances >= FAR))
    data = {name: describe(splits[name], encoded[name]) for name in splits}
    print_data(data, console)

    heading(console, "2. Training", f"{minutes:g} minutes of {os.cpu_count()} processors")
    if start is None:
        model = build_model(tokenizer.vocab_size, tokenizer.sep_token_id, **plan.model)
    else:
        model = BigBirdForQuestionAnswering.from_pretrained(start)
    console.print(f"{model.count_params():,} weights")
    with make_progress(console) as progress:
        stages = train(
            model,
            {"train": often, "practice": practice},
            plan.recipe,
            seconds=60 * minutes,
            clock=processor_time,
            callbacks=lambda stage: [
                FitProgress(progress, f"{stage.length:>4} pieces, {stage.source} pages")
            ],
        )
    # So that nobody asks the model what it has learnt by heart.
    known = {name: split.packages for name, split in splits.items()}
    model.config = model.config.replace(extra={**model.config.extra, "docs_qa_packages": known})
    model.save_pretrained(output, dtype="float16")
    tokenizer.save_pretrained(output)

    results = {"data": data, "training": stages}
    for name in ("validation", "test") if test else ("validation",):
        heading(console, "3. Evaluation", f"{name} packages")
        questions = choose_questions(encoded[name], length=MAX_LENGTH, count=max_questions)
        readers = Reader.for_views(model, tokenizer, VIEWS)
        evaluations = evaluate_with_progress(readers, encoded[name], questions, console)
        print_evaluations(
            {str(found.view): found for found in evaluations},
            console,
            title="the model sees",
            groups=GROUPS[:3],
        )
        results[name] = [evaluation.to_dict() for evaluation in evaluations]
    text = json.dumps(results, indent=2)
    (output / "results.json").write_text(text + "\n", encoding="utf-8")
    return results


def main(
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.")] = "six-layers",
    minutes: Annotated[float, typer.Option(min=0.01, help="Minutes of all processors.")] = 32.0,
    output: Annotated[Path, typer.Option(help="The folder to write.")] = Path("docs_qa_model"),
    start: Annotated[Path | None, typer.Option(help="A model to go on from.")] = None,
    max_questions: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    test: Annotated[bool, typer.Option(help="Ask the test packages, too.")] = False,
) -> None:
    """Trains the documentation model from scratch, and evaluates it."""
    if recipe not in RECIPES:
        raise typer.BadParameter(
            f"--recipe must be one of {', '.join(RECIPES)}. Received: {recipe}"
        )
    if recipe == "longer" and start is None:
        raise typer.BadParameter("--recipe longer goes on from a model: give its folder, --start")
    options = {"minutes": minutes, "max_questions": max_questions, "test": test, "start": start}
    run(RECIPES[recipe], output, Console(), **options)


if __name__ == "__main__":
    typer.run(main)
