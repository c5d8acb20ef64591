"""The pictures of the demo: accuracy by where the evidence stands, and what was learnt."""

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from examples.docs_qa.evaluate import Evaluation

__all__ = ["plot_accuracy", "plot_learning", "score_by_range"]

POSITION_EDGES = (0, 256, 512, 1024, 2048, 4096)
DISTANCE_EDGES = (0, 128, 256, 512, 4096)


def score_by_range(
    evaluation: Evaluation, values: np.ndarray, edges: Sequence[int], kind: str
) -> list[tuple[int, float, float]]:
    """Returns the number of questions, exact match and F1 for each range of a value.

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
    figure, (left, right) = _make_figure()
    _draw(left, evaluations, "sentence", [e.positions for e in evaluations], POSITION_EDGES)
    left.set_title("What does this function do?\n(answer: the first sentence of its documentation)")
    left.set_xlabel("where in the page the answer stands, in pieces from the beginning")
    left.set_ylabel("overlap with the right answer (F1), %\npackages that the model has never seen")
    _draw(right, evaluations, "class", [e.distances for e in evaluations], DISTANCE_EDGES)
    right.set_title("Which class does this method belong to?\n(answer: the class's name)")
    right.set_xlabel("how far the method is below its class's heading, in pieces")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(evaluations),
        title="one model, the same questions; the model sees",
    )
    return _save(figure, path)


def plot_learning(
    scores: Mapping[str, tuple[float, int]],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    path: str | os.PathLike,
) -> Path:
    """Draws how a new kind of question was learnt, into a PNG.

    Args:
        scores: For each model its F1 in percent and the number of questions.
        curves: For each training the minutes and the loss after its steps.
        path: The file to write.
    """
    figure, (left, right) = _make_figure(sharey=False)
    bars = left.bar(list(scores), [percent for percent, _ in scores.values()], 0.6)
    left.bar_label(bars, fmt="%.0f%%")
    left.set_ylim(0, 100)
    left.set_ylabel("overlap with the right answer (F1), %")
    counts = " / ".join(f"{count:,}" for count in sorted({count for _, count in scores.values()}))
    left.set_title(f"How is this function called?\n({counts} questions on packages never seen)")
    for name, curve in curves.items():
        if curve:
            right.plot(*zip(*curve, strict=True), label=name)
    right.set_ylim(bottom=0)
    right.set_xlabel("minutes of training")
    right.set_ylabel("loss, mean of all steps so far (lower is better)")
    right.set_title("While training, on other packages")
    if any(curves.values()):
        right.legend()
    return _save(figure, path)


def _make_figure(*, sharey: bool = True):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, 2, sharey=sharey)


def _save(figure, path: str | os.PathLike) -> Path:
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
        # Nobody was asked is not: nothing was right.
        labels = [f"{f1:.0f}" if count else "" for count, _, f1 in scores]
        axes.bar_label(bars, labels, fontsize=8)
    counts = [count for count, _, _ in score_by_range(evaluations[0], values[0], edges, kind)]
    axes.set_xticks(
        ticks,
        [
            f"{low}-{high}\n{count} questions"
            for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True)
        ],
    )
