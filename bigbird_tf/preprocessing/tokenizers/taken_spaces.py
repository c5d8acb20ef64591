"""Spaces that special pieces take, as `AddedToken(lstrip=True)` of `transformers` does."""

from collections.abc import Sequence

import tensorflow as tf

from bigbird_tf.preprocessing.text_bytes import TextBytes
from bigbird_tf.preprocessing.tokenizers.vocabulary import Vocabulary

__all__ = ["drop_taken_spaces"]


def drop_taken_spaces(
    text: tf.Tensor, pieces: tuple[tf.RaggedTensor, ...], vocabulary: Vocabulary
) -> tuple[tf.RaggedTensor, ...]:
    """Drops the pieces that are nothing but space beside those that take the space.

    Args:
        text: Strings of shape (B,).
        pieces: Its pieces, `(ids, starts, ends)`, int32, ragged of shape (B, None).
        vocabulary: What there is to know of the pieces.

    Returns:
        `(ids, starts, ends)` of what is left.
    """
    ids, starts, ends = pieces
    lstrip_ids, rstrip_ids = vocabulary.lstrip_ids, vocabulary.rstrip_ids
    if not lstrip_ids and not rstrip_ids:
        return pieces

    def drop():
        rows = tf.cast(ids.value_rowids(), tf.int32)
        _, _, shows = TextBytes.of(text).trim(rows, starts.flat_values, ends.flat_values)
        # A "▁" may have no bytes; and spaces that the vocabulary does not have are unknown pieces.
        is_space = _is_in(ids.flat_values, vocabulary.space_ids) | (
            ~shows & (ends.flat_values > starts.flat_values)
        )
        solid = ~is_space
        before = tf.cumsum(tf.cast(solid, tf.int32), exclusive=True)
        takes = tf.boolean_mask(
            tf.stack([_is_in(ids.flat_values, lstrip_ids), _is_in(ids.flat_values, rstrip_ids)], 1),
            solid,
        )
        # One at each end that is of no row and takes nothing.
        takes = tf.pad(takes, [[1, 1], [0, 0]])
        solid_rows = tf.pad(tf.boolean_mask(rows, solid), [[1, 1]], constant_values=-1)
        taken_by_next = tf.gather(takes[:, 0], before + 1) & (
            tf.gather(solid_rows, before + 1) == rows
        )
        taken_by_last = tf.gather(takes[:, 1], before) & (tf.gather(solid_rows, before) == rows)
        kept = ids.with_flat_values(solid | ~(taken_by_next | taken_by_last))
        return tuple(tf.ragged.boolean_mask(values, kept) for values in (ids, starts, ends))

    # Most texts have none, and need not be looked through.
    is_any = tf.reduce_any(_is_in(ids.flat_values, [*lstrip_ids, *rstrip_ids]))
    return tf.cond(is_any, drop, lambda: pieces)


def _is_in(ids: tf.Tensor, wanted: Sequence[int]) -> tf.Tensor:
    wanted = tf.constant(list(wanted), tf.int32, shape=[len(wanted)])
    return tf.reduce_any(ids[:, tf.newaxis] == wanted, axis=1)
