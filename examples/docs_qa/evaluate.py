"""How well a model answers, by kind of question, by what it sees, by where the evidence stands."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

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

__all__ = [
    "FAR",
    "GROUPS",
    "Evaluation",
    "Reader",
    "View",
    "choose_questions",
    "evaluate",
    "group_of",
]

MAX_ANSWER_PIECES = 80
FAR = 512  # Evidence so many pieces apart never is in one short window.
MAX_QUESTION_PIECES = 30
# Kinds of questions; those for a class apart, by how far its heading is from the method.
GROUPS = ("sentence", "class_near", "class_far", "signature")


@dataclasses.dataclass(frozen=True)
class View:
    """What of a page a model sees.

    Attributes:
        length: Pieces of an input, question included.
        up_to: Inputs of that length slide over what an input of so many pieces would hold; `None`
            for one input, at the page's beginning.
        chosen: Instead of sliding, there is only the one window that holds the evidence (as far as
            one can), which somebody has chosen who knows the answer.
    """

    length: int
    up_to: int | None = None
    chosen: bool = False

    def __str__(self) -> str:
        if self.up_to is None:
            return f"the first {self.length:,} pieces"
        if self.chosen:
            return f"the right {self.length:,} of {self.up_to:,} pieces"
        return f"{self.length:,} pieces, sliding over {self.up_to:,}"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model answered to some questions.

    Attributes:
        view: What of a page the model was shown.
        asked: Indices of the questions in their split; int (Q,).
        kinds: Each question's kind; strings (Q,).
        positions: Where in the input of full length each answer begins, in pieces; int (Q,).
        distances: Pieces between the ends of each question's evidence; int (Q,).
        predictions: The model's answers.
        exact: 1.0 for each answer that is exactly right, as SQuAD defines it; float (Q,).
        f1: Overlap of each answer with the right one, as SQuAD defines it; float (Q,).
    """

    view: View
    asked: np.ndarray
    kinds: np.ndarray
    positions: np.ndarray
    distances: np.ndarray
    predictions: list[str]
    exact: np.ndarray
    f1: np.ndarray

    def summary(self, group: str | None = None) -> dict[str, float | None]:
        """Returns the number of questions and percentages; `None` where there is no question.

        Args:
            group: Of this one of `GROUPS`; `None` for all questions.
        """
        of = np.full(len(self.kinds), True) if group is None else self.groups() == group
        count = int(of.sum())
        return {
            "questions": count,
            "exact_match": 100 * float(np.mean(self.exact[of])) if count else None,
            "f1": 100 * float(np.mean(self.f1[of])) if count else None,
        }

    def to_dict(self) -> dict:
        """Returns all percentages, for JSON."""
        return {"view": str(self.view), **{group: self.summary(group) for group in GROUPS}}

    def only(self, keep: np.ndarray | slice) -> "Evaluation":
        """Returns some of the questions.

        Args:
            keep: Indices, a mask of shape (Q,), or a slice.
        """
        parts = {
            name: getattr(self, name)[keep]
            for name in ("asked", "kinds", "positions", "distances", "exact", "f1")
        }
        predictions = list(np.array(self.predictions, object)[keep])
        return dataclasses.replace(self, predictions=predictions, **parts)

    def groups(self) -> np.ndarray:
        """Returns the name in `GROUPS` of each question's group, strings of shape (Q,)."""
        return group_of(self.kinds, self.distances)


def group_of(kinds: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Returns in which of `GROUPS` questions are, strings of shape (Q,).

    Args:
        kinds: Their kinds, strings of shape (Q,).
        distances: Pieces between the ends of their evidence, of shape (Q,).
    """
    classes = np.where(distances >= FAR, "class_far", "class_near")
    return np.where(kinds == "class", classes, kinds)


def choose_questions(
    encoded: EncodedSplit,
    *,
    length: int,
    count: int | None = None,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> np.ndarray:
    """Draws questions whose evidence is within the first pieces of their page.

    Args:
        encoded: The split.
        length: The pieces of an input, question included.
        count: At most so many; `None` for all.
        seed: Seed of the draw.
        groups: Some of `GROUPS`. Questions of each come in turns, so that whoever stops early has
            asked all of them. `None` draws from all questions with equal chance.

    Returns:
        Indices of the questions, in random order.
    """
    questions = np.random.default_rng(seed).permutation(encoded.answered_within(length))
    if groups is None:
        return questions[:count]
    kinds = np.array([encoded.questions[index].kind for index in questions])
    group = group_of(kinds, encoded.distances()[questions])
    turns = np.zeros(len(questions), int)
    for name in groups:
        turns[group == name] = np.arange(np.sum(group == name))
    questions, turns = questions[np.isin(group, groups)], turns[np.isin(group, groups)]
    return questions[np.argsort(turns, kind="stable")][:count]


class Reader:
    """Asks a model as a user would: strings go through preprocessor, model and decoder.

    Wherever the answer may be, the model must point at something; what it finds by chance counts.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        view: What of a page it sees.
        graph: From `trace`, for that model and the view's length. `None` makes one.
    """

    def __init__(
        self,
        model: BigBirdForQuestionAnswering,
        tokenizer: BigBirdTokenizer,
        view: View,
        graph: Callable[[dict], dict] | None = None,
    ):
        self.view = view
        self._compute = trace(model) if graph is None else graph
        is_sliding = view.up_to is not None and not view.chosen
        self._preprocessor = QuestionAnsweringPreprocessor(
            tokenizer,
            max_length=view.length,
            max_windows=None if is_sliding else 1,
            max_question_length=MAX_QUESTION_PIECES,
        )

    @classmethod
    def for_views(
        cls, model: BigBirdForQuestionAnswering, tokenizer: BigBirdTokenizer, views: Iterable[View]
    ) -> list["Reader"]:
        """Makes readers of one model, with one graph for all views of a length.

        Args:
            model: The model.
            tokenizer: Its tokenizer.
            views: What of a page each sees.
        """
        views = list(views)
        graphs = {view.length: trace(model) for view in views}
        return [cls(model, tokenizer, view, graphs[view.length]) for view in views]

    def answer(self, encoded: EncodedSplit, questions: Sequence[int]) -> list[str]:
        """Returns the model's answers.

        Args:
            encoded: The split.
            questions: Indices of the questions, one batch.
        """
        names = tf.constant([encoded.questions[index].text for index in questions])
        if self.view.chosen:
            pages = [encoded.around(index, self.view.length, 0.5)[0] for index in questions]
        else:
            seen = self.view.up_to or self.view.length
            pages = [encoded.beginning(index, seen) for index in questions]
        pages = tf.constant(pages)
        inputs, windows = self._preprocessor.make_windows(names, pages)
        logits = self._compute(inputs)
        answers = decode_answers(
            logits["start_logits"],
            logits["end_logits"],
            windows,
            pages,
            max_answer_length=MAX_ANSWER_PIECES,
            no_answer_threshold=None,
        )["answer"]
        return [text.decode("utf-8", "replace") for text in answers.numpy()]


def trace(model: BigBirdForQuestionAnswering) -> Callable[[dict], dict]:
    """Returns a model as one graph for batches of any size. It follows the model's weights.

    The graph is made when it is first called, for inputs of that length alone: that is what takes
    long on a busy machine.

    Args:
        model: The model.
    """
    graph = None

    def compute(inputs):
        nonlocal graph
        if graph is None:
            # What inputs there are, the preprocessor knows.
            spec = {
                name: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
                for name, value in inputs.items()
            }
            graph = tf.function(
                lambda inputs: model(inputs, training=False), input_signature=[spec]
            )
        return graph(inputs)

    return compute


def evaluate(
    readers: Sequence[Reader],
    encoded: EncodedSplit,
    questions: Sequence[int],
    *,
    batch_size: int = 4,
    is_over: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], None] = lambda size: None,
) -> list[Evaluation]:
    """Asks several readers the same questions.

    Args:
        readers: The readers.
        encoded: The split.
        questions: Indices of the questions.
        batch_size: Questions at a time: all readers answer them before the next ones.
        is_over: Whether to stop; looked at after each batch, so that one is asked in any case.
        on_batch: Called after each batch with the number of questions in it.

    Returns:
        An evaluation for each reader, all of the same questions.

    Raises:
        ValueError: If there are no questions.
    """
    if len(questions) == 0:
        raise ValueError("`questions` must not be empty. Received: no questions")
    predictions: list[list[str]] = [[] for _ in readers]
    for start in range(0, len(questions), batch_size):
        batch = questions[start : start + batch_size]
        for reader, so_far in zip(readers, predictions, strict=True):
            so_far += reader.answer(encoded, batch)
        on_batch(len(batch))
        if is_over():
            break
    asked = np.asarray(questions)[: len(predictions[0])]
    return [
        _judge(reader.view, encoded, asked, found)
        for reader, found in zip(readers, predictions, strict=True)
    ]


def _judge(view: View, encoded: EncodedSplit, asked: np.ndarray, found: list[str]) -> Evaluation:
    pairs = [
        (answer, encoded.questions[index].answer)
        for index, answer in zip(asked, found, strict=True)
    ]
    return Evaluation(
        view=view,
        asked=asked,
        kinds=np.array([encoded.questions[index].kind for index in asked]),
        positions=encoded.context_start()[asked] + encoded.answers[asked, 0],
        distances=encoded.distances()[asked],
        predictions=found,
        exact=np.array([exact_match(*pair) for pair in pairs]),
        f1=np.array([f1_score(*pair) for pair in pairs]),
    )
