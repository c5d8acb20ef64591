"""Ask the documentation of this machine's own Python packages: `python -m examples.docs_qa.demo`.

Renders help pages, trains a vocabulary and a small BigBird from scratch on them, measures it on
packages that it has never seen, exports a SavedModel and asks it. About a quarter of an hour on two
cores; `--quick` does all of it in miniature, in about a minute.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import bigbird_tf as bb
from bigbird_tf.preprocessing import BigBirdTokenizer
from bigbird_tf.preprocessing.question_answering_metrics import exact_match, f1_score
from examples.docs_qa.dataset import EncodedSplit, encode_split
from examples.docs_qa.evaluate import MAX_ANSWER_PIECES, Evaluation, choose_questions, evaluate
from examples.docs_qa.pages import Page, load_pages
from examples.docs_qa.plotting import plot_by_position
from examples.docs_qa.questions import Split, abridge_split, make_splits
from examples.docs_qa.train import (
    MAX_LENGTH,
    Recipe,
    Stage,
    build_model,
    faster_dtype_policy,
    train,
)
from examples.docs_qa.vocabulary import train_vocabulary

__all__ = ["QUICK", "STANDARD", "Settings", "main", "run"]

TRUNCATED_LENGTH = 512


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much of everything.

    Attributes:
        minutes: For the demo as a whole.
        max_modules: At most so many modules of each package.
        packages: Only these packages; `None` for all.
        vocab_size: Pieces of the vocabulary.
        recipe: How to train.
        max_questions: At most so many questions in the evaluation.
        evaluation_share: Share of `minutes` kept for evaluation.
        export_minutes: Kept for export and asking.
        shown: Questions that the exported model is asked.
        model: Fields of the model's config that differ from `build_model`'s.
    """

    minutes: float = 15.0
    max_modules: int = 250
    packages: tuple[str, ...] | None = None
    vocab_size: int = 8000
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    max_questions: int | None = 400
    # Tracing the longest stage can overrun its time; the evaluation must have some left then.
    evaluation_share: float = 0.2
    export_minutes: float = 0.9
    shown: int = 5
    model: dict = dataclasses.field(default_factory=dict)


STANDARD = Settings()
# Too small to learn anything: it shows that every part works.
QUICK = Settings(
    minutes=1.0,
    max_modules=12,
    packages=(
        *("argparse", "ast", "asyncio", "collections", "concurrent", "csv", "ctypes", "datetime"),
        *("decimal", "difflib", "email", "fractions", "html", "http", "json", "logging"),
        *("multiprocessing", "pathlib", "random", "shutil", "statistics", "string", "unittest"),
    ),
    vocab_size=2000,
    recipe=Recipe(stages=(Stage("abridged", 128, 8, 0.5), Stage("train", 512, 2, 0.5))),
    max_questions=4,
    evaluation_share=0.1,
    export_minutes=0.2,
    shown=2,
    model={"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3},
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
    end = began + 60 * settings.minutes
    output.mkdir(parents=True, exist_ok=True)

    _heading(console, "1. Pages", "help pages of this machine's Python packages, by pydoc")
    pages = _load_pages(settings, output, console)
    splits = make_splits(pages)

    _heading(console, "2. Pieces", "a SentencePiece vocabulary of the training pages")
    with console.status("training the vocabulary"):
        vocabulary = train_vocabulary(
            splits["train"].pages.values(), vocab_size=settings.vocab_size
        )
    tokenizer = BigBirdTokenizer(vocabulary)
    with console.status("cutting pages into pieces"):
        encoded = {name: encode_split(split, tokenizer) for name, split in splits.items()}
        practice = encode_split(abridge_split(splits["train"]), tokenizer)
    data = {name: _describe(splits[name], encoded[name]) for name in splits}
    _print_data(data, console)

    reserve = 60 * (settings.minutes * settings.evaluation_share + settings.export_minutes)
    seconds = max(end - reserve - time.monotonic(), 60 * settings.minutes / 10)
    _heading(console, "3. Training", f"from scratch, for {seconds / 60:.1f} minutes")
    dtype = faster_dtype_policy()
    model = build_model(tokenizer.vocab_size, tokenizer.sep_token_id, dtype=dtype, **settings.model)
    console.print(f"{model.count_params():,} weights, {dtype}")
    with _progress(console) as progress:
        stages = train(
            model,
            {"train": encoded["train"], "abridged": practice},
            settings.recipe,
            seconds=seconds,
            callbacks=lambda stage: [_ProgressCallback(progress, stage)],
        )
    folder = output / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    test = encoded["test"]
    _heading(console, "4. Evaluation", f"{len(data['test']['packages'])} unseen packages")
    evaluations = _evaluate(model, tokenizer, test, settings, end, console)
    _print_evaluations(evaluations, console)
    picture = plot_by_position(evaluations, output / "accuracy_by_position.png")
    console.print(f"picture: {picture}")

    _heading(console, "5. Export", "a SavedModel, asked by a process without bigbird_tf")
    with console.status("exporting"):
        # In full precision, as it was saved: servers need no mixed one.
        exported = bb.export_saved_model(
            bb.BigBirdForQuestionAnswering.from_pretrained(folder),
            output / "saved_model",
            tokenizer=tokenizer,
            max_answer_length=MAX_ANSWER_PIECES,
            no_answer_threshold=None,
        )
    asked = choose_questions(test, length=MAX_LENGTH, count=settings.shown, seed=1)
    with console.status("loading it in another process and asking"):
        answers = _ask_export(exported, test, asked)
    _print_answers(answers, console)

    results = {
        "data": data,
        "dtype": dtype,
        "training": stages,
        "evaluation": {str(e.length): e.summary() for e in evaluations},
        "answers": answers,
        "saved_model": str(exported),
        "minutes": (time.monotonic() - began) / 60,
    }
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    console.print(f"\n{results['minutes']:.1f} minutes; everything is in {output}/")
    return results


def _heading(console: Console, title: str, about: str) -> None:
    console.rule(f"[bold]{title}[/bold]: {about}", align="left")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def _load_pages(settings: Settings, output: Path, console: Console) -> list[Page]:
    with _progress(console) as progress:
        task = progress.add_task("rendering", total=None, note="")
        pages = load_pages(
            output,
            max_per_package=settings.max_modules,
            packages=settings.packages,
            on_start=lambda total: progress.update(task, total=total),
            on_page=lambda module: progress.update(task, advance=1, note=module),
        )
        progress.update(task, total=len(pages), completed=len(pages), note="")
    return pages


def _describe(split: Split, encoded: EncodedSplit) -> dict:
    """Gives the numbers that say what kind of task this is."""
    within = encoded.answered_within(MAX_LENGTH)
    positions = encoded.context_start()[within] + encoded.answers[within, 0]
    lengths = np.diff(encoded.page_starts)[encoded.page_of[within]]
    return {
        "packages": split.packages,
        "pages": len(encoded.pages),
        "questions": len(encoded),
        "questions_within_reach": len(within),
        "median_pieces": float(np.median(lengths)) if len(within) else None,
        "answers_past_512": float(np.mean(positions >= 512)) if len(within) else None,
        "answers_past_1024": float(np.mean(positions >= 1024)) if len(within) else None,
    }


def _print_data(data: dict[str, dict], console: Console) -> None:
    table = Table("split", "packages", "pages", "questions", "median page", ">512", ">1,024")
    for name, numbers in data.items():
        table.add_row(
            name,
            str(len(numbers["packages"])),
            f"{numbers['pages']:,}",
            f"{numbers['questions']:,}",
            f"{numbers['median_pieces'] or 0:,.0f} pieces",
            f"{100 * (numbers['answers_past_512'] or 0):.0f}%",
            f"{100 * (numbers['answers_past_1024'] or 0):.0f}%",
        )
    table.caption = (
        "of the questions whose answer lies within 4,096 pieces: the page's median length, and how "
        "many answers lie past piece 512 and 1,024"
    )
    console.print(table)


class _ProgressCallback(keras.callbacks.Callback):
    """Shows a stage of training: a bar of its steps, the loss and how often the start is right."""

    def __init__(self, progress: Progress, stage: Stage):
        super().__init__()
        self.progress = progress
        self.stage = stage

    def on_train_begin(self, logs=None):
        name = f"{self.stage.length:>4} pieces, {self.stage.source} pages"
        self.task = self.progress.add_task(name, total=None, note="tracing the graph")

    def on_train_batch_end(self, batch, logs=None):
        note = f"loss {logs['loss']:.2f}, start right {100 * logs['start_logits_accuracy']:.0f}%"
        self.progress.update(self.task, completed=batch + 1, note=note)

    def on_train_end(self, logs=None):
        task = next(task for task in self.progress.tasks if task.id == self.task)
        self.progress.update(self.task, total=task.completed)


def _evaluate(
    model: bb.BigBirdForQuestionAnswering,
    tokenizer: BigBirdTokenizer,
    test: EncodedSplit,
    settings: Settings,
    end: float,
    console: Console,
) -> list[Evaluation]:
    """Asks as many questions as time allows, on whole pages and on their beginnings."""
    questions = choose_questions(test, length=MAX_LENGTH, count=settings.max_questions)
    left = max(end - 60 * settings.export_minutes - time.monotonic(), 1.0)
    evaluations = []
    with _progress(console) as progress:
        for length in (MAX_LENGTH, TRUNCATED_LENGTH):
            task = progress.add_task(f"{length:>4} pieces", total=len(questions), note="")
            evaluation = evaluate(
                model,
                tokenizer,
                test,
                questions,
                length=length,
                # The short one is asked what the long one had time for.
                seconds=0.8 * left if length == MAX_LENGTH else None,
                on_batch=lambda size, task=task: progress.update(task, advance=size),
            )
            questions = questions[: len(evaluation.predictions)]
            progress.update(task, total=len(questions))
            evaluations.append(evaluation)
    return evaluations


def _print_evaluations(evaluations: Sequence[Evaluation], console: Console) -> None:
    table = Table("the model sees", "questions", "exact match", "F1")
    for evaluation in evaluations:
        summary = evaluation.summary()
        table.add_row(
            f"the first {evaluation.length:,} pieces",
            str(summary["questions"]),
            f"{summary['exact_match']:.1f}",
            f"{summary['f1']:.1f}",
        )
    console.print(table)


def _ask_export(exported: Path, test: EncodedSplit, questions: Sequence[int]) -> list[dict]:
    asked = [
        {
            "question": test.questions[index].name,
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
                "question": question.name,
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
    parser.add_argument("--minutes", type=float, help="time for the demo as a whole")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder to write")
    options = parser.parse_args(arguments)
    settings = QUICK if options.quick else STANDARD
    if options.minutes is not None:
        if options.minutes <= 0:
            parser.error(f"--minutes must be positive. Received: {options.minutes:g}")
        settings = dataclasses.replace(settings, minutes=options.minutes)
    output = options.output / "quick" if options.quick else options.output
    run(settings, output, Console())


if __name__ == "__main__":
    main()
