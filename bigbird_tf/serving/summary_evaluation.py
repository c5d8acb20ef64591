"""Summarises the documents of a data set, and measures the summaries."""

import os
from collections.abc import Callable
from pathlib import Path

from bigbird_tf.preprocessing import evaluate_rouge
from bigbird_tf.preprocessing.summarization_metrics import rouge_scorer
from bigbird_tf.serving.predictor import Predictor, read_records

__all__ = ["evaluate_summarization"]

FIELDS = ("document", "summary")


def evaluate_summarization(
    predictor: Predictor,
    dataset: str | os.PathLike,
    *,
    limit: int | None = None,
    batch_size: int = 8,
    on_progress: Callable[[int, int], None] | None = None,
    on_summary: Callable[[str], None] | None = None,
) -> tuple[dict[str, float], list[str]]:
    """Summarises the documents of a data set, and measures ROUGE.

    Args:
        predictor: A `Predictor` of a model that summarises. Where it writes several summaries of a
            document, the first is measured.
        dataset: A file of JSON lines, each an object with the strings `document` and `summary`;
            further fields are passed over.
        limit: At most so many documents.
        batch_size: Documents computed together.
        on_progress: Called with how many are done, and of how many.
        on_summary: Called with each summary as soon as it is there.

    Returns:
        `(scores, summaries)`: what `evaluate_rouge` gives, and the summaries in the file's order.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is of another form, or has no documents, or the model does not summarise.
        ImportError: If `rouge-score` is not installed.
    """
    if "summary" not in predictor.output_names or predictor.input_names != ["text"]:
        raise ValueError(
            "The model must be one that summarises. Received one that takes "
            f"{', '.join(predictor.input_names)} and gives {', '.join(predictor.output_names)}"
        )
    # What is missing shall be known before hours of writing.
    rouge_scorer()
    records = _read(Path(dataset))[:limit]
    if not records:
        raise ValueError(f"`dataset` has no documents. Received: {dataset}")
    summaries: list[str] = []
    documents = ({"text": document} for document, _ in records)
    for outputs in predictor.in_batches(documents, batch_size):
        written = outputs["summary"]
        summaries.append(written if isinstance(written, str) else written[0])
        if on_summary is not None:
            on_summary(summaries[-1])
        if on_progress is not None:
            on_progress(len(summaries), len(records))
    return evaluate_rouge([reference for _, reference in records], summaries), summaries


def _read(path: Path) -> list[tuple[str, str]]:
    """Returns the documents of a file with their summaries."""
    pairs = []
    try:
        for number, record in enumerate(read_records(path.read_text("utf-8").split("\n")), 1):
            texts = [record.get(name) for name in FIELDS]
            if not all(isinstance(text, str) for text in texts):
                raise ValueError(
                    f"Record {number} must have the strings {' and '.join(map(repr, FIELDS))}. "
                    f"Received the fields: {', '.join(map(repr, record)) or 'none'}"
                )
            pairs.append((str(texts[0]), str(texts[1])))
    except ValueError as error:
        raise ValueError(f"`dataset` must be a file of JSON lines. {path}: {error}") from error
    return pairs
