"""Single texts, `[CLS] text [SEP]`, of any length: cut into windows that a model can read."""

import tensorflow as tf

from bigbird_tf.preprocessing.context_windows import WindowPlan, plan_overlapping

__all__ = ["TextWindows"]

NUM_SPECIAL = 2


class TextWindows:
    """The windows of a batch of texts.

    Windows overlap by half. Each piece belongs to one of them, the one in which it has most context
    on its scarcer side. A text without pieces has one window, an empty one.

    Args:
        ids: Pieces, int32, ragged of shape (B, None).
        tokenizer: The `BigBirdTokenizer`, for the special ids.
        max_length: The longest window, the two special pieces included.
        length_step: Lengths are padded to its multiples.

    Attributes:
        plan: The windows; W of them.
        lengths: int32 of shape (W,), each window's pieces, special ones included.
    """

    def __init__(self, ids: tf.RaggedTensor, tokenizer, max_length: int, length_step: int):
        self.ids = ids
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.length_step = length_step
        text_lengths = tf.cast(ids.row_lengths(), tf.int32)
        capacity = max_length - NUM_SPECIAL
        self.plan: WindowPlan = plan_overlapping(
            tf.zeros_like(text_lengths),
            text_lengths,
            tf.fill(tf.shape(text_lengths), capacity),
            doc_stride=(capacity + 1) // 2,
        )
        self.lengths = self.plan.end - self.plan.first + NUM_SPECIAL

    def fill(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Lays out some of the windows, padded to the longest of them.

        Args:
            rows: Their indices, int32 of shape (R,).

        Returns:
            `(x, piece, is_own)`: the model's input, int32 of shape (R, T); and of the same shape
            the index of each piece among all the batch's (any number where there is none), and
            whether it belongs to this window.
        """
        plan = self.plan.take(rows)
        lengths = tf.gather(self.lengths, rows)
        longest = -(-tf.reduce_max(lengths) // self.length_step) * self.length_step
        longest = tf.minimum(longest, self.max_length)
        position = tf.range(longest)[tf.newaxis]
        piece = plan.first[:, tf.newaxis] + position - 1
        is_text = (position >= 1) & (piece < plan.end[:, tf.newaxis])
        own = (piece >= plan.answers_from[:, tf.newaxis]) & (
            piece < plan.answers_until[:, tf.newaxis]
        )
        row_starts = tf.cast(tf.gather(self.ids.row_starts(), plan.example), tf.int32)
        piece = tf.where(is_text, piece + row_starts[:, tf.newaxis], 0)
        # One piece more, so that there is one to take where no text has any.
        values = tf.pad(self.ids.flat_values, [[0, 1]])
        last = lengths[:, tf.newaxis] - 1
        ids = tf.where(is_text, tf.gather(values, piece), self.tokenizer.pad_token_id)
        ids = tf.where(position == 0, self.tokenizer.cls_token_id, ids)
        x = {
            "input_ids": tf.where(position == last, self.tokenizer.sep_token_id, ids),
            "attention_mask": tf.cast(position <= last, tf.int32),
            "token_type_ids": tf.zeros_like(ids),
        }
        return x, piece, is_text & own

    def mean_over_windows(self, values: tf.Tensor) -> tf.Tensor:
        """Gives the mean over each text's windows: (W, …) to (B, …)."""
        return tf.math.unsorted_segment_mean(values, self.plan.example, self.ids.nrows(tf.int32))
