"""Ask the documentation of this machine's own Python packages: `python -m examples.docs_qa.demo`.

Renders help pages; measures the model that ships with bigbird_tf on packages that it has never
seen, with whole pages, their beginnings, and short windows sliding over them; trains it on with
`model.fit` on this machine's other packages; measures again; exports a SavedModel and asks it from
another process. Well under a quarter of an hour on two cores; `--quick` does all of it in
miniature, in about a minute. How the model was trained: `train_from_scratch.py`.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

import bigbird_tf as bb
from bigbird_tf.preprocessing import BigBirdTokenizer
from bigbird_tf.preprocessing.question_answering_metrics import exact_match, f1_score
from examples.docs_qa.console import (
    ProgressCallback,
    evaluate_with_progress,
    heading,
    load_pages_with_progress,
    make_progress,
    print_data,
    print_evaluations,
)
from examples.docs_qa.dataset import MAX_LENGTH, EncodedSplit, describe, encode_split
from examples.docs_qa.evaluate import MAX_ANSWER_PIECES, View, choose_questions
from examples.docs_qa.plotting import plot_accuracy
from examples.docs_qa.questions import make_splits
from examples.docs_qa.train import SPAN_LOSSES, Recipe, Stage, faster_dtype_policy, train

__all__ = ["CHECKPOINT", "QUICK", "STANDARD", "Settings", "main", "run"]

CHECKPOINT = "bigbird-docs-qa-mini"
SHORT = 512


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much of everything.

    Attributes:
        checkpoint: Name or folder of the model to start from.
        max_modules: At most so many modules of each package.
        packages: Only these packages; `None` for all.
        length: Pieces of an input where whole pages are shown.
        recipe: How to train on.
        training_minutes: How long to train on.
        max_questions: At most so many questions in the evaluation.
        shown: Questions that the exported model is asked.
    """

    checkpoint: str = CHECKPOINT
    max_modules: int = 250
    packages: tuple[str, ...] | None = None
    length: int = MAX_LENGTH
    recipe: Recipe = dataclasses.field(
        default_factory=lambda: Recipe(
            stages=(Stage("train", 4096, 2, 1.0),),
            learning_rate=5e-5,
            final_learning_rate=5e-6,
            warmup_steps=20,
            loss_weights=SPAN_LOSSES,
        )
    )
    training_minutes: float = 3.0
    max_questions: int | None = 400
    shown: int = 6


STANDARD = Settings()
# Every part works; the numbers are of too few questions to mean much.
QUICK = Settings(
    max_modules=12,
    packages=(
        *("argparse", "ast", "asyncio", "collections", "concurrent", "csv", "ctypes", "datetime"),
        *("decimal", "difflib", "email", "fractions", "html", "http", "json", "logging"),
        *("multiprocessing", "pathlib", "random", "shutil", "statistics", "string", "unittest"),
    ),
    recipe=dataclasses.replace(STANDARD.recipe, stages=(Stage("train", 1024, 2, 1.0),)),
    training_minutes=0.1,
    max_questions=8,
    shown=2,
)


def run(settings: Settings, output: Path, console: Console) -> dict:
    """Does the whole demo.

    Args:
        settings: How much of everything.
        output: The folder for pages, model, picture, results.
        console: Where to tell about it.

    Returns:
        What `results.json` in that folder holds as well: numbers of the data, of the training and
        of the evaluations, and what the exported model answered.
    """
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)

    heading(console, "1. Pages", "help pages of this machine's Python packages, by pydoc")
    pages = load_pages_with_progress(
        output, console, max_per_package=settings.max_modules, packages=settings.packages
    )
    dtype = faster_dtype_policy()
    model = bb.BigBirdForQuestionAnswering.from_pretrained(settings.checkpoint, dtype=dtype)
    tokenizer = BigBirdTokenizer.from_pretrained(settings.checkpoint)
    console.print(f"{settings.checkpoint}: {model.count_params():,} weights, {dtype}")
    splits = make_splits(pages, known=model.config.extra.get("docs_qa_packages", {}))
    with console.status("cutting pages into pieces"):
        encoded = {name: encode_split(splits[name], tokenizer) for name in ("train", "test")}
    data = {name: describe(splits[name], encoded[name]) for name in encoded}
    print_data(data, console)
    test = encoded["test"]

    unseen = len(data["test"]["packages"])
    heading(console, "2. As it ships", f"asked about {unseen} packages that it has never seen")
    whole = View(settings.length)
    views = (whole, View(SHORT), View(SHORT, up_to=settings.length))
    questions = choose_questions(test, length=settings.length, count=settings.max_questions)
    asked_of = (tokenizer, test, questions)
    before = evaluate_with_progress(model, *asked_of, views, console)
    print_evaluations(before, console)
    picture = plot_accuracy(before, output / "accuracy.png")
    console.print(f"picture: {picture}")

    about = f"{settings.training_minutes:g} minutes of model.fit on this machine's other packages"
    heading(console, "3. Training on", about)
    with make_progress(console) as progress:
        stages = train(
            model,
            {"train": encoded["train"]},
            settings.recipe,
            seconds=60 * settings.training_minutes,
            callbacks=lambda stage: [ProgressCallback(progress, stage)],
        )
    folder = output / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    after = evaluate_with_progress(model, *asked_of, [whole], console)
    print_evaluations(after, console)

    heading(console, "4. Export", "a SavedModel, asked by a process without bigbird_tf")
    with console.status("exporting"):
        # In full precision, as it was saved: servers need no mixed one.
        exported = bb.export_saved_model(
            bb.BigBirdForQuestionAnswering.from_pretrained(folder),
            output / "saved_model",
            tokenizer=tokenizer,
            max_answer_length=MAX_ANSWER_PIECES,
            no_answer_threshold=None,
        )
    asked = choose_questions(test, length=settings.length, count=settings.shown, seed=1)
    with console.status("loading it in another process and asking"):
        answers = _ask_export(exported, test, asked)
    _print_answers(answers, console)

    results = {
        "data": data,
        "dtype": dtype,
        "training": stages,
        "as_shipped": [evaluation.to_dict() for evaluation in before],
        "trained_on": [evaluation.to_dict() for evaluation in after],
        "answers": answers,
        "saved_model": str(exported),
        "minutes": (time.monotonic() - began) / 60,
    }
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    console.print(f"\n{results['minutes']:.1f} minutes; everything is in {output}/")
    return results


def _ask_export(exported: Path, test: EncodedSplit, questions: Sequence[int]) -> list[dict]:
    asked = [
        {
            "question": test.questions[index].text,
            "context": test.pages[test.page_of[index]].decode(),
        }
        for index in questions
    ]
    process = subprocess.run(
        [sys.executable, Path(__file__).with_name("ask_saved_model.py"), exported],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if process.returncode:
        raise RuntimeError(f"The process that asks the SavedModel failed:\n{process.stderr}")
    answers = []
    for index, found in zip(questions, json.loads(process.stdout), strict=True):
        question = test.questions[index]
        answers.append(
            {
                "module": question.module,
                "question": question.text,
                "right_answer": question.answer,
                "answer": found["answer"],
                "exact": bool(exact_match(found["answer"], question.answer)),
                "f1": f1_score(found["answer"], question.answer),
            }
        )
    return answers


def _print_answers(answers: Sequence[dict], console: Console) -> None:
    for answer in answers:
        mark = "[green]right[/green]" if answer["exact"] else f"[red]F1 {answer['f1']:.2f}[/red]"
        console.print(f"[bold]{answer['question']}[/bold] in {answer['module']}? {mark}")
        # The pages' own text may look like markup.
        console.print(Text("  " + " ".join(answer["answer"].split()), overflow="fold"))
        if not answer["exact"]:
            right = " ".join(answer["right_answer"].split())
            console.print(Text(f"  (it says: {right})", style="dim"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all of it in miniature")
    parser.add_argument("--checkpoint", help=f"the model to start from, instead of {CHECKPOINT}")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder to write")
    options = parser.parse_args(arguments)
    settings = QUICK if options.quick else STANDARD
    if options.checkpoint:
        settings = dataclasses.replace(settings, checkpoint=options.checkpoint)
    output = options.output / "quick" if options.quick else options.output
    run(settings, output, Console())


if __name__ == "__main__":
    main()
