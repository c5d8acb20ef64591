"""Where visible text and characters are among the bytes of a batch of strings."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.characters import WHITE_SPACE

__all__ = ["TextBytes"]


class TextBytes(NamedTuple):
    """The bytes of a batch of texts, laid end to end, with tables to look spans up in.

    Looking up costs a gather a span, however long the texts are; taking substrings would copy a
    text for every span.

    Attributes:
        offsets: Where each text begins among all bytes; int32 of shape (B + 1,). Each is followed
            by a byte that ends it.
        visible_positions: Positions of the bytes of visible characters.
        visible_before: For each position, the end included, how many such bytes are before it.
        character_positions: Positions where UTF-8 characters begin.
        characters_before: For each position, the end included, how many begin before it.
    """

    offsets: tf.Tensor
    visible_positions: tf.Tensor
    visible_before: tf.Tensor
    character_positions: tf.Tensor
    characters_before: tf.Tensor

    @classmethod
    def of(cls, texts: tf.Tensor, invisible: np.ndarray = WHITE_SPACE) -> "TextBytes":
        """Makes the tables of a string tensor.

        Args:
            texts: Strings of shape (B,).
            invisible: Which characters show nothing; bool of shape (65536,). Others, and bytes
                that are no UTF-8, are visible.
        """
        # A byte behind each text, so that the bytes of two never make one character.
        ended = tf.strings.join([texts, tf.fill(tf.shape(texts), "\0")])
        data = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(ended), tf.uint8), tf.int32)
        visible_positions, visible_before = _index(~_is_invisible(data, invisible))
        character_positions, characters_before = _index(~_continues(data))
        lengths = tf.strings.length(texts) + 1
        return cls(
            tf.concat([[0], tf.cumsum(lengths)], axis=0),
            visible_positions,
            visible_before,
            character_positions,
            characters_before,
        )

    def trim(
        self, rows: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Takes what shows nothing off both ends of spans.

        Args:
            rows: Which text each span is of; int32 of shape (S,).
            starts, ends: Byte offsets into that text; int32 of shape (S,).

        Returns:
            `(starts, ends, visible)`, each of shape (S,). Where `visible` is false the span held
            nothing visible, and the offsets mean nothing.
        """
        base = tf.gather(self.offsets, rows)
        before_start = tf.gather(self.visible_before, base + starts)
        before_end = tf.gather(self.visible_before, base + ends)
        visible = before_end > before_start
        first = tf.gather(self.visible_positions, before_start) - base
        last = tf.gather(self.visible_positions, tf.maximum(before_end - 1, 0)) - base
        return tf.where(visible, first, 0), tf.where(visible, last + 1, 0), visible

    def character_to_byte(self, rows: tf.Tensor, characters: tf.Tensor) -> tf.Tensor:
        """Returns the byte offset at which a character of a text begins.

        Args:
            rows: Which text each is of; int32 of shape (S,).
            characters: Indices of characters, 0 or more; int32 of shape (S,). Those beyond the end
                become the end.
        """
        base, end = tf.gather(self.offsets, rows), tf.gather(self.offsets, rows + 1) - 1
        last = tf.shape(self.character_positions)[0] - 1
        index = tf.minimum(tf.gather(self.characters_before, base) + characters, last)
        return tf.minimum(tf.gather(self.character_positions, index), end) - base


def _continues(data: tf.Tensor) -> tf.Tensor:
    """Marks the bytes of the form 10xxxxxx, which continue a character of UTF-8."""
    return tf.bitwise.bitwise_and(data, 0xC0) == 0x80


def _is_invisible(data: tf.Tensor, invisible: np.ndarray) -> tf.Tensor:
    """Marks the bytes (int32) of characters that show nothing."""
    second, third = (tf.pad(data[skip:], [[0, skip]]) for skip in (1, 2))
    # Fewer bytes than the padding are no longer than it.
    second, third = second[: tf.shape(data)[0]], third[: tf.shape(data)[0]]
    bits = tf.bitwise.bitwise_and
    of_two = (data * 64 % 2048) + bits(second, 0x3F)
    of_three = (data * 4096 % 65536) + bits(second, 0x3F) * 64 + bits(third, 0x3F)
    is_two = (data >= 0xC2) & (data < 0xE0) & _continues(second)
    is_three = (data >= 0xE0) & (data < 0xF0) & _continues(second) & _continues(third)
    # What takes more bytes than it needs is no UTF-8.
    is_three &= of_three >= 0x800
    # All else is character 0, which is visible.
    character = tf.where(
        data < 0x80, data, tf.where(is_two, of_two, tf.where(is_three, of_three, 0))
    )
    table = invisible.copy()
    table[0] = False
    # Where stretches of characters of one kind begin: the first ones are visible, the next ones
    # not, and so on. The table itself would be as large as all else that servers are given.
    edges = tf.constant(np.flatnonzero(np.diff(table)) + 1, tf.int32)
    begins = tf.searchsorted(edges, character, side="right") % 2 == 1
    behind = tf.pad(begins & (is_two | is_three), [[1, 0]])[:-1]
    behind_both = tf.pad(begins & is_three, [[2, 0]])[:-2]
    return begins | behind | behind_both


def _index(marked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the marked positions, with the end as one more, and how many are before each one."""
    end = tf.shape(marked)[:1]
    positions = tf.concat([tf.cast(tf.where(marked)[:, 0], tf.int32), end], axis=0)
    before = tf.concat([[0], tf.cumsum(tf.cast(marked, tf.int32))], axis=0)
    return positions, before
