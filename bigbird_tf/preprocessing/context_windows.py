"""Long contexts cut into overlapping windows, each behind its question."""

from typing import NamedTuple

import tensorflow as tf

from bigbird_tf.preprocessing.packing import padded_length
from bigbird_tf.preprocessing.question_and_paragraphs import global_inputs
from bigbird_tf.preprocessing.tokenizers.text_layout import TextLayout

__all__ = [
    "ContextPieces",
    "WindowLayout",
    "WindowPlan",
    "fill_windows",
    "plan_overlapping",
    "plan_windows",
]


class ContextPieces(NamedTuple):
    """The pieces of a batch of contexts; ragged tensors of shape (B, None).

    Attributes:
        ids: int32 ids.
        starts: int32 byte offsets into the context at which a piece's visible text begins.
        ends: int32 byte offsets at which it ends.
        visible: Whether a piece has any visible text; bool.
        begins_word, ends_word: Whether that text begins, and ends, where a word does; bool.
        paragraphs: int32 numbers of paragraphs; only where these become global tokens.
    """

    ids: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor
    visible: tf.RaggedTensor
    begins_word: tf.RaggedTensor
    ends_word: tf.RaggedTensor
    paragraphs: tf.RaggedTensor | None = None


class WindowLayout(NamedTuple):
    """The settings of windows: special ids, and lengths in pieces."""

    text_layout: TextLayout
    pad_token_id: int
    max_length: int
    doc_stride: int
    max_windows: int | None
    padding: str
    pad_to_multiple_of: int | None
    # Where question and paragraphs become global tokens: the places for each.
    max_question_length: int = 0
    max_paragraphs: int = 0

    @property
    def num_special(self) -> int:
        """Special pieces of a window."""
        return sum(token is not None for token in self.text_layout)


class WindowPlan(NamedTuple):
    """What each window of a batch of contexts holds; int32 tensors of shape (W,).

    It is small, so that windows can be planned for a whole batch, and filled a few at a time.

    Attributes:
        example: The example that a window is of, ascending.
        question_length: Pieces of the question.
        first, end: The context's pieces in the window.
        answers_from, answers_until: Those of them that may begin an answer.
    """

    example: tf.Tensor
    question_length: tf.Tensor
    first: tf.Tensor
    end: tf.Tensor
    answers_from: tf.Tensor
    answers_until: tf.Tensor

    def lengths(self, layout: WindowLayout) -> tf.Tensor:
        """Returns the pieces of each window, the question and the special ones included."""
        return self.question_length + (self.end - self.first) + layout.num_special

    def take(self, rows: tf.Tensor) -> "WindowPlan":
        """Returns the plan of some windows only."""
        return WindowPlan(*(tf.gather(value, rows) for value in self))


def plan_windows(
    question: tf.RaggedTensor, context: ContextPieces, layout: WindowLayout
) -> WindowPlan:
    """Decides on the windows of every context.

    Windows begin `doc_stride` pieces after one another; the last one ends with the context. A
    context without pieces has one window, an empty one.

    Where windows overlap, each piece may begin an answer in one of them only, the one in which it
    has most context on its scarcer side; so no span is found twice.

    Args:
        question: Ids, ragged of shape (B, None).
        context: The contexts' pieces.
        layout: The settings.
    """
    question_length = tf.cast(question.row_lengths(), tf.int32)
    context_length = tf.cast(context.ids.row_lengths(), tf.int32)
    capacity = layout.max_length - layout.num_special - question_length
    return plan_overlapping(
        question_length, context_length, capacity, layout.doc_stride, layout.max_windows
    )


def plan_overlapping(
    question_length: tf.Tensor,
    context_length: tf.Tensor,
    capacity: tf.Tensor,
    doc_stride: int | tf.Tensor,
    max_windows: int | None = None,
) -> WindowPlan:
    """Decides on windows by lengths alone; see `plan_windows`.

    Args:
        question_length: int32 of shape (B,), pieces that stand before each window.
        context_length: int32 of shape (B,), pieces to be cut into windows.
        capacity: int32 of shape (B,), pieces that a window has room for.
        doc_stride: By how many pieces windows begin after one another; int32 of shape (B,), or one
            for all.
        max_windows: The most windows of a context, or `None`.
    """
    doc_stride = tf.broadcast_to(doc_stride, tf.shape(context_length))
    beyond_first = tf.maximum(context_length - capacity, 0)
    num_windows = 1 - (-beyond_first // doc_stride)
    if max_windows is not None:
        num_windows = tf.minimum(num_windows, max_windows)

    # From here on, one row a window.
    example = tf.repeat(tf.range(tf.shape(num_windows)[0]), num_windows)
    index = tf.ragged.range(num_windows).flat_values
    question_length, context_length, capacity, doc_stride, num_windows = (
        tf.gather(value, example)
        for value in (question_length, context_length, capacity, doc_stride, num_windows)
    )
    first = index * doc_stride
    end = tf.minimum(first + capacity, context_length)
    # Between two windows, the middle of what they share is where the other one sees more.
    shared_before = (first + first - doc_stride + capacity) // 2
    shared_after = (first + doc_stride + end) // 2
    answers_from = tf.where(index == 0, 0, shared_before)
    answers_until = tf.where(index == num_windows - 1, end, shared_after)
    return WindowPlan(example, question_length, first, end, answers_from, answers_until)


def fill_windows(
    plan: WindowPlan, question: tf.RaggedTensor, context: ContextPieces, layout: WindowLayout
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Lays out `[CLS] question [SEP] window [SEP]` for planned windows.

    With the special pieces of `layout`, which may have none before and between. Inputs then say
    nothing of where the question ends: models of that layout do not read it.

    Args:
        plan: The windows to lay out.
        question, context, layout: What they were planned of.

    Returns:
        `(x, windows)`. `x` is the model's input, int32 of shape (W, T), and `question_lengths` of
        shape (W, 1), which tells where the question ends, whatever the separator; and what
        `global_inputs` returns, if the context has paragraphs. `windows` is what `decode_answers`
        needs, as described at `QuestionAnsweringPreprocessor.make_windows`.
    """
    example, question_length, first, end, answers_from, answers_until = plan
    length = padded_length(
        plan.lengths(layout), layout.max_length, layout.padding, layout.pad_to_multiple_of
    )
    position = tf.range(length)[tf.newaxis]
    special = layout.text_layout
    question_begin = int(special.first is not None)
    question_end = question_begin + question_length[:, tf.newaxis]
    context_begin = question_end + int(special.between is not None)
    window_end = context_begin + (end - first)[:, tf.newaxis]
    in_question = (position >= question_begin) & (position < question_end)
    in_context = (position >= context_begin) & (position < window_end)
    piece = first[:, tf.newaxis] + position - context_begin
    in_own_part = (piece >= answers_from[:, tf.newaxis]) & (piece < answers_until[:, tf.newaxis])

    def from_question(values: tf.RaggedTensor) -> tf.Tensor:
        return _gather(values, example, position - question_begin, in_question)

    def from_context(values: tf.RaggedTensor) -> tf.Tensor:
        return _gather(values, example, piece, in_context)

    ids = tf.where(in_context, from_context(context.ids), from_question(question))
    ids = tf.where(position == window_end, special.last, ids)
    if special.first is not None:
        ids = tf.where(position == 0, special.first, ids)
    if special.between is not None:
        ids = tf.where(position == question_end, special.between, ids)
    x = {
        "input_ids": tf.where(position > window_end, layout.pad_token_id, ids),
        "attention_mask": tf.cast(position <= window_end, tf.int32),
    }
    if special.between is not None:
        x["token_type_ids"] = tf.cast(position >= context_begin, tf.int32)
        x["question_lengths"] = context_begin
    if context.paragraphs is not None:
        place = tf.range(layout.max_question_length)[tf.newaxis]
        is_question = place < question_length[:, tf.newaxis]
        question_ids = _gather(question, example, place, is_question)
        x |= global_inputs(
            tf.where(is_question, question_ids, layout.pad_token_id),
            question_length,
            from_context(context.paragraphs),
            in_context,
            max_paragraphs=layout.max_paragraphs,
            sep_token_id=special.last,
        )
    can_end = in_context & from_context(context.visible)
    windows = {
        "example": example,
        "token_starts": from_context(context.starts),
        "token_ends": from_context(context.ends),
        "can_start": can_end & in_own_part,
        "can_end": can_end,
        "begins_word": can_end & from_context(context.begins_word),
        "ends_word": can_end & from_context(context.ends_word),
    }
    return x, windows


def _gather(
    values: tf.RaggedTensor, rows: tf.Tensor, columns: tf.Tensor, wanted: tf.Tensor
) -> tf.Tensor:
    """Takes `values[rows[i], columns[i, j]]` where wanted, and zero (or false) elsewhere."""
    flat = values.flat_values
    flat = tf.concat([flat, tf.zeros([1], flat.dtype)], axis=0)
    nothing = tf.shape(flat)[0] - 1
    row_starts = tf.cast(tf.gather(values.row_starts(), rows), tf.int32)
    return tf.gather(flat, tf.where(wanted, row_starts[:, tf.newaxis] + columns, nothing))
