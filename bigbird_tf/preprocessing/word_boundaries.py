"""Where words begin and end in a batch of strings."""

import functools
import unicodedata

import numpy as np
import tensorflow as tf

__all__ = ["are_word_boundaries"]

# What a character is, as far as words go. `ALONE` are letters of scripts whose words no spaces
# part, or whose particles stand at the word (Hangul): each may begin or end an answer.
OTHER, LETTER, MARK, ALONE, DIGIT, POINT = range(6)
# Added for the bytes of a character behind its first one.
INSIDE_CHARACTER = 8

ALONE_RANGES = (
    (0x0E00, 0x10A0),  # Thai, Lao, Tibetan, Myanmar
    (0x1100, 0x1200),  # Hangul
    (0x1780, 0x1800),  # Khmer
    (0x2E80, 0xA4D0),  # Han, Kana, Bopomofo, Hangul, Yi
    (0xA960, 0xA980),  # Hangul
    (0xAC00, 0xD800),  # Hangul
    (0xF900, 0xFB00),  # Han
    (0xFF66, 0xFFDD),  # Kana and Hangul of half width
    (0x1B000, 0x1B300),  # Kana
)
# Soft hyphens and (zero-width) joiners stand within words.
JOINERS = (0x00AD, 0x200C, 0x200D, 0x2060)
# Beyond them there are but Han, and variation selectors.
NUM_LISTED = 0x20000
HAN_RANGE, SELECTOR_RANGE = (0x20000, 0x40000), (0xE0100, 0xE01F0)


def are_word_boundaries(
    texts: tf.Tensor, rows: tf.Tensor, *positions: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Finds out which positions are between words, not within one.

    Letters, digits, underscores and the marks on them make a word; so does a number with points or
    commas between its digits. Any other character is a word of its own, and so is each letter of
    Chinese, Japanese, Korean, Thai and other scripts in which spaces do not part words. The ends
    of a text are boundaries.

    Args:
        texts: Strings of shape (B,).
        rows: Which text each position is in; int32 of shape (S,).
        *positions: Byte offsets into that text; int32 of shape (S,).

    Returns:
        For each tensor of positions one of bools, of shape (S,).
    """
    # A line break after each text, so that no word goes on in the next one.
    data = tf.io.decode_raw(tf.strings.reduce_join(texts + "\n"), tf.uint8)
    starts = tf.cumsum(tf.strings.length(texts) + 1, exclusive=True)
    is_boundary = _boundaries(_character_classes(data))
    base = tf.gather(starts, rows)
    return tuple(tf.gather(is_boundary, base + position) for position in positions)


def _boundaries(classes: tf.Tensor) -> tf.Tensor:
    """Returns before which bytes there is a boundary.

    Args:
        classes: Each byte's class, int32 of shape (N,).

    Returns:
        Bools of shape (N,).
    """
    is_inside_character = classes >= INSIDE_CHARACTER
    padded = tf.pad(classes % INSIDE_CHARACTER, [[2, 1]], constant_values=OTHER)
    second_last, last, this, following = (padded[i : i - 3 or None] for i in range(4))
    joins = (last == LETTER) | (last == MARK) | (last == DIGIT)
    joined = (this == LETTER) | (this == DIGIT)
    is_marked = (this == MARK) & (joins | (last == ALONE))
    in_number = (last == DIGIT) & (this == POINT) & (following == DIGIT)
    in_number |= (second_last == DIGIT) & (last == POINT) & (this == DIGIT)
    return ~((joins & joined) | is_marked | in_number | is_inside_character)


def _character_classes(data: tf.Tensor) -> tf.Tensor:
    """Returns the class of each byte's character, int32; bytes that are no UTF-8 are `OTHER`."""
    codes = tf.cast(data, tf.int32)
    starts, classes = _class_table()
    ascii_classes = np.zeros(256, np.int32)
    ascii_classes[:128] = classes[np.searchsorted(starts, np.arange(128), side="right") - 1]
    found = tf.gather(ascii_classes, codes)

    # The few (or many) characters of several bytes, by their first ones.
    first = tf.cast(tf.where(codes >= 0xC2)[:, 0], tf.int32)
    padded = tf.pad(codes, [[0, 3]])
    lead, *rest = (tf.gather(padded, first + i) for i in range(4))
    length = 2 + tf.cast(lead >= 0xE0, tf.int32) + tf.cast(lead >= 0xF0, tf.int32)
    code = tf.where(lead >= 0xF0, lead - 0xF0, tf.where(lead >= 0xE0, lead - 0xE0, lead - 0xC0))
    is_whole = lead < 0xF5
    for i, byte in enumerate(rest, 1):
        belongs = i < length
        is_whole &= ~belongs | ((byte >= 0x80) & (byte < 0xC0))
        code = tf.where(belongs, code * 64 + byte - 0x80, code)
    code = tf.where(is_whole, code, 0)
    of_character = tf.gather(classes, tf.searchsorted(starts, code, side="right") - 1)
    for i in range(4):
        rows = is_whole & (i < length)
        index, value = tf.boolean_mask(first + i, rows), tf.boolean_mask(of_character, rows)
        value += INSIDE_CHARACTER if i else 0
        found = tf.tensor_scatter_nd_update(found, index[:, tf.newaxis], value)
    return found


@functools.cache
def _class_table() -> tuple[np.ndarray, np.ndarray]:
    """Returns the code points at which a class begins, ascending, and these classes; int32."""
    classes = np.full(0x110000, OTHER, np.int32)
    kinds = {"L": LETTER, "M": MARK, "N": LETTER}
    for code in range(NUM_LISTED):
        category = unicodedata.category(chr(code))
        classes[code] = kinds.get(category[0], OTHER)
        if category in ("Nd", "Pc"):
            classes[code] = DIGIT if category == "Nd" else LETTER
    for begin, end in ALONE_RANGES:
        part = classes[begin:end]
        part[part == LETTER] = ALONE
    classes[slice(*HAN_RANGE)] = ALONE
    classes[slice(*SELECTOR_RANGE)] = MARK
    classes[list(JOINERS)] = MARK
    classes[[ord("."), ord(",")]] = POINT
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    return starts.astype(np.int32), classes[starts]
