"""Where visible text and characters are among the bytes of a batch of strings."""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["TextBytes"]

# Tab, newline, vertical tab, form feed, carriage return, space.
SPACES = (9, 10, 11, 12, 13, 32)


class TextBytes(NamedTuple):
    """The bytes of a batch of texts, laid end to end, with tables to look spans up in.

    Looking up costs a gather a span, however long the texts are; taking substrings would copy a
    text for every span.

    Attributes:
        offsets: Where each text begins among all bytes; int32 of shape (B + 1,), the end included.
        visible_positions: Positions of the bytes that are no ASCII space.
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
    def of(cls, texts: tf.Tensor) -> "TextBytes":
        """Makes the tables of a string tensor of shape (B,)."""
        data = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        is_space = tf.reduce_any(data[:, tf.newaxis] == tf.constant(SPACES, tf.uint8), axis=-1)
        # Bytes of the form 10xxxxxx continue a character.
        begins_character = tf.bitwise.bitwise_and(data, tf.constant(0xC0, tf.uint8)) != 0x80
        visible_positions, visible_before = _index(~is_space)
        character_positions, characters_before = _index(begins_character)
        lengths = tf.strings.length(texts)
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
        """Takes the spaces off both ends of spans.

        Args:
            rows: Which text each span is of; int32 of shape (S,).
            starts, ends: Byte offsets into that text; int32 of shape (S,).

        Returns:
            `(starts, ends, visible)`, each of shape (S,). Where `visible` is false the span held
            nothing but spaces, and the offsets mean nothing.
        """
        base = tf.gather(self.offsets, rows)
        before_start = tf.gather(self.visible_before, base + starts)
        before_end = tf.gather(self.visible_before, base + ends)
        visible = before_end > before_start
        first = tf.gather(self.visible_positions, before_start) - base
        last = tf.gather(self.visible_positions, tf.maximum(before_end - 1, 0)) - base
        return tf.where(visible, first, 0), tf.where(visible, last + 1, 0), visible

    def character_to_byte(self, rows: tf.Tensor, characters: tf.Tensor) -> tf.Tensor:
        """Gives the byte offset at which a character of a text begins.

        Args:
            rows: Which text each is of; int32 of shape (S,).
            characters: Indices of characters, 0 or more; int32 of shape (S,). Those beyond the end
                become the end.
        """
        base, end = tf.gather(self.offsets, rows), tf.gather(self.offsets, rows + 1)
        last = tf.shape(self.character_positions)[0] - 1
        index = tf.minimum(tf.gather(self.characters_before, base) + characters, last)
        return tf.minimum(tf.gather(self.character_positions, index), end) - base


def _index(marked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives the marked positions, with the end as one more, and how many are before each one."""
    end = tf.shape(marked)[:1]
    positions = tf.concat([tf.cast(tf.where(marked)[:, 0], tf.int32), end], axis=0)
    before = tf.concat([[0], tf.cumsum(tf.cast(marked, tf.int32))], axis=0)
    return positions, before
