"""Words of raw texts: what stands between spaces, without the punctuation around it."""

import functools
import unicodedata

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.word_boundaries import ALONE_RANGES

__all__ = ["split_words"]

# What a character is to words: of letters, digits and links words are made.
SPACE, ALONE, LETTER, CAPITAL, DIGIT, LINK, FULL_STOP, DIGIT_LINK, EXTENSION = range(9)
# Stand within words: "Jean-Pierre", "O'Neil", "AT&T", "and/or", "a_b", "a@b".
LINKS = "-\u2010\u2011'\u2019\u02bc\u00b7&/_@"
# Stand within numbers: "1,000", "12:30".
DIGIT_LINKS = ",:"
# Format characters that are spaces of no width.
NO_WIDTH = "\u200b\ufeff"
# Latin, Greek and Russian. All others would make the table of kinds twice as long.
CAPITALS = (("A", "\u00de"), ("\u0391", "\u03a9"), ("\u0410", "\u042f"))
# A code point that is no character stands for bytes that are no UTF-8.
NO_CHARACTER = 0xFDD0


@tf.autograph.experimental.do_not_convert
def split_words(text: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Splits texts into words, as data sets for token classification have them.

    Letters, digits and what joins them are a word: "Jean-Pierre", "O'Neil", "3.14". Other marks are
    words of their own, and so is a full stop behind a word; but in abbreviations ("U.S.") and
    behind an initial ("J. Smith") it belongs to the word. In scripts without spaces each letter is
    a word.

    Args:
        text: Strings of shape (B,).

    Returns:
        `(words, starts, ends)`, ragged of shape (B, None): strings, and the bytes of the text that
        they are made of, int32. In `words`, U+FDD0 stands for bytes that are no UTF-8.
    """
    points, offsets = tf.strings.unicode_decode_with_offsets(
        text, "UTF-8", errors="replace", replacement_char=NO_CHARACTER
    )
    rows = tf.cast(points.value_rowids(), tf.int32)
    points, offsets = points.flat_values, tf.cast(offsets.flat_values, tf.int32)
    kind = _kinds_of(points)
    # An accent belongs to the letter before it, where there is one.
    is_base = (kind != EXTENSION) | _is_new(rows)
    base = tf.cumsum(tf.cast(is_base, tf.int32)) - 1
    begins, is_word = _word_begins(tf.boolean_mask(kind, is_base), tf.boolean_mask(rows, is_base))

    # From bases to all characters.
    begins = tf.gather(begins, base) & is_base
    is_word = tf.gather(is_word, base)
    word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    num_words = tf.reduce_sum(tf.cast(begins, tf.int32))
    lengths = tf.strings.length(text)
    # A character ends where the next one begins, or the text ends.
    next_offsets = tf.concat([offsets[1:], offsets[:1]], axis=0)
    is_last = tf.concat([rows[1:] != rows[:-1], tf.ones_like(rows[:1], tf.bool)], axis=0)
    ends = tf.where(is_last, tf.gather(lengths, rows), next_offsets)
    word, points, ends = (tf.boolean_mask(x, is_word) for x in (word, points, ends))
    letters = tf.RaggedTensor.from_value_rowids(
        points, tf.cast(word, tf.int64), tf.cast(num_words, tf.int64), validate=False
    )
    words = tf.strings.unicode_encode(letters, "UTF-8")
    ends = tf.math.unsorted_segment_max(ends, word, num_words)
    starts = tf.boolean_mask(offsets, begins)
    rows = tf.cast(tf.boolean_mask(rows, begins), tf.int64)
    num_texts = tf.shape(text, tf.int64)[0]
    return tuple(
        tf.RaggedTensor.from_value_rowids(values, rows, num_texts, validate=False)
        for values in (words, starts, ends)
    )


def _word_begins(kind: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns which characters begin a word, and which are part of one."""

    def neighbour(step: int) -> tf.Tensor:
        """The kind of the character so many places on, a space beyond the text's ends."""
        front, back = max(-step, 0), max(step, 0)
        size = tf.shape(kind)[0]
        shifted = tf.pad(kind, [[front, back]])[back : back + size]
        shifted_rows = tf.pad(rows, [[front, back]], constant_values=-1)[back : back + size]
        return tf.where(shifted_rows == rows, shifted, SPACE)

    def is_letter(kind: tf.Tensor) -> tf.Tensor:
        return (kind == LETTER) | (kind == CAPITAL) | (kind == DIGIT)

    def is_link(kind: tf.Tensor, before: tf.Tensor, behind: tf.Tensor) -> tf.Tensor:
        joins_letters = (kind == LINK) | (kind == FULL_STOP)
        joins_digits = (kind == DIGIT_LINK) & (before == DIGIT) & (behind == DIGIT)
        return joins_letters & is_letter(before) & is_letter(behind) | joins_digits

    before_last, last, following, after_next = (neighbour(step) for step in (-2, -1, 1, 2))
    third_last = neighbour(-3)
    is_linked = is_letter(last) | is_link(last, before_last, kind)
    continues = is_letter(kind) & is_linked | is_link(kind, last, following)
    # "U.S.": a full stop, one letter, and a full stop.
    ends_abbreviation = (before_last == FULL_STOP) & is_letter(third_last) & (last != DIGIT)
    # "J. Smith": one capital, a full stop, a space, and a capital.
    stands_alone = ~is_letter(before_last) & ~is_link(before_last, third_last, last)
    is_initial = (last == CAPITAL) & stands_alone & (following == SPACE) & (after_next == CAPITAL)
    continues |= (kind == FULL_STOP) & is_letter(last) & (ends_abbreviation | is_initial)
    is_word = kind != SPACE
    return is_word & ~continues, is_word


def _is_new(values: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.ones_like(values[:1], tf.bool), values[1:] != values[:-1]], axis=0)


def _kinds_of(points: tf.Tensor) -> tf.Tensor:
    """Returns what each code point is to words, int32."""
    begins, kinds = _ranges()
    index = tf.searchsorted(tf.constant(begins), points, side="right") - 1
    return tf.cast(tf.gather(tf.constant(kinds), index), tf.int32)


@functools.cache
def _ranges() -> tuple[np.ndarray, np.ndarray]:
    """Returns where stretches of code points of one kind begin, and their kinds."""
    kinds = np.full(0x110000, ALONE, np.int32)
    # All planes that have characters.
    for point in (*range(0x33500), *range(0xE0000, 0xE0200)):
        kinds[point] = _kind(chr(point))
    begins = np.flatnonzero(np.diff(kinds, prepend=-1)).astype(np.int32)
    return begins, kinds[begins].astype(np.int8)


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if character in LINKS:
        return LINK
    if character in DIGIT_LINKS:
        return DIGIT_LINK
    if character == ".":
        return FULL_STOP
    if category[0] == "Z" or category == "Cc" or character in NO_WIDTH:
        return SPACE
    if category[0] == "M" or category == "Cf":
        return EXTENSION
    # Of scripts without spaces each letter is a word, since nothing shows where words end. Korean
    # has spaces.
    is_letter = category[0] == "L" or category == "Nl"
    is_listed = any(begin <= ord(character) < end for begin, end in ALONE_RANGES)
    if is_letter and is_listed and "HANGUL" not in unicodedata.name(character, ""):
        return ALONE
    if category[0] == "N":
        return DIGIT
    if category[0] == "L":
        is_initial = any(first <= character <= last for first, last in CAPITALS)
        return CAPITAL if category == "Lu" and is_initial else LETTER
    return ALONE
