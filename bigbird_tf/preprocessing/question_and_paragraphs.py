"""The question and the paragraphs of a context as global tokens of a model (ETC)."""

import tensorflow as tf

__all__ = ["global_inputs", "paragraph_numbers"]


def paragraph_numbers(texts: tf.Tensor, rows: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Returns the number of each piece's paragraph: line breaks part them.

    Args:
        texts: Strings of shape (B,).
        rows: Which text each piece is of; int32 of shape (S,).
        ends: Byte offsets into that text at which pieces end; int32 of shape (S,). A piece may
            begin with the line break before it.

    Returns:
        int32 of shape (S,), ascending within a text, the same for pieces of one paragraph alone.
    """
    data = tf.io.decode_raw(tf.strings.reduce_join(texts + "\n"), tf.uint8)
    breaks_before = tf.cumsum(tf.cast(data == ord("\n"), tf.int32), exclusive=True)
    starts = tf.cumsum(tf.strings.length(texts) + 1, exclusive=True)
    return tf.gather(breaks_before, tf.gather(starts, rows) + ends)


def global_inputs(
    question: tf.Tensor,
    question_lengths: tf.Tensor,
    paragraphs: tf.Tensor,
    in_context: tf.Tensor,
    *,
    max_paragraphs: int,
    sep_token_id: int,
) -> dict[str, tf.Tensor]:
    """Returns the inputs of global tokens: the question's pieces, and one for each paragraph.

    Args:
        question: Ids, int32 of shape (W, Q), padding included.
        question_lengths: int32 of shape (W,).
        paragraphs: `paragraph_numbers` of the context's pieces, int32 of shape (W, T).
        in_context: bool of shape (W, T), which places are pieces of the context.
        max_paragraphs: Global tokens for paragraphs, P. The last is that of all further ones, too.
        sep_token_id: What the paragraphs' tokens are called.

    Returns:
        A dict of int32 tensors: `global_input_ids` and `global_attention_mask` (W, Q + P), and
        `global_membership` (W, T), -1 outside of the context.
    """
    question_room = tf.shape(question)[1]
    before = tf.pad(paragraphs, [[0, 0], [1, 0]])[:, :-1]
    was_in_context = tf.pad(in_context, [[0, 0], [1, 0]])[:, :-1]
    begins = in_context & ((paragraphs != before) | ~was_in_context)
    number = tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1
    number = tf.where(in_context, tf.minimum(number, max_paragraphs - 1), -1)
    counts = tf.reduce_max(number, axis=1, keepdims=True) + 1
    is_question = tf.range(question_room)[tf.newaxis] < question_lengths[:, tf.newaxis]
    is_paragraph = tf.range(max_paragraphs)[tf.newaxis] < counts
    separators = tf.fill([tf.shape(question)[0], max_paragraphs], sep_token_id)
    return {
        "global_input_ids": tf.concat([question, separators], axis=1),
        "global_attention_mask": tf.cast(tf.concat([is_question, is_paragraph], 1), tf.int32),
        "global_membership": tf.where(in_context, question_room + number, -1),
    }
