"""Answers the questions of a data set and measures them, as the official scripts do."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bigbird_tf.preprocessing import evaluate_squad, evaluate_triviaqa
from bigbird_tf.preprocessing.question_answering_metrics import read_triviaqa_answers
from bigbird_tf.serving.predictor import Predictor

__all__ = ["evaluate_question_answering"]


class _Question(NamedTuple):
    """A question on one document; several may have one key, of which the best answer counts.

    That is the one that exceeds its own document's "no answer" by most: scores of different
    documents mean nothing to each other. "No answer" counts if no document has one.
    """

    key: str
    question: str
    context: Callable[[], str]


def evaluate_question_answering(
    predictor: Predictor,
    dataset: str | os.PathLike,
    *,
    schema: str = "squad",
    evidence: str | os.PathLike | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    on_progress: Callable[[int, int], None] | None = None,
    on_answer: Callable[[str, str], None] | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Answers the questions of a data set and measures exact match and F1.

    Args:
        predictor: A `Predictor` of a question-answering model.
        dataset: A JSON file in SQuAD's or TriviaQA's schema.
        schema: `"squad"` or `"triviaqa"`.
        evidence: For TriviaQA, the folder with its documents, in `wikipedia/` and `web/`. Of
            several documents of a question in the Wikipedia domain the best answer counts, the one
            that exceeds its own document's `no_answer_score` by most.
        limit: At most so many pairs of question and document; the questions left out are left out
            of the scores, too.
        batch_size: Questions computed together.
        on_progress: Called with how many are done, and of how many.
        on_answer: Called with a question's key and its best answer so far, as soon as it is there.

    Returns:
        `(scores, predictions)`: what `evaluate_squad` or `evaluate_triviaqa` gives for the
        questions answered; and the answers by their keys.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the schema is another one, or the model answers no questions.
    """
    if predictor.input_names != ["context", "question"]:
        raise ValueError(
            "The model must be one for question answering. Received one that takes "
            f"{', '.join(predictor.input_names)}. Summaries are measured by "
            "`evaluate_summarization` (--schema summaries)"
        )
    data = _read_json(Path(dataset))
    if schema == "triviaqa":
        if evidence is None:
            raise ValueError("TriviaQA's files name documents: give their folder as `evidence`")
        questions = list(_questions_of(_triviaqa_questions, data, Path(evidence)))
        # What is missing shall be known before hours of answering.
        read_triviaqa_answers(data)
    elif schema == "squad":
        questions = list(_questions_of(_squad_questions, data))
    else:
        raise ValueError(f"`schema` must be 'squad' or 'triviaqa'. Received: {schema!r}")
    questions = questions[:limit]
    if not questions:
        raise ValueError(f"`dataset` has no questions. Received: {dataset}")
    answers: dict[str, str] = {}
    best: dict[str, tuple[bool, float]] = {}
    records = ({"question": q.question, "context": q.context()} for q in questions)
    outputs = predictor.in_batches(records, batch_size)
    for done, (question, output) in enumerate(zip(questions, outputs, strict=True), 1):
        key, answer = question.key, output["answer"]
        # A SavedModel that is not ours may know no "no answer".
        rank = (answer != "", output["score"] - output.get("no_answer_score", 0.0))
        if key not in answers or rank > best[key]:
            answers[key], best[key] = answer, rank
            if on_answer is not None:
                on_answer(key, answer)
        if on_progress is not None:
            on_progress(done, len(questions))
    measure = evaluate_triviaqa if schema == "triviaqa" else evaluate_squad
    return measure(_only(data, schema, set(answers)), answers), answers


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"`dataset` must be a JSON file. {path}: {error}") from error


def _questions_of(read: Callable[..., Iterator[_Question]], *arguments: Any) -> Iterator[_Question]:
    try:
        yield from read(*arguments)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"`dataset` must follow its schema. Received one where this is missing: {error}"
        ) from error


def _squad_questions(data: Any) -> Iterator[_Question]:
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for question in paragraph["qas"]:
                # What is missing shall be known before hours of answering.
                texts = [answer["text"] for answer in question["answers"]]
                if not texts and not question.get("is_impossible", False):
                    raise ValueError(
                        "`dataset` must have an answer to each question that is not "
                        f"`is_impossible`. Received: {question['id']!r} without any"
                    )
                yield _Question(question["id"], question["question"], _returning(context))


def _returning(text: str) -> Callable[[], str]:
    return lambda: text


def _triviaqa_questions(data: Any, evidence: Path) -> Iterator[_Question]:
    is_wikipedia = data["Domain"] == "Wikipedia"
    for question in data["Data"]:
        pages = [(evidence / "wikipedia", page) for page in question.get("EntityPages", [])]
        if not is_wikipedia:
            pages += [(evidence / "web", page) for page in question.get("SearchResults", [])]
        for folder, page in pages:
            name, key = page["Filename"], question["QuestionId"]
            path = folder / name
            yield _Question(
                key if is_wikipedia else f"{key}--{name}",
                question["Question"],
                functools.partial(path.read_text, encoding="utf-8"),
            )


def _only(data: Any, schema: str, keys: set[str]) -> Any:
    """Returns a data set with the questions that have been asked."""
    if schema == "triviaqa":
        asked = {key.split("--")[0] for key in keys}
        return {**data, "Data": [q for q in data["Data"] if q["QuestionId"] in asked]}

    def paragraph_of(paragraph: Any) -> Any:
        return {**paragraph, "qas": [q for q in paragraph["qas"] if q["id"] in keys]}

    articles = [
        {**article, "paragraphs": [paragraph_of(p) for p in article["paragraphs"]]}
        for article in data["data"]
    ]
    return {**data, "data": articles}
