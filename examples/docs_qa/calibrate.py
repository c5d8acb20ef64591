"""Calibrates how sure the model that ships is: `python -m examples.docs_qa.calibrate`.

Fits Platt's scaling to answers about the validation packages, among them to questions whose name
the page does not have, and measures it on the test packages. Prints the `answer_calibration` for
`config.json`; with `--write` it puts it there.
"""

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bigbird_tf.hub import shipped_models
from bigbird_tf.preprocessing import AnswerCalibration, BigBirdTokenizer
from bigbird_tf.preprocessing.question_answering_metrics import exact_match
from bigbird_tf.serving.predictor import Predictor
from examples.docs_qa.console import load_pages_with_progress, make_progress
from examples.docs_qa.dataset import MAX_LENGTH, EncodedSplit, encode_split
from examples.docs_qa.evaluate import MAX_ANSWER_PIECES, choose_questions
from examples.docs_qa.questions import make_splits

__all__ = ["Asked", "Item", "ask", "choose_items", "fit", "reliability", "run"]

ROUNDING = 1e-6  # Confidences this near to 0 or 1 count as so near.
NEWTON_STEPS = 30


@dataclasses.dataclass(frozen=True)
class Item:
    """A question to a page; `answer` is `None` where the page has none."""

    question: str
    context: str
    answer: str | None


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a model answered to some questions.

    Attributes:
        odds: The log-odds that it gives its answers; float (Q,).
        right: Whether they are right; bool (Q,).
    """

    odds: np.ndarray
    right: np.ndarray


def choose_items(encoded: EncodedSplit, *, answered: int, absent: int, seed: int = 0) -> list[Item]:
    """Draws questions that their page answers, and questions to a page without that name.

    Args:
        encoded: The split.
        answered: How many of the first.
        absent: How many of the second; fewer if there are not so many.
        seed: Seed of the draw.
    """
    chosen = choose_questions(encoded, length=MAX_LENGTH, count=answered, seed=seed)
    questions = [encoded.questions[index] for index in chosen]
    pages = [encoded.beginning(index, MAX_LENGTH).decode("utf-8", "ignore") for index in chosen]
    items = [Item(q.text, page, q.answer) for q, page in zip(questions, pages, strict=True)]
    rng = random.Random(seed)
    for _ in range(100 * absent):
        question, other = rng.choice(range(len(chosen))), rng.choice(range(len(chosen)))
        is_absent = questions[question].name not in pages[other]
        if is_absent and questions[question].kind == questions[other].kind:
            items.append(Item(questions[question].text, pages[other], None))
        if len(items) == len(chosen) + absent:
            break
    return items


def ask(
    predictor: Callable[..., Any],
    items: Sequence[Item],
    used: AnswerCalibration,
    on_answer: Callable[[], None] = lambda: None,
) -> Asked:
    """Asks all questions, with nothing refused.

    Args:
        predictor: A `Predictor` with `confidence_threshold=0`.
        items: The questions.
        used: The calibration that its confidences went through.
        on_answer: Called after each answer.
    """
    odds, right = [], []
    for item in items:
        (found,) = predictor([{"question": item.question, "context": item.context}])
        confidence = min(max(found["confidence"], ROUNDING), 1 - ROUNDING)
        odds.append((np.log(confidence / (1 - confidence)) - used.bias) / used.weight)
        right.append(item.answer is not None and exact_match(found["answer"], item.answer) == 1)
        on_answer()
    return Asked(np.array(odds), np.array(right))


def fit(asked: Asked, *, keep: float) -> AnswerCalibration:
    """Fits Platt's scaling: a logistic regression on one feature.

    Args:
        asked: What was answered.
        keep: The threshold refuses no more than the least sure of the right answers, so that this
            share of them is kept.
    """
    if len(set(asked.right.tolist())) < 2:
        raise ValueError("`asked` must have right answers and wrong ones. Received: one kind only")
    features = np.stack([asked.odds, np.ones_like(asked.odds)], axis=1)
    parameters = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        confidence = 1 / (1 + np.exp(-features @ parameters))
        curvature = (features * (confidence * (1 - confidence))[:, np.newaxis]).T @ features
        parameters += np.linalg.solve(curvature, features.T @ (asked.right - confidence))
    weight, bias = (round(float(value), 3) for value in parameters)
    confidence = np.sort(1 / (1 + np.exp(-weight * asked.odds[asked.right] - bias)))
    # Rounded down, so that the answer it comes from is kept.
    threshold = np.floor(100 * confidence[int((1 - keep) * len(confidence))]) / 100
    return AnswerCalibration(weight, bias, float(threshold))


def reliability(
    asked: Asked, calibration: AnswerCalibration, *, bins: int = 5
) -> tuple[float, list[dict[str, float]]]:
    """Compares confidence with how often answers are right.

    Args:
        asked: What was answered.
        calibration: What makes confidences of its odds.
        bins: Into how many equal parts the range from 0 to 1 is cut.

    Returns:
        The expected calibration error (the mean difference of both, weighted by how many answers a
        bin has), and for each bin with answers `answers`, `confidence` and `right`, mean values.
    """
    confidence = np.asarray(calibration(asked.odds.astype(np.float32)))
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for one in sorted(set(index.tolist())):
        of = index == one
        row = {
            "answers": int(of.sum()),
            "confidence": float(confidence[of].mean()),
            "right": float(asked.right[of].mean()),
        }
        error += row["answers"] / len(confidence) * abs(row["confidence"] - row["right"])
        rows.append(row)
    return error, rows


def run(
    checkpoint: Path,
    output: Path,
    console: Console,
    *,
    answered: int,
    absent: int,
    keep: float,
) -> dict[str, Any]:
    """Fits on the validation packages, and measures on the test packages.

    Args:
        checkpoint: The model's folder; its config names the packages.
        output: The folder for pages.
        console: Where to tell about it.
        answered, absent: As in `choose_items`, of each side.
        keep: As in `fit`.

    Returns:
        `answer_calibration`, and for both sides what `reliability` gave, without and with it.
    """
    tokenizer = BigBirdTokenizer.from_pretrained(checkpoint)
    predictor = Predictor(
        checkpoint,
        max_answer_length=MAX_ANSWER_PIECES,
        no_answer_threshold=None,
        confidence_threshold=0.0,
    )
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    used = AnswerCalibration(**config.get("answer_calibration", {}))
    known = config["docs_qa_packages"]
    names = sorted([*known["validation"], *known["test"]])
    pages, _ = load_pages_with_progress(output, console, packages=names)
    asked = {}
    for side in ("validation", "test"):
        of_side = [page for page in pages if page.package in known[side]]
        encoded = encode_split(make_splits(of_side, known={"test": known[side]})["test"], tokenizer)
        items = choose_items(encoded, answered=answered, absent=absent)
        with make_progress(console) as progress:
            task = progress.add_task(side, total=len(items), note="")
            asked[side] = ask(
                predictor, items, used, lambda task=task: progress.update(task, advance=1)
            )
    calibration = fit(asked["validation"], keep=keep)
    results: dict[str, Any] = {"answer_calibration": dataclasses.asdict(calibration)}
    for side, found in asked.items():
        confidence = np.asarray(calibration(found.odds.astype(np.float32)))
        kept = confidence >= calibration.threshold
        results[side] = {
            "answers": len(kept),
            "right": float(found.right.mean()),
            "right_answers_kept": float(kept[found.right].mean()),
            "wrong_answers_refused": float((~kept)[~found.right].mean()),
            "error_before": reliability(found, AnswerCalibration())[0],
            "error": reliability(found, calibration)[0],
            "bins": reliability(found, calibration)[1],
        }
    return results


def print_results(results: dict[str, Any], console: Console) -> None:
    """Shows what `run` gave."""
    for side in ("validation", "test"):
        numbers = results[side]
        table = Table("confidence", "answers", "right", title=side)
        for row in numbers["bins"]:
            table.add_row(
                f"{row['confidence']:.2f}", str(row["answers"]), f"{100 * row['right']:.0f}%"
            )
        console.print(table)
        console.print(
            f"expected calibration error {numbers['error']:.3f} (uncalibrated "
            f"{numbers['error_before']:.3f}); the threshold keeps "
            f"{100 * numbers['right_answers_kept']:.0f}% of the right answers and refuses "
            f"{100 * numbers['wrong_answers_refused']:.0f}% of the wrong ones"
        )
    console.print_json(json.dumps(results["answer_calibration"]))


def main(
    model: Annotated[Path | None, typer.Option(help="The model's folder.")] = None,
    output: Annotated[Path, typer.Option(help="The folder for pages.")] = Path("docs_qa_model"),
    answered: Annotated[int, typer.Option(min=2, help="Questions with an answer.")] = 90,
    absent: Annotated[int, typer.Option(min=0, help="Questions without one.")] = 30,
    keep: Annotated[float, typer.Option(min=0.01, max=1.0, help="Right answers to keep.")] = 5 / 6,
    write: Annotated[bool, typer.Option(help="Write it into the model's config.json.")] = False,
) -> None:
    """Calibrates the confidence of the documentation model."""
    console = Console()
    model = model or shipped_models()["bigbird-docs-qa-mini"]
    results = run(model, output, console, answered=answered, absent=absent, keep=keep)
    print_results(results, console)
    if write:
        file = model / "config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        config["answer_calibration"] = results["answer_calibration"]
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
