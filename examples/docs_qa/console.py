"""What the demo and the training show on the console."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bigbird_tf import BigBirdForQuestionAnswering
from bigbird_tf.preprocessing import BigBirdTokenizer
from examples.docs_qa.dataset import EncodedSplit
from examples.docs_qa.evaluate import FAR, Evaluation, View, evaluate
from examples.docs_qa.pages import Page, load_pages
from examples.docs_qa.train import Stage

__all__ = [
    "ProgressCallback",
    "evaluate_with_progress",
    "heading",
    "load_pages_with_progress",
    "make_progress",
    "print_data",
    "print_evaluations",
]


def heading(console: Console, title: str, about: str) -> None:
    """Begins a step."""
    console.rule(f"[bold]{title}[/bold]: {about}", align="left")


def make_progress(console: Console) -> Progress:
    """Makes bars with a count, the time, and a note at the end (the field `note`)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def load_pages_with_progress(folder: Path, console: Console, **kwargs) -> list[Page]:
    """Like `load_pages`, with a progress bar."""
    with make_progress(console) as progress:
        task = progress.add_task("rendering", total=None, note="")
        pages = load_pages(
            folder,
            on_start=lambda total: progress.update(task, total=total),
            on_page=lambda module: progress.update(task, advance=1, note=module),
            **kwargs,
        )
        progress.update(task, total=len(pages), completed=len(pages), note="")
    return pages


def evaluate_with_progress(
    model: BigBirdForQuestionAnswering,
    tokenizer: BigBirdTokenizer,
    encoded: EncodedSplit,
    questions: Sequence[int],
    views: Sequence[View],
    console: Console,
) -> list[Evaluation]:
    """Evaluates a model in each view, with a progress bar for each."""
    evaluations = []
    with make_progress(console) as progress:
        for view in views:
            task = progress.add_task(str(view), total=len(questions), note="")
            evaluations.append(
                evaluate(
                    model,
                    tokenizer,
                    encoded,
                    questions,
                    view=view,
                    on_batch=lambda size, task=task: progress.update(task, advance=size),
                )
            )
    return evaluations


class ProgressCallback(keras.callbacks.Callback):
    """Shows a stage of training: a bar of its steps, the loss and how often the start is right.

    Args:
        progress: Where the bar goes.
        stage: The stage.
    """

    def __init__(self, progress: Progress, stage: Stage):
        super().__init__()
        self.progress = progress
        self.stage = stage

    def on_train_begin(self, logs=None):
        """Draws the bar; nobody knows how many steps there will be."""
        name = f"{self.stage.length:>4} pieces, {self.stage.source} pages"
        self.task = self.progress.add_task(name, total=None, note="tracing the graph")

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar on."""
        note = f"loss {logs['loss']:.2f}, start right {100 * logs['start_logits_accuracy']:.0f}%"
        self.progress.update(self.task, completed=batch + 1, note=note)

    def on_train_end(self, logs=None):
        """Fills the bar."""
        task = next(task for task in self.progress.tasks if task.id == self.task)
        self.progress.update(self.task, total=task.completed)


def print_data(data: Mapping[str, dict], console: Console) -> None:
    """Shows what `describe` gave for each split."""
    table = Table(
        *("split", "packages", "pages", "sentence?", "median page", ">512", ">1,024"),
        *("class of?", "apart >512"),
    )
    for name, numbers in data.items():
        table.add_row(
            name,
            str(len(numbers["packages"])),
            f"{numbers['pages']:,}",
            f"{numbers['sentence_questions']:,}",
            f"{numbers['median_pieces'] or 0:,.0f} pieces",
            f"{100 * (numbers['answers_past_512'] or 0):.0f}%",
            f"{100 * (numbers['answers_past_1024'] or 0):.0f}%",
            f"{numbers['class_questions']:,}",
            f"{100 * (numbers['evidence_apart_512'] or 0):.0f}%",
        )
    table.caption = (
        "of the questions that can be answered within 4,096 pieces: how long the page is, how many "
        "sentences stand past piece 512 and 1,024, and how many methods so far from their class"
    )
    console.print(table)


def print_evaluations(evaluations: Sequence[Evaluation], console: Console) -> None:
    """Shows exact match and F1 of each view and kind of question."""
    table = Table("the model sees")
    columns: dict[str, Callable[[Evaluation], dict]] = {
        "first sentence": lambda e: e.summary("sentence"),
        "class of": lambda e: e.summary("class"),
        f"class of, {FAR}+ pieces away": lambda e: e.summary("class", min_distance=FAR),
    }
    for title, summary in columns.items():
        count = summary(evaluations[0])["questions"]
        table.add_column(f"{title}\n{count} questions\nEM / F1", justify="right")
    for evaluation in evaluations:
        cells = []
        for summary in columns.values():
            numbers = summary(evaluation)
            if numbers["questions"]:
                cells.append(f"{numbers['exact_match']:.1f} / {numbers['f1']:.1f}")
            else:
                cells.append("-")
        table.add_row(str(evaluation.view), *cells)
    console.print(table)
