"""`QuestionAnsweringServable`: from questions and documents to answers."""

import math
from typing import Any

import tensorflow as tf

from bigbird_tf.models import BigBirdForQuestionAnswering, BigBirdPegasusForQuestionAnswering
from bigbird_tf.models.big_bird.global_inputs import GLOBAL_NAMES
from bigbird_tf.preprocessing import QuestionAnsweringPreprocessor
from bigbird_tf.preprocessing.answer_confidence import (
    AnswerCalibration,
    check_confidence_threshold,
)
from bigbird_tf.preprocessing.answer_decoding import best_spans, choose_answers
from bigbird_tf.preprocessing.context_windows import fill_windows, plan_windows
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.serving.servable import Servable, check_same_batch

__all__ = ["QuestionAnsweringServable"]


class QuestionAnsweringServable(Servable):
    """Signatures of `BigBirdForQuestionAnswering` and `BigBirdPegasusForQuestionAnswering`.

    `serving_default` takes strings `question` and `context`, of shape (B,) each, and gives `answer`
    (string), `score` and `confidence` (float32), `start` and `end` (int32, bytes of the context),
    and `no_answer_score` (float32), of shape (B,). `n_best` takes the same and gives the first five
    with `num_best` columns, the best first. No answer is `""` with both offsets 0. See
    `bigbird_tf.preprocessing.decode_answers` for scores and confidence. Where there are fewer
    answers than columns, the score is the least finite float32: JSON knows no infinity.

    `from_ids` gives `start_logits` and `end_logits`, float32 of shape (B, T).

    Args:
        model: A `BigBirdForQuestionAnswering` or `BigBirdPegasusForQuestionAnswering`.
        tokenizer: A `Tokenizer`, or `None`.
        doc_stride: By how many pieces the windows of a document begin after one another; half a
            window by default.
        max_question_length: Longer questions are cut to so many pieces.
        max_windows: The most windows of a document, whose rest is then not read; `None` for all.
        max_answer_length: The most pieces of an answer.
        num_best: Answers that the signature `n_best` gives.
        no_answer_threshold: By how much "no answer" must score above the best span to win over it;
            `None` for never. `"auto"` for never where the model's config has an
            `answer_calibration`, whose threshold decides instead, and for 0 elsewhere.
        confidence_threshold: The least confidence of an answer, in [0, 1); below it there is no
            answer. `None` for that of the config's `answer_calibration`, or 0 without one.
        construction: `"etc"` for models that were trained on what a
            `QuestionAnsweringPreprocessor(construction="etc")` makes: question and paragraphs are
            their global tokens, which `from_ids` then takes, too.
        max_paragraphs: As that preprocessor's, with `max_question_length` pieces of the question.
        **options: `max_length`, `weight_dtype`.
    """

    def __init__(
        self,
        model: BigBirdForQuestionAnswering | BigBirdPegasusForQuestionAnswering,
        tokenizer: Tokenizer | None = None,
        *,
        doc_stride: int | None = None,
        max_question_length: int | None = None,
        max_windows: int | None = None,
        max_answer_length: int = 30,
        num_best: int = 5,
        no_answer_threshold: float | str | None = "auto",
        confidence_threshold: float | None = None,
        construction: str = "itc",
        max_paragraphs: int = 64,
        **options: Any,
    ):
        if construction == "etc":
            self.input_names = (*self.input_names, *GLOBAL_NAMES)
        super().__init__(model, tokenizer, **options)
        for name, value in (("max_answer_length", max_answer_length), ("num_best", num_best)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        self.calibration = AnswerCalibration.of_config(self.config)
        if no_answer_threshold == "auto":
            no_answer_threshold = 0.0 if self.calibration is None else None
        if no_answer_threshold is not None and (
            not isinstance(no_answer_threshold, (int, float))
            or isinstance(no_answer_threshold, bool)
            or math.isnan(no_answer_threshold)
        ):
            raise ValueError(
                "`no_answer_threshold` must be a number, None or 'auto'. Received: "
                f"no_answer_threshold={no_answer_threshold!r}"
            )
        if confidence_threshold is None:
            confidence_threshold = self.calibration.threshold if self.calibration else 0.0
        check_confidence_threshold("confidence_threshold", confidence_threshold)
        self.max_answer_length = max_answer_length
        self.num_best = num_best
        self.no_answer_threshold = no_answer_threshold
        self.confidence_threshold = confidence_threshold
        if tokenizer is None:
            return
        if max_question_length is None:
            # A short model still needs room for the document.
            max_question_length = min(64, self.max_length // 4)
        self.preprocessor = QuestionAnsweringPreprocessor(
            tokenizer,
            max_length=self.max_length,
            padding="longest",
            pad_to_multiple_of=self.length_step,
            doc_stride=doc_stride,
            max_question_length=max_question_length,
            max_windows=max_windows,
            construction=construction,
            max_paragraphs=max_paragraphs,
        )
        self._signature = [
            tf.TensorSpec([None], tf.string, name=name) for name in ("question", "context")
        ]

        # In the graph once, for both signatures.
        @tf.function(input_signature=self._signature, autograph=False)
        def tokenize(question, context):
            with tf.device("/CPU:0"):
                return self.preprocessor.tokenize(question, context)

        self._tokenize = tokenize
        # Other families have none.
        num_global_tokens = getattr(self.config, "num_global_tokens", 0)
        if self.preprocessor.num_global_tokens > num_global_tokens:
            raise ValueError(
                "The model must have a global token for each piece of the question and each "
                f"paragraph. Received: max_question_length={max_question_length}, "
                f"max_paragraphs={max_paragraphs}, config.num_global_tokens="
                f"{num_global_tokens}. Pass what it was trained with"
            )

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default` and `n_best`."""

        @tf.function(input_signature=self._signature, autograph=False)
        def best(question, context):
            return {
                key: x if x.shape.rank == 1 else x[:, 0] for key, x in find(1, question, context)
            }

        @tf.function(input_signature=self._signature, autograph=False)
        def n_best(question, context):
            return dict(find(self.num_best, question, context))

        def find(count, question, context):
            return self._answers(question, context, count).items()

        return {
            "serving_default": best,
            "n_best": n_best,
        }

    def _answers(self, question: tf.Tensor, context: tf.Tensor, count: int) -> dict[str, tf.Tensor]:
        layout = self.preprocessor.window_layout
        # Strings have CPU kernels only. On a server with a GPU, a placer that is free to choose
        # must not pull them, or the vocabulary's resource, to where the model is.
        with tf.device("/CPU:0"):
            question, context = check_same_batch(question=question, context=context)
            question_ids, pieces = self._tokenize(question, context)
            plan = plan_windows(question_ids, pieces, layout)

        def compute(rows):
            x, windows = fill_windows(plan.take(rows), question_ids, pieces, layout)
            logits = self.encode(**x)
            return rows, best_spans(
                logits["start_logits"],
                logits["end_logits"],
                windows,
                max_answer_length=self.max_answer_length,
                count=count,
            )

        lengths = plan.lengths(layout)
        num_windows = tf.shape(lengths)[0]
        spans = self.run_by_length(
            compute,
            lengths,
            {
                "score": tf.zeros([num_windows, count], tf.float32),
                "start": tf.zeros([num_windows, count], tf.int32),
                "end": tf.zeros([num_windows, count], tf.int32),
                "no_answer_score": tf.zeros([num_windows], tf.float32),
                "log_total": tf.zeros([num_windows], tf.float32),
            },
        )
        with tf.device("/CPU:0"):
            found = choose_answers(
                spans,
                plan.example,
                context,
                no_answer_threshold=self.no_answer_threshold,
                calibration=self.calibration,
                confidence_threshold=self.confidence_threshold,
            )
            # Over REST, TensorFlow Serving writes minus infinity as `-Infinity`, which is no JSON.
            return {**found, "score": tf.maximum(found["score"], tf.float32.min)}

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a question and a document of so many words."""
        word = self.tokenizer.example_word
        return {"question": [word * 3], "context": [word * num_words]}
