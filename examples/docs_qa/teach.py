"""Teaches a question-answering model a new kind of question, with what bigbird_tf has for users.

Texts go through `QuestionAnsweringPreprocessor` into `model.fit`; loss and metrics are the model's
own. Whoever has questions, texts and answers of another kind can do the same with them.
"""

import dataclasses
import random
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf import BigBirdForQuestionAnswering
from bigbird_tf.preprocessing import BigBirdTokenizer, QuestionAnsweringPreprocessor
from examples.docs_qa.dataset import EncodedSplit
from examples.docs_qa.evaluate import MAX_QUESTION_PIECES, group_of

__all__ = ["FitBudget", "Lesson", "Teacher", "lesson_dataset", "make_examples"]

ENDLESS = 10**9  # The time budget ends it.


@dataclasses.dataclass(frozen=True)
class Lesson:
    """How to teach.

    Attributes:
        turns: The groups of questions (see `evaluate.GROUPS`) that examples are of, in turns.
            Those that the model knows already are there so that it does not forget them.
        length: Pieces of an input.
        batch_size: Inputs of a step.
        learning_rate, final_learning_rate: At the start, after the warm-up, and at the end.
        warmup_steps: Steps until the learning rate is reached.
        max_examples: At most so many.
        seed: Seed of the draw of examples and of their order.
    """

    turns: tuple[str, ...] = ("signature", "sentence", "signature", "class_near")
    length: int = 256
    batch_size: int = 8
    learning_rate: float = 5e-4
    final_learning_rate: float = 5e-5
    warmup_steps: int = 10
    max_examples: int = 4000
    seed: int = 0


def make_examples(encoded: EncodedSplit, lesson: Lesson) -> list[tuple[str, str, str, int]]:
    """Makes what a user would have: questions, texts, answers, and where these stand.

    The texts are parts of pages, of the length of an input, with the answer anywhere in them.

    Args:
        encoded: The training split.
        lesson: How to teach.

    Returns:
        Tuples `(question, text, answer, bytes before the answer)`, in random order.

    Raises:
        ValueError: If there are no questions of the first of the lesson's groups.
    """
    draw = random.Random(lesson.seed)
    kinds = np.array([question.kind for question in encoded.questions])
    groups = group_of(kinds, encoded.distances())
    fits = encoded.context_start() + encoded.distances() + 2 <= lesson.length // 2
    questions = {}
    for group in lesson.turns:
        questions[group] = list(np.flatnonzero(fits & (groups == group)))
        draw.shuffle(questions[group])
    new = lesson.turns[0]
    if not questions[new]:
        raise ValueError(
            f"`encoded` must have questions of the group {new!r} that fit into {lesson.length} "
            "pieces. Received a split without any; more pages are needed"
        )
    # As many rounds as give each question of the new group one example.
    rounds = min(
        -(-len(questions[new]) // lesson.turns.count(new)),
        max(1, lesson.max_examples // len(lesson.turns)),
    )
    examples = []
    for number in range(rounds * len(lesson.turns)):
        group = questions[lesson.turns[number % len(lesson.turns)]]
        if not group:
            continue
        index = group.pop()
        group.insert(0, index)  # Again when all others have been.
        text, start = encoded.around(index, lesson.length, draw.random())
        question = encoded.questions[index]
        examples.append((question.text, text, question.answer, start))
    draw.shuffle(examples)
    return examples


def lesson_dataset(
    examples: Sequence[tuple[str, str, str, int]], tokenizer: BigBirdTokenizer, lesson: Lesson
) -> tf.data.Dataset:
    """Makes batches for `fit` of examples, without end.

    Args:
        examples: From `make_examples`.
        tokenizer: The model's tokenizer.
        lesson: How to teach.
    """
    preprocessor = QuestionAnsweringPreprocessor(
        tokenizer,
        max_length=lesson.length,
        max_question_length=MAX_QUESTION_PIECES,
        max_windows=1,
        offset_unit="bytes",
    )
    columns = tuple(map(list, zip(*examples, strict=True)))
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    dataset = dataset.shuffle(len(examples), seed=lesson.seed).repeat()
    return dataset.batch(lesson.batch_size, drop_remainder=True).map(preprocessor).prefetch(2)


class FitBudget(keras.callbacks.Callback):
    """Ends a `fit` when its time is over, and lets the learning rate follow the time.

    A schedule counted in steps would end early on a fast machine and never on a slow one. Time
    counts from the end of the first step, for which the graph is traced.

    Args:
        lesson: Has the learning rates.
        seconds: How long to train after the first step.
        latest: When to end in any case, in seconds of `clock`.
        clock: Tells the time.

    Attributes:
        curve: For each step but the first, the seconds since then, and the metrics of the steps so
            far, one dictionary each.
    """

    def __init__(
        self,
        lesson: Lesson,
        *,
        seconds: float,
        latest: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self.lesson = lesson
        self.seconds = seconds
        self.latest = latest
        self.clock = clock
        self.curve: list[dict[str, float]] = []
        self._began: float | None = None

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the learning rate."""
        lesson = self.lesson
        passed = 0.0
        if self._began is not None:
            passed = min(1.0, (self.clock() - self._began) / self.seconds)
        rate = lesson.learning_rate + passed * (lesson.final_learning_rate - lesson.learning_rate)
        self.model.optimizer.learning_rate = rate * min(1.0, (batch + 1) / lesson.warmup_steps)

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the clock."""
        now = self.clock()
        if self._began is None:
            self._began = now
        else:
            self.curve.append({"seconds": now - self._began, **(logs or {})})
        if now >= min(self._began + self.seconds, self.latest):
            self.model.stop_training = True

    @property
    def trained(self) -> float:
        """How many seconds the steps after the first took."""
        return self.curve[-1]["seconds"] if self.curve else 0.0


class Teacher:
    """Trains a model for a given time, also again from other weights.

    Args:
        model: The model; its weights change in place.
        lesson: How to teach.
        clock: Tells the time.
    """

    def __init__(
        self,
        model: BigBirdForQuestionAnswering,
        lesson: Lesson,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.model = model
        self.lesson = lesson
        self.clock = clock
        optimizer = keras.optimizers.AdamW(
            lesson.learning_rate, weight_decay=0.01, global_clipnorm=1.0
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        model.compile(optimizer=optimizer)  # With the model's own loss and metrics.

    def trace(self, dataset: tf.data.Dataset) -> None:
        """Traces the graph of a step, which on a busy machine takes long; weights stay as they are.

        Args:
            dataset: From `lesson_dataset`.
        """
        weights = self.model.get_weights()
        self.teach(dataset, seconds=0.0, latest=self.clock())
        self.model.set_weights(weights)

    def forget(self, seed: int) -> None:
        """Sets random weights in the model, as a new one has.

        Graphs that were traced stay as they are, which on a busy machine saves minutes.

        Args:
            seed: Seed of the weights.
        """
        keras.utils.set_random_seed(seed)
        fresh = type(self.model)(self.model.config, dtype=self.model.dtype_policy)
        self.model.set_weights(fresh.get_weights())

    def teach(
        self,
        dataset: tf.data.Dataset,
        *,
        seconds: float,
        latest: float,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> dict:
        """Trains from the weights that the model has; one step at least.

        Args:
            dataset: From `lesson_dataset`.
            seconds: How long, from the end of the first step on.
            latest: When to end in any case, in seconds of the clock.
            callbacks: Further Keras callbacks.

        Returns:
            A dictionary: `steps`, `examples`, `seconds`, the model's loss and metrics (means of all
            steps), and `curve`, of `FitBudget`.
        """
        for variable in self.model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        budget = FitBudget(self.lesson, seconds=seconds, latest=latest, clock=self.clock)
        history = self.model.fit(
            dataset,
            steps_per_epoch=ENDLESS,
            shuffle=False,  # It comes in random order.
            verbose=0,
            callbacks=[budget, *callbacks],
        )
        steps = len(budget.curve) + 1
        return {
            "steps": steps,
            "examples": steps * self.lesson.batch_size,
            "seconds": budget.trained,
            **{name: values[-1] for name, values in history.history.items()},
            "curve": budget.curve,
        }
