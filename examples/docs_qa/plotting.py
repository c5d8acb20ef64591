"""The picture of the demo: accuracy by the answer's position."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from examples.docs_qa.evaluate import Evaluation

__all__ = ["plot_by_position", "score_by_position"]

EDGES = (0, 256, 512, 1024, 1536, 2048, 3072, 4096)


def score_by_position(
    evaluation: Evaluation, edges: Sequence[int] = EDGES
) -> list[tuple[int, float, float]]:
    """Gives the number of questions, exact match and F1 for each range of positions.

    Args:
        evaluation: The answers.
        edges: Where ranges begin and end, in pieces; a position belongs to the range it begins.

    Returns:
        One `(count, exact_match, f1)` a range, percentages; NaN where a range has no questions.
    """
    scores = []
    for low, high in itertools.pairwise(edges):
        inside = (evaluation.positions >= low) & (evaluation.positions < high)
        count = int(inside.sum())
        means = (evaluation.exact[inside], evaluation.f1[inside])
        scores.append((count, *(100 * float(m.mean()) if count else float("nan") for m in means)))
    return scores


def plot_by_position(
    evaluations: Sequence[Evaluation], path: str | os.PathLike, edges: Sequence[int] = EDGES
) -> Path:
    """Draws F1 against the answer's position, one group of bars an evaluation, into a PNG.

    Args:
        evaluations: The same questions, at several lengths.
        path: The file to write.
        edges: As for `score_by_position`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ticks = np.arange(len(edges) - 1)
    width = 0.8 / len(evaluations)
    for number, evaluation in enumerate(evaluations):
        scores = score_by_position(evaluation, edges)
        bars = axes.bar(
            ticks + (number - (len(evaluations) - 1) / 2) * width,
            np.nan_to_num([f1 for _, _, f1 in scores]),
            width,
            label=f"first {evaluation.length} pieces: F1 {evaluation.summary()['f1']:.1f}",
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    counts = [count for count, _, _ in score_by_position(evaluations[0], edges)]
    labels = [
        f"{low}-{high}\n{count} questions"
        for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True)
    ]
    axes.set_xticks(ticks, labels)
    axes.set_xlabel("position of the answer in the page, in pieces")
    axes.set_ylabel("F1 on unseen packages, %")
    axes.set_title("The same weights, shown the whole page or its beginning")
    figure.legend(loc="outside lower center", ncols=len(evaluations))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
