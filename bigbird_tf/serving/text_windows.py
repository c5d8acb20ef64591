"""Texts of any length, alone or before a second one, cut into windows that a model can read."""

import tensorflow as tf

from bigbird_tf.preprocessing.context_windows import WindowPlan, plan_overlapping
from bigbird_tf.preprocessing.packing import padded_length
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["TextWindows"]


class TextWindows:
    """The windows of a batch of texts: `[CLS] window [SEP]`, or `[CLS] window [SEP] pair [SEP]`.

    With a `PegasusTokenizer` they are `window </s>` and `window pair </s>`.

    Windows overlap by half. Each piece belongs to one of them, the one in which it has most context
    on its scarcer side. A text without pieces has one window, an empty one. A second text stands
    behind each window of the first, cut to half of the model's length.

    Args:
        ids: Pieces, int32, ragged of shape (B, None).
        pair_ids: Pieces of the second texts, or `None` if there are none.
        tokenizer: For the special ids.
        max_length: The longest window, the special pieces included.
        length_step: Lengths are padded to its multiples.

    Attributes:
        plan: The windows; W of them.
        lengths: int32 of shape (W,), each window's pieces, special ones included.
    """

    def __init__(
        self,
        ids: tf.RaggedTensor,
        pair_ids: tf.RaggedTensor | None,
        tokenizer: Tokenizer,
        max_length: int,
        length_step: int,
    ):
        self.ids = ids
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.length_step = length_step
        self.layout = tokenizer.text_layout
        self.begin = int(self.layout.first is not None)
        text_lengths = tf.cast(ids.row_lengths(), tf.int32)
        if pair_ids is None:
            self.behind = None
            behind_lengths = tf.ones_like(text_lengths)
        else:
            # What stands behind a window: [SEP] pair [SEP].
            between, last = (
                [] if token is None else [tf.fill([ids.nrows(), 1], tf.constant(token, tf.int32))]
                for token in (self.layout.between, self.layout.last)
            )
            self.behind = tf.concat([*between, pair_ids[:, : max_length // 2], *last], axis=1)
            behind_lengths = tf.cast(self.behind.row_lengths(), tf.int32)
        capacity = max_length - self.begin - behind_lengths
        self.plan: WindowPlan = plan_overlapping(
            behind_lengths, text_lengths, capacity, doc_stride=tf.maximum(1, capacity // 2)
        )
        self.lengths = self.begin + self.plan.end - self.plan.first + self.plan.question_length

    def fill(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Lays out some of the windows, padded to the longest of them.

        Args:
            rows: Their indices, int32 of shape (R,).

        Returns:
            `(x, piece, is_own)`: the model's input, int32 of shape (R, T); and of the same shape
            the index of each piece of the first text among all the batch's (0 where there is
            none), and whether it belongs to this window.
        """
        plan = self.plan.take(rows)
        lengths = tf.gather(self.lengths, rows)[:, tf.newaxis]
        position = tf.range(padded_length(lengths, self.max_length, "longest", self.length_step))[
            tf.newaxis
        ]
        in_text = plan.first[:, tf.newaxis] + position - self.begin
        is_text = (position >= self.begin) & (in_text < plan.end[:, tf.newaxis])
        is_own = (in_text >= plan.answers_from[:, tf.newaxis]) & (
            in_text < plan.answers_until[:, tf.newaxis]
        )
        text_end = self.begin + (plan.end - plan.first)[:, tf.newaxis]
        is_behind = (position >= text_end) & (position < lengths)
        piece = _flat_index(self.ids, plan.example, in_text, is_text)
        if self.behind is None:
            behind = self.layout.last
        else:
            behind = _flat_index(self.behind, plan.example, position - text_end, is_behind)
            behind = _take(self.behind, behind)
        ids = tf.where(is_text, _take(self.ids, piece), self.tokenizer.pad_token_id)
        ids = tf.where(is_behind, behind, ids)
        if self.layout.first is not None:
            ids = tf.where(position == 0, self.layout.first, ids)
        x = {
            "input_ids": ids,
            "attention_mask": tf.cast(position < lengths, tf.int32),
            "token_type_ids": tf.cast(is_behind & (position > text_end), tf.int32),
        }
        return x, piece, is_text & is_own

    def mean_over_windows(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the mean over each text's windows: (W, …) to (B, …)."""
        return tf.math.unsorted_segment_mean(values, self.plan.example, self.num_texts)

    @property
    def num_texts(self) -> tf.Tensor:
        """B, an int32 scalar."""
        return self.ids.nrows(tf.int32)


def _flat_index(
    ragged: tf.RaggedTensor, rows: tf.Tensor, columns: tf.Tensor, wanted: tf.Tensor
) -> tf.Tensor:
    """Returns where `ragged[rows[i], columns[i, j]]` is among its flat values; 0 if not wanted."""
    starts = tf.cast(tf.gather(ragged.row_starts(), rows), tf.int32)
    return tf.where(wanted, starts[:, tf.newaxis] + columns, 0)


def _take(ragged: tf.RaggedTensor, index: tf.Tensor) -> tf.Tensor:
    # One value more, so that there is one to take where no text has any.
    return tf.gather(tf.pad(ragged.flat_values, [[0, 1]]), index)
