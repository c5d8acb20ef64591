"""What the demo and the training show on the console."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.docs_qa.dataset import EncodedSplit
from examples.docs_qa.evaluate import Evaluation, Reader, evaluate
from examples.docs_qa.explain import COLUMNS
from examples.docs_qa.pages import Page, load_pages

__all__ = [
    "FitProgress",
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


def load_pages_with_progress(folder: Path, console: Console, **kwargs) -> tuple[list[Page], int]:
    """Like `load_pages`, with a progress bar."""
    with make_progress(console) as progress:
        task = progress.add_task("rendering", total=None, note="")
        pages, left_out = load_pages(
            folder,
            on_start=lambda total: progress.update(task, total=total),
            on_page=lambda module: progress.update(task, advance=1, note=module),
            **kwargs,
        )
        total = len(pages) + left_out
        progress.update(task, total=total, completed=len(pages), note="")
    return pages, left_out


def evaluate_with_progress(
    readers: Sequence[Reader],
    encoded: EncodedSplit,
    questions: Sequence[int],
    console: Console,
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Evaluation]:
    """Like `evaluate`, with a progress bar."""
    with make_progress(console) as progress:
        task = progress.add_task("asking", total=len(questions), note="tracing the graph")
        return evaluate(
            readers,
            encoded,
            questions,
            is_over=is_over,
            on_batch=lambda size: progress.update(task, advance=size, note=""),
        )


class FitProgress(keras.callbacks.Callback):
    """Shows a `fit` of unknown length: a bar of its steps, the loss, how often answers are right.

    Args:
        progress: Where the bar goes.
        name: What is trained.
    """

    def __init__(self, progress: Progress, name: str):
        super().__init__()
        self.progress = progress
        self.name = name

    def on_train_begin(self, logs=None):
        """Draws the bar; nobody knows how many steps there will be."""
        self.task = self.progress.add_task(self.name, total=None, note="tracing the graph")

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


def print_evaluations(
    evaluations: Mapping[str, Evaluation], console: Console, *, title: str, groups: Sequence[str]
) -> None:
    """Shows how many answers of each group of questions are right.

    Args:
        evaluations: The rows, with their names.
        console: Where.
        title: Of the first column.
        groups: The columns, some of `GROUPS`.
    """
    table = Table(title, caption="exactly right (in brackets: overlap with the right answer, F1)")
    first = next(iter(evaluations.values()))
    for group in groups:
        count = first.summary(group)["questions"]
        table.add_column(f"{COLUMNS[group]}\n{count} question{'s' * (count != 1)}", justify="right")
    for name, evaluation in evaluations.items():
        cells = []
        for group in groups:
            numbers = evaluation.summary(group)
            if numbers["questions"]:
                cells.append(f"{numbers['exact_match']:.0f}% ({numbers['f1']:.0f})")
            else:
                cells.append("-")
        table.add_row(name, *cells)
    console.print(table)
