"""ROUGE, as the library `rouge-score` computes it."""

from collections.abc import Sequence
from typing import Any

__all__ = ["ROUGE_TYPES", "evaluate_rouge", "rouge_scorer"]

ROUGE_TYPES = ("rouge1", "rouge2", "rougeLsum")


def evaluate_rouge(references: Sequence[str], summaries: Sequence[str]) -> dict[str, float]:
    """Measures how much summaries have in common with those that people wrote (Lin, 2004).

    F-measures of the package `rouge-score`, with its stemmer, in percent, means over the summaries.
    For `rougeLsum`, sentences are lines.

    Args:
        references: What people wrote, strings `(B,)`.
        summaries: What is to be measured, strings `(B,)`.

    Returns:
        `rouge1`, `rouge2` and `rougeLsum`, by these names.

    Raises:
        ValueError: If there are no summaries, or not as many as references.
        TypeError: If they are not strings.
        ImportError: If `rouge-score` is not installed.

    Example:

    >>> evaluate_rouge(["the eleven birds sing"], ["the bird sings"])["rouge2"]
    40.0
    """
    for name, texts in (("references", references), ("summaries", summaries)):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"`{name}` must be a list of strings. Received: {texts!r:.80}")
    if len(references) != len(summaries) or len(summaries) == 0:
        raise ValueError(
            "`summaries` must be as many as `references`, and one at least. Received: "
            f"{len(summaries)} summaries, {len(references)} references"
        )
    scorer = rouge_scorer()
    pairs = zip(references, summaries, strict=True)
    scores = [scorer.score(reference, summary) for reference, summary in pairs]
    return {
        name: 100 * sum(score[name].fmeasure for score in scores) / len(scores)
        for name in ROUGE_TYPES
    }


def rouge_scorer() -> Any:
    """Returns the scorer of `rouge-score`.

    Raises:
        ImportError: If it is not installed. The message says how to.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError(
            "ROUGE takes the package rouge-score: `pip install 'bigbird-tf[rouge]'`"
        ) from error
    return RougeScorer(ROUGE_TYPES, use_stemmer=True)
