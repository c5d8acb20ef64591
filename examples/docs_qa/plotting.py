"""The picture of the demo: accuracy by where the evidence stands."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from examples.docs_qa.evaluate import Evaluation

__all__ = ["plot_accuracy", "score_by_range"]

POSITION_EDGES = (0, 256, 512, 1024, 2048, 4096)
DISTANCE_EDGES = (0, 128, 256, 512, 4096)


def score_by_range(
    evaluation: Evaluation, values: np.ndarray, edges: Sequence[int], kind: str
) -> list[tuple[int, float, float]]:
    """Gives the number of questions, exact match and F1 for each range of a value.

    Args:
        evaluation: The answers.
        values: A number for each question, such as `evaluation.positions`; (Q,).
        edges: Where ranges begin and end; a value belongs to the range it begins.
        kind: Of questions of this kind.

    Returns:
        One `(count, exact_match, f1)` a range, percentages; NaN where a range has no questions.
    """
    scores = []
    for low, high in itertools.pairwise(edges):
        inside = (values >= low) & (values < high) & (evaluation.kinds == kind)
        count = int(inside.sum())
        means = (evaluation.exact[inside], evaluation.f1[inside])
        scores.append((count, *(100 * float(m.mean()) if count else float("nan") for m in means)))
    return scores


def plot_accuracy(evaluations: Sequence[Evaluation], path: str | os.PathLike) -> Path:
    """Draws F1 by where the answer stands and by how far the evidence is apart, into a PNG.

    Args:
        evaluations: The same questions, in several views.
        path: The file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, evaluations, "sentence", [e.positions for e in evaluations], POSITION_EDGES)
    left.set_title("First sentence of a function's documentation")
    left.set_xlabel("position of the answer in the page, in pieces")
    left.set_ylabel("F1 on unseen packages, %")
    _draw(right, evaluations, "class", [e.distances for e in evaluations], DISTANCE_EDGES)
    right.set_title("Class of a method")
    right.set_xlabel("pieces between the class's heading and the method")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(evaluations),
        title="the same weights see",
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def _draw(axes, evaluations, kind, values, edges) -> None:
    ticks = np.arange(len(edges) - 1)
    width = 0.8 / len(evaluations)
    for number, (evaluation, its_values) in enumerate(zip(evaluations, values, strict=True)):
        scores = score_by_range(evaluation, its_values, edges, kind)
        bars = axes.bar(
            ticks + (number - (len(evaluations) - 1) / 2) * width,
            np.nan_to_num([f1 for _, _, f1 in scores]),
            width,
            label=str(evaluation.view),
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    counts = [count for count, _, _ in score_by_range(evaluations[0], values[0], edges, kind)]
    axes.set_xticks(
        ticks,
        [
            f"{low}-{high}\n{count} questions"
            for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True)
        ],
    )
