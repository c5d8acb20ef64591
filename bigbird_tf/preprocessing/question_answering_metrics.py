"""Exact match and F1, as the official evaluation scripts of SQuAD and TriviaQA define them."""

import collections
import json
import os
import re
import string
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "evaluate_squad",
    "evaluate_triviaqa",
    "exact_match",
    "f1_score",
    "normalize_squad_answer",
    "normalize_triviaqa_answer",
]

ARTICLES = re.compile(r"\b(a|an|the)\b")
SQUAD_PUNCTUATION = str.maketrans("", "", string.punctuation)
# TriviaQA puts spaces where punctuation was, and knows four more quotation marks.
TRIVIAQA_PUNCTUATION = str.maketrans(
    dict.fromkeys(string.punctuation + "\u2018\u2019\u00b4\u0060", " ")
)

Normalizer = Callable[[str], str]


def normalize_squad_answer(text: str) -> str:
    """Lower-cases, and drops punctuation, articles and surplus spaces, as SQuAD does."""
    text = text.lower().translate(SQUAD_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


def normalize_triviaqa_answer(text: str) -> str:
    """Like `normalize_squad_answer`, but punctuation and underscores become spaces."""
    text = text.lower().translate(TRIVIAQA_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


def exact_match(
    prediction: str, answer: str, normalize: Normalizer = normalize_squad_answer
) -> float:
    """Gives 1.0 if the two are equal when normalised, else 0.0."""
    return float(normalize(prediction) == normalize(answer))


def f1_score(
    prediction: str,
    answer: str,
    normalize: Normalizer = normalize_squad_answer,
    *,
    empty_matches_empty: bool = False,
) -> float:
    """Gives the harmonic mean of precision and recall over the words of the two.

    Args:
        prediction: The answer found.
        answer: A right answer.
        normalize: What both go through first; words are what spaces separate after it.
        empty_matches_empty: Whether two answers without words score 1, as in SQuAD 2.0; in SQuAD
            1.1 and TriviaQA they score 0.
    """
    predicted, right = normalize(prediction).split(), normalize(answer).split()
    if empty_matches_empty and not (predicted and right):
        return float(predicted == right)
    shared = sum((collections.Counter(predicted) & collections.Counter(right)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(right)
    return 2 * precision * recall / (precision + recall)


def evaluate_squad(
    dataset: Mapping | str | os.PathLike,
    predictions: Mapping[str, str] | str | os.PathLike,
    no_answer_probabilities: Mapping[str, float] | str | os.PathLike | None = None,
    no_answer_threshold: float = 1.0,
) -> dict[str, float]:
    """Evaluates answers on a data set in SQuAD's JSON schema, of version 1.1 or 2.0.

    It counts as 2.0 if a question says whether it `is_impossible`.

    Args:
        dataset: The data set, or the JSON file that holds it.
        predictions: From a question's id to its answer, `""` for none; or a JSON file of that.
        no_answer_probabilities: For 2.0, from a question's id to how sure it is that there is no
            answer; or a JSON file of that.
        no_answer_threshold: Above it, a question counts as answered by `""`.

    Returns:
        Percentages. For 1.1, `exact_match` and `f1`; a question without prediction scores 0. For
        2.0, `exact`, `f1` and `total`; the same with `HasAns_` and `NoAns_` before them for the
        questions with and without an answer; and with probabilities, `best_exact` and `best_f1`,
        what the best thresholds would give, and the thresholds, `best_exact_thresh` and
        `best_f1_thresh`. Questions without prediction are left out of 2.0's numbers.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the schema is another one, or there is nothing to evaluate.
    """
    questions = dict(_squad_questions(_load(dataset, "dataset")))
    predictions = _load(predictions, "predictions")
    if not questions:
        raise ValueError("`dataset` has no questions.")
    _warn_of_missing(set(questions) - set(predictions), len(questions))
    if not any("is_impossible" in question for question in questions.values()):
        scores = {
            key: _best_squad_scores(predictions[key], _answer_texts(question))
            for key, question in questions.items()
            if key in predictions
        }
        exact, f1 = (100 * sum(s[i] for s in scores.values()) / len(questions) for i in (0, 1))
        return {"exact_match": exact, "f1": f1}

    questions = {key: question for key, question in questions.items() if key in predictions}
    if not questions:
        raise ValueError("`predictions` has none of the questions of `dataset`.")
    has_answer = {key: bool(question["answers"]) for key, question in questions.items()}
    scores = {
        key: _squad2_scores(predictions[key], _answer_texts(question))
        for key, question in questions.items()
    }
    probabilities = dict.fromkeys(questions, 0.0)
    if no_answer_probabilities is not None:
        given = _load(no_answer_probabilities, "no_answer_probabilities")
        if missing := [key for key in questions if key not in given]:
            raise ValueError(
                "`no_answer_probabilities` must have every question that `predictions` has. "
                f"Received: none for {missing[0]!r} and {len(missing) - 1} others"
            )
        probabilities = {key: given[key] for key in questions}
    settled = {
        key: (float(not has_answer[key]),) * 2 if probabilities[key] > no_answer_threshold else pair
        for key, pair in scores.items()
    }
    result = _summary(settled, "")
    for prefix, wanted in (("HasAns_", True), ("NoAns_", False)):
        part = {key: pair for key, pair in settled.items() if has_answer[key] is wanted}
        result |= _summary(part, prefix) if part else {}
    if no_answer_probabilities is not None:
        for index, name in enumerate(("exact", "f1")):
            single = {key: pair[index] for key, pair in scores.items()}
            best = _best_threshold(single, predictions, probabilities, has_answer)
            result[f"best_{name}"], result[f"best_{name}_thresh"] = best
    return result


def evaluate_triviaqa(
    dataset: Mapping | str | os.PathLike, predictions: Mapping[str, str] | str | os.PathLike
) -> dict[str, float]:
    """Evaluates answers on a data set in TriviaQA's JSON schema.

    Args:
        dataset: The data set, or the JSON file that holds it. If it says `VerifiedEval`, only what
            belongs to the verified part counts.
        predictions: From a key to an answer, or a JSON file of that. The key is the question's id
            in the Wikipedia domain, else `"<question id>--<file name of the document>"`.

    Returns:
        `exact_match` and `f1`, percentages of all questions, the best over the aliases of each
        answer; `common`, how many have a prediction; `denominator`, how many there are; `pred_len`
        and `gold_len`, the sizes of the two files.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the schema is another one, or there is nothing to evaluate.
    """
    answers = dict(_triviaqa_answers(_load(dataset, "dataset")))
    predictions = _load(predictions, "predictions")
    if not answers:
        raise ValueError("`dataset` has no questions.")
    _warn_of_missing(set(answers) - set(predictions), len(answers))
    totals = {"exact_match": 0.0, "f1": 0.0}
    common = [key for key in answers if key in predictions]
    for key in common:
        human = map(normalize_triviaqa_answer, answers[key].get("HumanAnswers", []))
        right = [*answers[key]["NormalizedAliases"], *human]
        for name, score in (("exact_match", exact_match), ("f1", f1_score)):
            totals[name] += max(
                score(predictions[key], a, normalize_triviaqa_answer) for a in right
            )
    return {
        **{name: 100 * total / len(answers) for name, total in totals.items()},
        "common": len(common),
        "denominator": len(answers),
        "pred_len": len(predictions),
        "gold_len": len(answers),
    }


def _load(value: Mapping | str | os.PathLike, name: str) -> Mapping:
    if not isinstance(value, Mapping):
        path = Path(value)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"`{name}`: {path} is not valid JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a JSON object. Received: {type(value).__name__}")
    return value


def _warn_of_missing(missing: set[str], total: int) -> None:
    if missing:
        warnings.warn(
            f"{len(missing)} of {total} questions have no prediction, e.g. {min(missing)!r}.",
            stacklevel=3,
        )


def _squad_questions(dataset: Mapping) -> Iterator[tuple[str, dict]]:
    try:
        for article in dataset["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield question["id"], question
    except (KeyError, TypeError) as error:
        raise ValueError(
            "`dataset` must follow SQuAD's schema (data, paragraphs, qas, id). Received one where "
            f"this is missing or misplaced: {error}"
        ) from error


def _triviaqa_answers(dataset: Mapping) -> Iterator[tuple[str, dict]]:
    try:
        verified, domain = dataset.get("VerifiedEval", False), dataset["Domain"]
        for question in dataset["Data"]:
            if verified and not question["QuestionPartOfVerifiedEval"]:
                continue
            key, answer = question["QuestionId"], question["Answer"]
            if domain == "Wikipedia":
                yield key, answer
                continue
            for page in question.get("EntityPages", []) + question.get("SearchResults", []):
                if not (verified and domain == "Web") or page["DocPartOfVerifiedEval"]:
                    yield f"{key}--{page['Filename']}", answer
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "`dataset` must follow TriviaQA's schema (Domain, Data, QuestionId, Answer). Received "
            f"one where this is missing or misplaced: {error}"
        ) from error


def _answer_texts(question: Mapping[str, Any]) -> list[str]:
    return [answer["text"] for answer in question["answers"]]


def _best_squad_scores(prediction: str, answers: list[str]) -> tuple[float, float]:
    return (
        max(exact_match(prediction, answer) for answer in answers),
        max(f1_score(prediction, answer) for answer in answers),
    )


def _squad2_scores(prediction: str, answers: list[str]) -> tuple[float, float]:
    # An answer of nothing but articles and punctuation is none.
    answers = [answer for answer in answers if normalize_squad_answer(answer)] or [""]
    return (
        max(exact_match(prediction, answer) for answer in answers),
        max(f1_score(prediction, answer, empty_matches_empty=True) for answer in answers),
    )


def _summary(scores: Mapping[str, tuple[float, float]], prefix: str) -> dict[str, float]:
    total = len(scores)
    exact, f1 = (100 * sum(pair[i] for pair in scores.values()) / total for i in (0, 1))
    return {f"{prefix}exact": exact, f"{prefix}f1": f1, f"{prefix}total": total}


def _best_threshold(
    scores: Mapping[str, float],
    predictions: Mapping[str, str],
    probabilities: Mapping[str, float],
    has_answer: Mapping[str, bool],
) -> tuple[float, float]:
    """Gives the best mean score that a threshold on "no answer" allows, and the threshold.

    Begins with `""` for every question and lets in one prediction after the other, those most sure
    to have an answer first.
    """
    current = best = float(sum(not has for has in has_answer.values()))
    threshold = 0.0
    for key in sorted(probabilities, key=lambda key: probabilities[key]):
        if has_answer[key]:
            current += scores[key]
        elif predictions[key]:
            current -= 1
        if current > best:
            best, threshold = current, probabilities[key]
    return 100 * best / len(scores), threshold
