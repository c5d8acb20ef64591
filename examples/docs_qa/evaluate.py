"""How well a model answers, by kind of question, by what it sees, by where the evidence stands."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from bigbird_tf import BigBirdForQuestionAnswering
from bigbird_tf.preprocessing import (
    BigBirdTokenizer,
    QuestionAnsweringPreprocessor,
    decode_answers,
)
from bigbird_tf.preprocessing.question_answering_metrics import exact_match, f1_score
from examples.docs_qa.dataset import EncodedSplit
from examples.docs_qa.questions import KINDS

__all__ = ["FAR", "Evaluation", "View", "choose_questions", "evaluate"]

MAX_ANSWER_PIECES = 80
FAR = 512  # Evidence so many pieces apart never is in one short window.
MAX_QUESTION_PIECES = 30


@dataclasses.dataclass(frozen=True)
class View:
    """What of a page a model sees.

    Attributes:
        length: Pieces of an input, question included.
        up_to: Inputs of that length slide over what an input of so many pieces would hold; `None`
            for one input, at the page's beginning.
    """

    length: int
    up_to: int | None = None

    def __str__(self) -> str:
        if self.up_to is None:
            return f"the first {self.length:,} pieces"
        return f"{self.length:,} pieces, sliding over {self.up_to:,}"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model answered to some questions.

    Attributes:
        view: What of a page the model was shown.
        kinds: Each question's kind; strings (Q,).
        positions: Where in the input of full length each answer begins, in pieces; int (Q,).
        distances: Pieces between the ends of each question's evidence; int (Q,).
        predictions: The model's answers.
        exact: 1.0 for each answer that is exactly right, as SQuAD defines it; float (Q,).
        f1: Overlap of each answer with the right one, as SQuAD defines it; float (Q,).
    """

    view: View
    kinds: np.ndarray
    positions: np.ndarray
    distances: np.ndarray
    predictions: list[str]
    exact: np.ndarray
    f1: np.ndarray

    def summary(self, kind: str | None = None, *, min_distance: int = 0) -> dict[str, float | None]:
        """Gives the number of questions and the percentages; `None` where there is no question.

        Args:
            kind: Of questions of this kind; `None` for all.
            min_distance: Of questions with evidence so far apart.
        """
        of = (self.distances >= min_distance) & (kind is None or self.kinds == kind)
        count = int(of.sum())
        return {
            "questions": count,
            "exact_match": 100 * float(np.mean(self.exact[of])) if count else None,
            "f1": 100 * float(np.mean(self.f1[of])) if count else None,
        }

    def to_dict(self) -> dict:
        """Gives all percentages, for JSON."""
        return {
            "view": str(self.view),
            **{kind: self.summary(kind) for kind in KINDS},
            "class_far": self.summary("class", min_distance=FAR),
        }


def choose_questions(
    encoded: EncodedSplit, *, length: int, count: int | None = None, seed: int = 0
) -> np.ndarray:
    """Draws questions whose evidence is within the first pieces of their page.

    Args:
        encoded: The split.
        length: The pieces of an input, question included.
        count: At most so many; `None` for all.
        seed: Seed of the draw.

    Returns:
        Indices of the questions, in random order.
    """
    questions = encoded.answered_within(length)
    return np.random.default_rng(seed).permutation(questions)[:count]


def evaluate(
    model: BigBirdForQuestionAnswering,
    tokenizer: BigBirdTokenizer,
    encoded: EncodedSplit,
    questions: Sequence[int],
    *,
    view: View,
    batch_size: int = 4,
    seconds: float | None = None,
    on_batch: Callable[[int], None] = lambda size: None,
) -> Evaluation:
    """Asks a model questions about pages.

    Everything goes the way of a user's strings: preprocessor, model, decoder. Wherever the answer
    may be, the model must point at something; what it finds by chance counts.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        encoded: The split.
        questions: Indices of the questions.
        view: What of a page the model sees.
        batch_size: Questions at a time.
        seconds: Stop asking after this time; `None` for never. One batch is asked in any case.
        on_batch: Called after each batch with the number of questions in it.

    Raises:
        ValueError: If there are no questions.
    """
    if len(questions) == 0:
        raise ValueError("`questions` must not be empty. Received: no questions")
    preprocessor = QuestionAnsweringPreprocessor(
        tokenizer,
        max_length=view.length,
        max_windows=1 if view.up_to is None else None,
        max_question_length=MAX_QUESTION_PIECES,
    )

    # One graph for all batches, the last and smaller one included.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def answer(names, pages):
        inputs, windows = preprocessor.make_windows(names, pages)
        logits = model(inputs, training=False)
        return decode_answers(
            logits["start_logits"],
            logits["end_logits"],
            windows,
            pages,
            max_answer_length=MAX_ANSWER_PIECES,
            no_answer_threshold=None,
        )["answer"]

    predictions = []
    seen = view.up_to or view.length
    began = time.monotonic()
    for start in range(0, len(questions), batch_size):
        batch = questions[start : start + batch_size]
        names = tf.constant([encoded.questions[index].text for index in batch])
        pages = tf.constant([encoded.beginning(index, seen) for index in batch])
        predictions += [text.decode("utf-8", "replace") for text in answer(names, pages).numpy()]
        on_batch(len(batch))
        if seconds is not None and time.monotonic() - began > seconds:
            break
    asked = np.asarray(questions)[: len(predictions)]
    right = [encoded.questions[index].answer for index in asked]
    pairs = list(zip(predictions, right, strict=True))
    return Evaluation(
        view=view,
        kinds=np.array([encoded.questions[index].kind for index in asked]),
        positions=encoded.context_start()[asked] + encoded.answers[asked, 0],
        distances=encoded.distances()[asked],
        predictions=predictions,
        exact=np.array([exact_match(*pair) for pair in pairs]),
        f1=np.array([f1_score(*pair) for pair in pairs]),
    )
