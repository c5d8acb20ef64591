"""How well a model answers, and how that depends on where the answer stands."""

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

__all__ = ["Evaluation", "choose_questions", "evaluate"]

MAX_ANSWER_PIECES = 80


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model answered to some questions.

    Attributes:
        length: Pieces of a page that the model was shown.
        positions: Where in the input of full length each answer begins, in pieces; int (Q,).
        predictions: The model's answers.
        exact: 1.0 for each answer that is exactly right, as SQuAD defines it; float (Q,).
        f1: Overlap of each answer with the right one, as SQuAD defines it; float (Q,).
    """

    length: int
    positions: np.ndarray
    predictions: list[str]
    exact: np.ndarray
    f1: np.ndarray

    def summary(self) -> dict[str, float]:
        """Gives the percentages."""
        return {
            "questions": len(self.predictions),
            "exact_match": 100 * float(np.mean(self.exact)),
            "f1": 100 * float(np.mean(self.f1)),
        }


def choose_questions(
    encoded: EncodedSplit, *, length: int, count: int | None = None, seed: int = 0
) -> np.ndarray:
    """Draws questions that can be answered within the first pieces of their page.

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
    length: int,
    batch_size: int = 4,
    seconds: float | None = None,
    on_batch: Callable[[int], None] = lambda size: None,
) -> Evaluation:
    """Asks a model questions about pages, of which it sees the first pieces.

    Everything goes the way of a user's strings: preprocessor, model, decoder. Wherever the answer
    may be, the model must point at something; what it finds by chance counts.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        encoded: The split.
        questions: Indices of the questions.
        length: Pieces of an input; the rest of a page is cut off.
        batch_size: Questions at a time.
        seconds: Stop asking after this time; `None` for never. One batch is asked in any case.
        on_batch: Called after each batch with the number of questions in it.

    Raises:
        ValueError: If there are no questions.
    """
    if len(questions) == 0:
        raise ValueError("`questions` must not be empty. Received: no questions")
    preprocessor = QuestionAnsweringPreprocessor(
        tokenizer, max_length=length, max_windows=1, max_question_length=30
    )

    # One graph for all batches, the last and smaller one included.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def answer(names, pages):
        inputs, windows = preprocessor.make_windows(names, pages)
        # Without shapes known beforehand the attention pattern would not be a constant.
        inputs = {key: tf.ensure_shape(value, [None, length]) for key, value in inputs.items()}
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
    began = time.monotonic()
    for start in range(0, len(questions), batch_size):
        batch = questions[start : start + batch_size]
        names = tf.constant([encoded.questions[index].name for index in batch])
        pages = tf.constant([encoded.pages[encoded.page_of[index]] for index in batch])
        predictions += [text.decode("utf-8", "replace") for text in answer(names, pages).numpy()]
        on_batch(len(batch))
        if seconds is not None and time.monotonic() - began > seconds:
            break
    asked = np.asarray(questions)[: len(predictions)]
    right = [encoded.questions[index].answer for index in asked]
    pairs = list(zip(predictions, right, strict=True))
    return Evaluation(
        length=length,
        positions=encoded.context_start()[asked] + encoded.answers[asked, 0],
        predictions=predictions,
        exact=np.array([exact_match(*pair) for pair in pairs]),
        f1=np.array([f1_score(*pair) for pair in pairs]),
    )
