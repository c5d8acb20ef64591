"""From the logits of `BigBirdForQuestionAnswering` back to the answers' text."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch

__all__ = ["best_spans", "choose_answers", "decode_answers"]


# There is no control flow on tensors in it, and AutoGraph would take seconds to find that out.
@tf.autograph.experimental.do_not_convert
def decode_answers(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    windows: dict[str, tf.Tensor],
    context: Any,
    *,
    max_answer_length: int = 30,
    num_best: int | None = None,
    no_answer_threshold: float | None = 0.0,
) -> dict[str, tf.Tensor]:
    """Finds the best spans of each context over all its windows.

    A span's score is the sum of its first piece's start logit and its last piece's end logit. "No
    answer" scores the sum of both logits of `[CLS]`, in that window of the context where it is
    least, as the official SQuAD 2.0 baseline has it. Only TensorFlow operations; it runs eagerly,
    in a `tf.function`, and in a SavedModel.

    Args:
        start_logits: Floats of shape (W, T), for all windows of a batch.
        end_logits: The same of the answers' ends.
        windows: What `QuestionAnsweringPreprocessor.make_windows` gave beside these inputs.
        context: The contexts that it was given: a string, or a batch of shape (B,).
        max_answer_length: The most pieces of an answer.
        num_best: How many answers to give for each context, the best first; `None` for the best
            one, without a dimension for it.
        no_answer_threshold: By how much "no answer" must score above the best span to win over it;
            `None` for never.

    Returns:
        A dict of tensors of shape (B,), or (B, K) with `num_best` K (without B for one string):
        `answer`, the text, a string; `score`, float32; `start` and `end`, int32, the answer's bytes
        in the context. "No answer" is `""` with both offsets 0; also where there is no (further)
        span. And `no_answer_score`, float32 of shape (B,).

    Raises:
        ValueError: If `max_answer_length` or `num_best` is not positive, or the logits are not of
            rank 2.
    """
    for name, value in (("max_answer_length", max_answer_length), ("num_best", num_best)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    for name, logits in (("start_logits", start_logits), ("end_logits", end_logits)):
        if len(logits.shape) != 2:
            raise ValueError(
                f"`{name}` must be of shape (windows, length). Received: {name} of shape "
                f"{logits.shape}"
            )
    context, is_scalar = to_batch("context", context)
    spans = best_spans(
        start_logits,
        end_logits,
        windows,
        max_answer_length=max_answer_length,
        count=1 if num_best is None else num_best,
    )
    found = choose_answers(
        spans, windows["example"], context, no_answer_threshold=no_answer_threshold
    )
    if num_best is None:
        found = {
            key: value[:, 0] if value.shape.rank == 2 else value for key, value in found.items()
        }
    return first_of_batch(found) if is_scalar else found


def best_spans(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    windows: dict[str, tf.Tensor],
    *,
    max_answer_length: int,
    count: int,
) -> dict[str, tf.Tensor]:
    """Finds the best spans of each window, the first half of `decode_answers`.

    Args:
        start_logits, end_logits, windows, max_answer_length: As in `decode_answers`.
        count: How many spans to find in each window, K.

    Returns:
        A dict of tensors of shape (W, K): `score`, float32, minus infinity where the window has no
        further span; `start` and `end`, int32, bytes in the context. And `no_answer_score`,
        float32 of shape (W,).
    """
    nothing = float("-inf")
    length = tf.shape(start_logits)[1]
    start_logits = tf.cast(start_logits, tf.float32)
    end_logits = tf.cast(end_logits, tf.float32)
    starts = tf.where(windows["can_start"], start_logits, nothing)
    ends = tf.where(windows["can_end"], end_logits, nothing)
    ends = tf.pad(ends, [[0, 0], [0, max_answer_length]], constant_values=nothing)
    # All ends that a start can have, of shape (T, max_answer_length): no T * T scores are built.
    position = tf.range(length)[:, tf.newaxis] + tf.range(max_answer_length)
    scores = starts[:, :, tf.newaxis] + tf.gather(ends, position, axis=1)
    scores = tf.reshape(scores, [tf.shape(scores)[0], length * max_answer_length])
    scores = tf.pad(scores, [[0, 0], [0, count]], constant_values=nothing)
    score, index = tf.math.top_k(scores, count)
    first = tf.minimum(index // max_answer_length, length - 1)
    last = tf.minimum(first + index % max_answer_length, length - 1)
    return {
        "score": score,
        "start": tf.gather(windows["token_starts"], first, batch_dims=1),
        "end": tf.gather(windows["token_ends"], last, batch_dims=1),
        "no_answer_score": start_logits[:, 0] + end_logits[:, 0],
    }


def choose_answers(
    spans: dict[str, tf.Tensor],
    example: tf.Tensor,
    context: tf.Tensor,
    *,
    no_answer_threshold: float | None,
) -> dict[str, tf.Tensor]:
    """Finds the best answers of each context among its windows' spans.

    Args:
        spans: What `best_spans` gave for all windows.
        example: int32 of shape (W,), the context that each window is of, ascending.
        context: Strings of shape (B,).
        no_answer_threshold: As in `decode_answers`.

    Returns:
        What `decode_answers` returns, with as many answers a context as `spans` has a window.
    """
    num_examples = tf.shape(context)[0]
    no_answer = tf.math.unsorted_segment_min(spans["no_answer_score"], example, num_examples)
    # (W, K) to (B, windows of a context * K).
    span = {
        key: _by_example(spans[key], example, num_examples) for key in ("score", "start", "end")
    }
    count = spans["score"].shape[1]
    # "No answer" is one candidate more, on a tie behind the others; and there must be K of them.
    span = {
        key: tf.pad(value, [[0, 0], [0, count]], constant_values=_nothing(value.dtype))
        for key, value in span.items()
    }
    rank_score = span["score"]
    if no_answer_threshold is not None:
        rank_score = tf.concat(
            [rank_score[:, :-1], (no_answer - no_answer_threshold)[:, tf.newaxis]], axis=1
        )
    _, chosen = tf.math.top_k(rank_score, count)
    span = {key: tf.gather(value, chosen, batch_dims=1) for key, value in span.items()}
    is_span = tf.math.is_finite(span["score"])
    start, end = tf.where(is_span, span["start"], 0), tf.where(is_span, span["end"], 0)
    texts = tf.repeat(context[:, tf.newaxis], count, axis=1)
    return {
        "answer": tf.strings.substr(texts, start, end - start),
        "score": tf.where(is_span, span["score"], no_answer[:, tf.newaxis]),
        "start": start,
        "end": end,
        "no_answer_score": no_answer,
    }


def _nothing(dtype: tf.DType) -> float | int:
    return float("-inf") if dtype.is_floating else 0


def _by_example(values: tf.Tensor, example: tf.Tensor, num_examples: tf.Tensor) -> tf.Tensor:
    """Puts the windows (W, K) of each example side by side: (B, most windows of one * K)."""
    ragged = tf.RaggedTensor.from_value_rowids(
        values, tf.cast(example, tf.int64), tf.cast(num_examples, tf.int64), validate=False
    )
    dense = ragged.to_tensor(_nothing(values.dtype))
    return tf.reshape(dense, [num_examples, tf.shape(dense)[1] * values.shape[1]])
