"""Exact match and F1, as the official evaluation scripts of SQuAD and TriviaQA define them."""

import collections
import json
import math
import numbers
import os
import re
import string
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "evaluate_squad",
    "evaluate_triviaqa",
    "exact_match",
    "f1_score",
    "normalize_squad_answer",
    "normalize_triviaqa_answer",
    "read_triviaqa_answers",
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
    """Returns 1.0 if the two are equal when normalised, else 0.0."""
    return float(normalize(prediction) == normalize(answer))


def f1_score(
    prediction: str,
    answer: str,
    normalize: Normalizer = normalize_squad_answer,
    *,
    empty_matches_empty: bool = False,
) -> float:
    """Returns the harmonic mean of precision and recall over the words of the two.

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

    It counts as 2.0 if a question says whether it `is_impossible`. There, as in the official
    script, a question with an empty list of answers is one without an answer.

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
        ValueError: If the schema is another one, a question of 1.1 has no answer, a prediction is
            no string or a probability no number, or there is nothing to evaluate.
    """
    questions = dict(_squad_questions(_load(dataset, "dataset")))
    predictions = _load(predictions, "predictions")
    if not questions:
        raise ValueError("`dataset` has no questions.")
    _check_predictions(predictions)
    _warn_of_missing(set(questions) - set(predictions), len(questions))
    if not any(question.is_version_2 for question in questions.values()):
        if empty := [key for key, question in questions.items() if not question.answers]:
            raise ValueError(
                "`dataset` must have an answer to each question; in version 2.0, each question "
                "says whether it `is_impossible`, and those that are need none. Received: no "
                f"answer to {empty[0]!r} and {len(empty) - 1} others"
            )
        scores = {
            key: _best_squad_scores(predictions[key], question.answers)
            for key, question in questions.items()
            if key in predictions
        }
        exact, f1 = (100 * sum(s[i] for s in scores.values()) / len(questions) for i in (0, 1))
        return {"exact_match": exact, "f1": f1}

    questions = {key: question for key, question in questions.items() if key in predictions}
    if not questions:
        raise ValueError("`predictions` has none of the questions of `dataset`.")
    has_answer = {key: bool(question.answers) for key, question in questions.items()}
    scores = {
        key: _squad2_scores(predictions[key], question.answers)
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
        probabilities = {key: _to_probability(key, given[key]) for key in questions}
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
        ValueError: If the schema is another one, a question has no answer, a prediction is no
            string, or there is nothing to evaluate.
    """
    answers = read_triviaqa_answers(_load(dataset, "dataset"))
    predictions = _load(predictions, "predictions")
    if not answers:
        raise ValueError("`dataset` has no questions.")
    _check_predictions(predictions)
    _warn_of_missing(set(answers) - set(predictions), len(answers))
    totals = {"exact_match": 0.0, "f1": 0.0}
    common = [key for key in answers if key in predictions]
    for key in common:
        for name, score in (("exact_match", exact_match), ("f1", f1_score)):
            totals[name] += max(
                score(predictions[key], right, normalize_triviaqa_answer) for right in answers[key]
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


class _SquadQuestion(NamedTuple):
    answers: list[str]
    is_version_2: bool


def _squad_questions(dataset: Mapping) -> Iterator[tuple[str, _SquadQuestion]]:
    try:
        for article in dataset["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    key = _to_key(question["id"])
                    texts = [answer["text"] for answer in question["answers"]]
                    _require_texts(texts, f"`answers` of {key!r}")
                    yield key, _SquadQuestion(texts, "is_impossible" in question)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "`dataset` must follow SQuAD's schema (data, paragraphs, qas, id, answers, text). "
            f"Received one where this is missing or misplaced: {error}"
        ) from error


def read_triviaqa_answers(dataset: Mapping) -> dict[str, list[str]]:
    """Reads the right answers of a data set in TriviaQA's JSON schema.

    Args:
        dataset: The data set. If it says `VerifiedEval`, only its verified part is read.

    Returns:
        The right answers, normalised, by the keys that `evaluate_triviaqa` has.

    Raises:
        ValueError: If the schema is another one, or a question has no answer.
    """
    try:
        return dict(_triviaqa_answers(dataset))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "`dataset` must follow TriviaQA's schema (Domain, Data, QuestionId, Answer, "
            f"NormalizedAliases). Received one where this is missing or misplaced: {error}"
        ) from error


def _triviaqa_answers(dataset: Mapping) -> Iterator[tuple[str, list[str]]]:
    verified, domain = dataset.get("VerifiedEval", False), dataset["Domain"]
    for question in dataset["Data"]:
        if verified and not question["QuestionPartOfVerifiedEval"]:
            continue
        key = _to_key(question["QuestionId"])
        aliases = question["Answer"]["NormalizedAliases"]
        human = question["Answer"].get("HumanAnswers", [])
        for name, texts in (("NormalizedAliases", aliases), ("HumanAnswers", human)):
            _require_texts(texts, f"`{name}` of {key!r}")
        right = [*aliases, *map(normalize_triviaqa_answer, human)]
        if not right:
            raise ValueError(
                "`dataset` must have an answer to each question. Received: none in "
                f"`NormalizedAliases` or `HumanAnswers` of {key!r}"
            )
        if domain == "Wikipedia":
            yield key, right
            continue
        for page in question.get("EntityPages", []) + question.get("SearchResults", []):
            if not (verified and domain == "Web") or page["DocPartOfVerifiedEval"]:
                yield f"{key}--{page['Filename']}", right


def _to_key(value: Any) -> Any:
    if not isinstance(value, (str, int)):
        raise TypeError(f"an id that is a string, not {value!r}")
    return value


def _require_texts(texts: Any, name: str) -> None:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name}, a list of strings, not {texts!r}")


def _check_predictions(predictions: Mapping) -> None:
    for key, answer in predictions.items():
        if not isinstance(answer, str):
            raise ValueError(
                '`predictions` must have a string for each question, "" for no answer. Received: '
                f"predictions[{key!r}]={answer!r}"
            )


def _to_probability(key: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or math.isnan(value):
        raise ValueError(
            "`no_answer_probabilities` must have a number for each question. Received: "
            f"no_answer_probabilities[{key!r}]={value!r}"
        )
    return float(value)


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
    """Returns the best mean score that a threshold on "no answer" allows, and the threshold.

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
