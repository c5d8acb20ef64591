"""From the logits of `BigBirdForQuestionAnswering` back to the answers' text."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.answer_confidence import AnswerCalibration, log_odds
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch

__all__ = ["best_spans", "choose_answers", "decode_answers"]

NOTHING = float("-inf")


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
    calibration: AnswerCalibration | None = None,
    confidence_threshold: float = 0.0,
) -> dict[str, tf.Tensor]:
    """Finds the best spans of each context over all its windows.

    A span is whole words; in Chinese, Japanese, Korean, Thai and other scripts whose words spaces
    do not part, each letter may begin or end it. Its score is the sum of its first piece's start
    logit and its last piece's end logit. "No answer" scores the sum of both logits of `[CLS]`.

    Scores of different inputs mean nothing to each other, but by how much a span exceeds its own
    window's "no answer" does: by that, spans of several windows are compared. Where "no answer"
    never wins (`no_answer_threshold=None`), a model need not have learnt it, and scores are
    compared as they are.

    Only TensorFlow operations; it runs eagerly, in a `tf.function`, and in a SavedModel.

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
        calibration: How confidence follows from the model's probabilities; `None` for these
            probabilities themselves.
        confidence_threshold: The least confidence of an answer; "no answer" wins over those with
            less. A probability below 1; 0 for none.

    Returns:
        A dict of tensors of shape (B,), or (B, K) with `num_best` K (without B for one string):
        `answer`, the text, a string; `score`, float32; `start` and `end`, int32, the answer's bytes
        in the context; `confidence`, float32, the probability that the answer is right, for "no
        answer" that the best span is wrong. "No answer" is `""` with both offsets 0; also where
        there is no span. Where there is no further one, there is `""` with a score of minus
        infinity and a confidence of 0. Scores are such that their differences from
        `no_answer_score`, float32 of shape (B,), count: it is that of the best span's window, and
        scores of spans in other windows are moved along with it.

    Raises:
        ValueError: If `max_answer_length` or `num_best` is not positive, `confidence_threshold`
            not in [0, 1), or the logits are not of rank 2.
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
        spans,
        windows["example"],
        context,
        no_answer_threshold=no_answer_threshold,
        calibration=calibration,
        confidence_threshold=confidence_threshold,
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
        further span; `start` and `end`, int32, bytes in the context. And of shape (W,), float32:
        `no_answer_score`, and `log_total`, the logarithm of what all spans and "no answer" weigh,
        words or not.
    """
    length = tf.shape(start_logits)[1]
    start_logits = tf.cast(start_logits, tf.float32)
    end_logits = tf.cast(end_logits, tf.float32)
    starts = tf.where(windows["can_start"], start_logits, NOTHING)
    ends = tf.where(windows["can_end"], end_logits, NOTHING)
    log_total = sum(
        tf.reduce_logsumexp(tf.concat([none, some], axis=1), axis=1)
        for none, some in ((start_logits[:, :1], starts), (end_logits[:, :1], ends))
    )
    starts = tf.where(windows["begins_word"], starts, NOTHING)
    ends = tf.where(windows["ends_word"], ends, NOTHING)
    ends = tf.pad(ends, [[0, 0], [0, max_answer_length]], constant_values=NOTHING)
    # All ends that a start can have, of shape (T, max_answer_length): no T * T scores are built.
    position = tf.range(length)[:, tf.newaxis] + tf.range(max_answer_length)
    scores = starts[:, :, tf.newaxis] + tf.gather(ends, position, axis=1)
    scores = tf.reshape(scores, [tf.shape(scores)[0], length * max_answer_length])
    scores = tf.pad(scores, [[0, 0], [0, count]], constant_values=NOTHING)
    score, index = tf.math.top_k(scores, count)
    first = tf.minimum(index // max_answer_length, length - 1)
    last = tf.minimum(first + index % max_answer_length, length - 1)
    return {
        "score": score,
        "start": tf.gather(windows["token_starts"], first, batch_dims=1),
        "end": tf.gather(windows["token_ends"], last, batch_dims=1),
        "no_answer_score": start_logits[:, 0] + end_logits[:, 0],
        "log_total": log_total,
    }


def choose_answers(
    spans: dict[str, tf.Tensor],
    example: tf.Tensor,
    context: tf.Tensor,
    *,
    no_answer_threshold: float | None,
    calibration: AnswerCalibration | None = None,
    confidence_threshold: float = 0.0,
) -> dict[str, tf.Tensor]:
    """Finds the best answers of each context among its windows' spans.

    Args:
        spans: What `best_spans` gave for all windows.
        example: int32 of shape (W,), the context that each window is of, ascending.
        context: Strings of shape (B,).
        no_answer_threshold, calibration, confidence_threshold: As in `decode_answers`.

    Returns:
        What `decode_answers` returns, with as many answers a context as `spans` has a window.

    Raises:
        ValueError: If `confidence_threshold` is not in [0, 1).
    """
    calibration = calibration or AnswerCalibration()
    least_log_odds = calibration.least_log_odds(confidence_threshold)
    num_examples, count = tf.shape(context)[0], spans["score"].shape[1]
    # What a window's scores are compared by.
    own_none = spans["no_answer_score"]
    zero = own_none if no_answer_threshold is not None else tf.zeros_like(own_none)
    span = {
        "rank": spans["score"] - zero[:, tf.newaxis],
        "score": spans["score"],
        "start": spans["start"],
        "end": spans["end"],
        "none": tf.repeat(own_none[:, tf.newaxis], count, axis=1),
    }
    # (W, K) to (B, windows of a context * K), and then the best K.
    span = {key: _by_example(value, example, num_examples) for key, value in span.items()}
    # For a batch without contexts, or contexts without K spans.
    span = {
        key: tf.pad(value, [[0, 0], [0, count]], constant_values=_padding(value.dtype))
        for key, value in span.items()
    }
    span["rank"], chosen = tf.math.top_k(span["rank"], count)
    for key in ("score", "start", "end", "none"):
        span[key] = tf.gather(span[key], chosen, batch_dims=1)
    has_span = tf.math.is_finite(span["rank"])
    least_none = tf.math.unsorted_segment_min(own_none, example, num_examples)
    no_answer = tf.where(has_span[:, 0], span["none"][:, 0], least_none)
    log_total = _log_total(
        spans["log_total"] - zero, example, num_examples, share_none=no_answer_threshold is not None
    )
    odds = log_odds(span["rank"] - log_total[:, tf.newaxis])
    confidence = tf.where(has_span, calibration(odds), 0.0)

    # "No answer" is one candidate more, on a tie behind the others: the place it gets is the number
    # of spans that are good enough.
    is_good = has_span & (odds >= least_log_odds)
    if no_answer_threshold is not None:
        is_good &= span["rank"] >= -no_answer_threshold
    num_good = tf.reduce_sum(tf.cast(is_good, tf.int32), axis=1, keepdims=True)
    may_refuse = no_answer_threshold is not None or confidence_threshold > 0
    place = tf.where(has_span[:, :1] & (not may_refuse), count, num_good)
    column = tf.range(count)[tf.newaxis]
    source = tf.where(column > place, column - 1, column)
    is_none = column == place
    shifted = {
        key: tf.gather(value, tf.maximum(source, 0), batch_dims=1)
        for key, value in {**span, "has_span": has_span, "confidence": confidence}.items()
    }
    is_span = shifted["has_span"] & ~is_none
    start, end = tf.where(is_span, shifted["start"], 0), tf.where(is_span, shifted["end"], 0)
    moved = shifted["score"] + (no_answer[:, tf.newaxis] - shifted["none"])
    score = tf.where(is_span, moved, tf.where(is_none, no_answer[:, tf.newaxis], NOTHING))
    sure_of_none = 1.0 - confidence[:, :1]
    texts = tf.repeat(context[:, tf.newaxis], count, axis=1)
    return {
        "answer": tf.strings.substr(texts, start, end - start),
        "score": score,
        "confidence": tf.where(
            is_span, shifted["confidence"], tf.where(is_none, sure_of_none, 0.0)
        ),
        "start": start,
        "end": end,
        "no_answer_score": no_answer,
    }


def _log_total(
    values: tf.Tensor, example: tf.Tensor, num_examples: tf.Tensor, *, share_none: bool
) -> tf.Tensor:
    """Adds up what the windows of each example weigh.

    Args:
        values: Logarithms of shape (W,).
        example, num_examples: As in `choose_answers`.
        share_none: Whether "no answer", which weighs 1 in each window, shall count only once.

    Returns:
        Logarithms of shape (B,).
    """
    most = tf.math.unsorted_segment_max(values, example, num_examples)
    shares = tf.exp(values - tf.gather(most, example))
    if share_none:
        one = tf.exp(-most)
        shares -= tf.gather(one, example)
        total = one + tf.math.unsorted_segment_sum(tf.maximum(shares, 0.0), example, num_examples)
    else:
        total = tf.math.unsorted_segment_sum(shares, example, num_examples)
    return most + tf.math.log(total)


def _padding(dtype: tf.DType) -> float | int:
    return NOTHING if dtype.is_floating else 0


def _by_example(values: tf.Tensor, example: tf.Tensor, num_examples: tf.Tensor) -> tf.Tensor:
    """Puts the windows (W, K) of each example side by side: (B, most windows of one * K)."""
    ragged = tf.RaggedTensor.from_value_rowids(
        values, tf.cast(example, tf.int64), tf.cast(num_examples, tf.int64), validate=False
    )
    dense = ragged.to_tensor(_padding(values.dtype))
    return tf.reshape(dense, [num_examples, tf.shape(dense)[1] * values.shape[1]])
