"""`QuestionAnsweringPreprocessor`: questions, contexts and answers for question answering."""

from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.config import CONSTRUCTIONS
from bigbird_tf.preprocessing.context_windows import (
    ContextPieces,
    WindowLayout,
    fill_windows,
    plan_windows,
)
from bigbird_tf.preprocessing.preprocessor import Preprocessor
from bigbird_tf.preprocessing.question_and_paragraphs import paragraph_numbers
from bigbird_tf.preprocessing.text_bytes import TextBytes
from bigbird_tf.preprocessing.text_input import to_batch, to_integer_tensor, to_string_tensor
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.preprocessing.word_boundaries import are_word_boundaries

__all__ = ["QuestionAnsweringPreprocessor"]

OFFSET_UNITS = ("characters", "bytes")


@keras.saving.register_keras_serializable(package="bigbird_tf")
class QuestionAnsweringPreprocessor(Preprocessor):
    """Turns questions, contexts and answers into what `BigBirdForQuestionAnswering` is trained on.

    The layout is `[CLS] question [SEP] context [SEP]`, of token types 0 for the question and 1
    from the context on, as `transformers`' head fills them in. With a `PegasusTokenizer`, for
    `BigBirdPegasusForQuestionAnswering`, it is `question context </s>`, without types and
    `question_lengths`.

    A context that does not fit is cut into overlapping windows. So an example becomes one row or
    several, and the result has a dimension of windows, W, also for a single example; in an
    unbatched `tf.data` pipeline `.unbatch()` follows the map.

    Args:
        tokenizer: A `Tokenizer`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` or `"longest"`.
        pad_to_multiple_of: With `"longest"`, the step of the lengths.
        doc_stride: How many pieces after one another the windows of a context begin; half of what
            a window holds by default. An answer is sure to be whole in one window if it is no
            longer than what windows share.
        max_question_length: Longer questions are cut to so many pieces.
        max_windows: The most windows of a context; the rest of it is then dropped. `None` for all.
        offset_unit: Whether `answer_starts` count `"characters"` (code points: Python's and
            SQuAD's way) or `"bytes"` of UTF-8.
        construction: With `"etc"` the inputs have global tokens besides, for models of that
            construction: the question's pieces once more, in the first `max_question_length`
            places, and a separator for each paragraph of the window (line breaks part them).
        max_paragraphs: Places for paragraphs; the last is that of all further ones, too.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        ValueError: If the lengths leave no room for the context, or leave gaps between windows.

    Example:

    >>> preprocessor = QuestionAnsweringPreprocessor(tokenizer, max_length=4096)
    >>> x, y = preprocessor("Who sings?", "A bird sings.", "A bird", 0)
    >>> sorted(y)
    ['end_logits', 'start_logits']
    """

    # Of a Pegasus tokenizer there are fewer.
    num_special = 3

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 4096,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        doc_stride: int | None = None,
        max_question_length: int = 64,
        max_windows: int | None = None,
        offset_unit: str = "characters",
        construction: str = "itc",
        max_paragraphs: int = 64,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_length, padding, pad_to_multiple_of, **kwargs)
        for name, value in (
            ("max_question_length", max_question_length),
            ("doc_stride", doc_stride),
            ("max_windows", max_windows),
            ("max_paragraphs", max_paragraphs),
        ):
            if value is None and name not in ("max_question_length", "max_paragraphs"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        num_special = tokenizer.count_special(2)
        room = max_length - num_special - max_question_length
        if room < 1:
            raise ValueError(
                "`max_length` must leave room for the context beside `max_question_length` pieces "
                f"of the question and {num_special} special ones. Received: "
                f"max_length={max_length}, max_question_length={max_question_length}"
            )
        if doc_stride is not None and doc_stride > room:
            raise ValueError(
                f"`doc_stride` must be at most {room}, what a window holds beside the longest "
                "question; else there are gaps between windows. Received: "
                f"doc_stride={doc_stride}, max_length={max_length}, "
                f"max_question_length={max_question_length}"
            )
        if offset_unit not in OFFSET_UNITS:
            raise ValueError(
                f"`offset_unit` must be 'characters' or 'bytes'. Received: {offset_unit!r}"
            )
        if construction not in CONSTRUCTIONS:
            raise ValueError(
                f"`construction` must be 'itc' or 'etc'. Received: construction={construction!r}"
            )
        if construction == "etc" and num_special < self.num_special:
            raise ValueError(
                "construction='etc' needs a tokenizer with separators between texts, for BigBird. "
                f"Received: {type(tokenizer).__name__}"
            )
        self.construction = construction
        self.max_paragraphs = max_paragraphs
        self.doc_stride = (room + 1) // 2 if doc_stride is None else doc_stride
        self.max_question_length = max_question_length
        self.max_windows = max_windows
        self.offset_unit = offset_unit

    def call(
        self, question: Any, context: Any, answer_texts: Any = None, answer_starts: Any = None
    ) -> Any:
        """Makes the model's input, with the answers' positions where answers are given.

        Args:
            question: A string or a batch of shape (B,).
            context: The text to find the answer in, of the same shape.
            answer_texts: Answers: for each question a string or a list of strings, so of the shape
                of `question` or with one dimension more, ragged or padded.
            answer_starts: Where in the context each begins, counted in `offset_unit`, of the shape
                of `answer_texts`. Negative, or with an empty text: no answer.

        Returns:
            `x`, or `(x, y)` if answers are given. `x` is a dict of int32 tensors: `input_ids`,
            `attention_mask`, `token_type_ids` of shape (W, T), and `question_lengths` of shape
            (W, 1), the pieces up to and with the first `[SEP]`; W is the number of windows of all
            contexts together. With `construction="etc"` also `global_input_ids` and
            `global_attention_mask` of shape (W, G), where G is `num_global_tokens`, and
            `global_membership` of shape (W, T): each piece of the context belongs to its paragraph.
            `y` is a dict of int32 tensors of shape (W,), `start_logits` and `end_logits`: the
            positions of the first of the answers that is whole in the window; 0, the position of
            `[CLS]` where there is one, if none is.

        Raises:
            TypeError: If an argument is of a wrong type.
            ValueError: If shapes do not fit, or one of the answers' two arguments is missing.
            tf.errors.InvalidArgumentError: If the context does not have an answer's text at its
                start.
        """
        x, windows, context, is_scalar, text_bytes = self._make_windows(question, context)
        if answer_texts is None and answer_starts is None:
            return x
        if answer_texts is None or answer_starts is None:
            raise ValueError(
                "`answer_texts` and `answer_starts` must be given together. Received: only "
                f"{'answer_starts' if answer_texts is None else 'answer_texts'}"
            )
        spans = self._answer_spans(answer_texts, answer_starts, context, is_scalar, text_bytes)
        starts, ends = _locate(spans, windows)
        return x, {"start_logits": starts, "end_logits": ends}

    # There is no control flow on tensors in it, and AutoGraph would take seconds to find that out.
    @tf.autograph.experimental.do_not_convert
    def make_windows(
        self, question: Any, context: Any
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Makes the model's input, and what `decode_answers` needs to find the way back.

        Args:
            question: As in `call`.
            context: As in `call`.

        Returns:
            `(x, windows)`. `x` as in `call`. `windows` is a dict of `example`, int32 (W,), the
            example that each window is of, ascending; `token_starts` and `token_ends`, int32
            (W, T), the bytes of the context that each piece's visible text is made of; and, all
            bool (W, T), `can_end`, whether a piece is one of the context and visible;
            `can_start`, the same, but each piece in only one of the windows that share it;
            `begins_word` and `ends_word`, whether that text begins or ends where a word does.
        """
        x, windows, *_ = self._make_windows(question, context)
        return x, windows

    def _make_windows(self, question: Any, context: Any) -> tuple:
        question, is_scalar = to_batch("question", question)
        context, context_is_scalar = to_batch("context", context)
        if is_scalar != context_is_scalar or not question.shape.is_compatible_with(context.shape):
            raise ValueError(
                "`question` and `context` must be two strings or two batches of one size. "
                f"Received: question of shape {question.shape[is_scalar:]}, context of shape "
                f"{context.shape[context_is_scalar:]}"
            )
        text_bytes = TextBytes.of(context, self.tokenizer.invisible_characters)
        question_ids, pieces = self.tokenize(question, context, text_bytes)
        plan = plan_windows(question_ids, pieces, self.window_layout)
        x, windows = fill_windows(plan, question_ids, pieces, self.window_layout)
        return x, windows, context, is_scalar, text_bytes

    def tokenize(
        self, question: tf.Tensor, context: tf.Tensor, text_bytes: TextBytes | None = None
    ) -> tuple[tf.RaggedTensor, ContextPieces]:
        """Cuts batches of questions and contexts into pieces, the first step of `make_windows`.

        Args:
            question: Strings of shape (B,).
            context: Strings of shape (B,).
            text_bytes: The contexts' bytes, where they have been looked at before.

        Returns:
            The questions' ids, int32, ragged of shape (B, None), cut to `max_question_length`; and
            the contexts' pieces.
        """
        if text_bytes is None:
            text_bytes = TextBytes.of(context, self.tokenizer.invisible_characters)
        ids, starts, ends = self.tokenizer.tokenize_with_offsets(context)
        rows = tf.cast(ids.value_rowids(), tf.int32)
        trimmed = text_bytes.trim(rows, starts.flat_values, ends.flat_values)
        at_boundaries = are_word_boundaries(context, rows, *trimmed[:2])
        values = [*trimmed, *at_boundaries]
        if self.construction == "etc":
            values.append(paragraph_numbers(context, rows, ends.flat_values))
        pieces = ContextPieces(ids, *(ids.with_flat_values(value) for value in values))
        return self.tokenizer.tokenize(question)[:, : self.max_question_length], pieces

    @property
    def num_global_tokens(self) -> int:
        """Places of global tokens; as many, or more, must the model's config have."""
        if self.construction == "itc":
            return 0
        return self.max_question_length + self.max_paragraphs

    @property
    def window_layout(self) -> WindowLayout:
        """What windows are laid out by."""
        return WindowLayout(
            text_layout=self.tokenizer.text_layout,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            doc_stride=self.doc_stride,
            max_windows=self.max_windows,
            padding=self.padding,
            pad_to_multiple_of=self.pad_to_multiple_of,
            max_question_length=self.max_question_length,
            max_paragraphs=self.max_paragraphs,
        )

    def _answer_spans(
        self,
        texts: Any,
        starts: Any,
        context: tf.Tensor,
        is_scalar: bool,
        text_bytes: TextBytes,
    ) -> tf.Tensor:
        """Returns the answers' bytes, int32 of shape (B, A, 2), (-1, -1) where there is none."""
        texts = _to_answers("answer_texts", to_string_tensor("answer_texts", texts), is_scalar)
        starts = to_integer_tensor("answer_starts", starts)
        starts = _to_answers("answer_starts", starts, is_scalar)
        same_shape = tf.debugging.assert_equal(
            texts.row_splits,
            starts.row_splits,
            message="`answer_texts` and `answer_starts` must have the same number of answers.",
        )
        with tf.control_dependencies([] if same_shape is None else [same_shape]):
            rows = tf.cast(texts.value_rowids(), tf.int32)
        text, given = texts.flat_values, starts.flat_values
        length = tf.strings.length(text)
        is_answer = (given >= 0) & (length > 0)
        begin = tf.where(is_answer, given, 0)
        context_length = tf.strings.length(tf.gather(context, rows))
        if self.offset_unit == "characters":
            begin = text_bytes.character_to_byte(rows, begin)
        begin = tf.minimum(begin, context_length)
        found = tf.strings.substr(tf.gather(context, rows), begin, length)
        in_place = tf.debugging.assert_equal(
            tf.where(is_answer, found, ""),
            tf.where(is_answer, text, ""),
            message=(
                "`context` must have the text of `answer_texts` at `answer_starts`, counted in "
                f"{self.offset_unit}; drop or mend such examples first. The context (x) has other "
                "text there than the answer (y)."
            ),
            summarize=10,
        )
        with tf.control_dependencies([] if in_place is None else [in_place]):
            end = tf.minimum(begin + length, context_length)
        begin, end, visible = text_bytes.trim(rows, begin, end)
        spans = tf.where((is_answer & visible)[:, tf.newaxis], tf.stack([begin, end], -1), -1)
        ragged = tf.RaggedTensor.from_row_splits(spans, texts.row_splits, validate=False)
        # One "none" more, so that there is always something to look for.
        return tf.pad(ragged.to_tensor(-1), [[0, 0], [0, 1], [0, 0]], constant_values=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "doc_stride": self.doc_stride,
            "max_question_length": self.max_question_length,
            "max_windows": self.max_windows,
            "offset_unit": self.offset_unit,
            "construction": self.construction,
            "max_paragraphs": self.max_paragraphs,
        }


def _to_answers(name: str, value: tf.Tensor | tf.RaggedTensor, is_scalar: bool) -> tf.RaggedTensor:
    """Returns a ragged tensor of shape (B, None) of one answer or several for each question."""
    rank = value.shape.rank
    if rank not in ((0, 1) if is_scalar else (1, 2)):
        raise ValueError(
            f"`{name}` must have the shape of `question`, or one dimension more. Received: {name} "
            f"of shape {value.shape} for {'one question' if is_scalar else 'a batch'}"
        )
    if is_scalar:
        value = tf.reshape(value, [1, -1])
    elif rank == 1 and not isinstance(value, tf.RaggedTensor):
        value = value[:, tf.newaxis]
    if isinstance(value, tf.RaggedTensor):
        return value
    return tf.RaggedTensor.from_tensor(value)


def _locate(spans: tf.Tensor, windows: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the first answer that is whole in each window.

    Args:
        spans: Bytes of the answers, int32 of shape (B, A, 2); -1 for none.
        windows: As from `fill_windows`.

    Returns:
        Positions of the first and the last piece, int32 of shape (W,); 0 where there is none.
    """
    spans = tf.gather(spans, windows["example"])
    begin, end = spans[..., 0, tf.newaxis], spans[..., 1, tf.newaxis]  # (W, A, 1)
    token_starts = windows["token_starts"][:, tf.newaxis]  # (W, 1, T)
    token_ends = windows["token_ends"][:, tf.newaxis]
    visible = windows["can_end"][:, tf.newaxis]
    after_begin = visible & (token_ends > begin)
    before_end = visible & (token_starts < end)
    first = tf.argmax(after_begin, axis=-1, output_type=tf.int32)
    length = tf.shape(before_end)[-1]
    last = length - 1 - tf.argmax(before_end[..., ::-1], axis=-1, output_type=tf.int32)
    # An answer that begins before the window has no piece of it that covers its first byte.
    covers_begin = tf.reduce_any(after_begin & (token_starts <= begin), axis=-1)
    covers_end = tf.reduce_any(before_end & (token_ends >= end), axis=-1)
    whole = covers_begin & covers_end & (begin[..., 0] >= 0)
    chosen = tf.argmax(whole, axis=-1, output_type=tf.int32)
    is_any = tf.reduce_any(whole, axis=-1)
    first = tf.where(is_any, tf.gather(first, chosen, batch_dims=1), 0)
    last = tf.where(is_any, tf.gather(last, chosen, batch_dims=1), 0)
    return first, last
