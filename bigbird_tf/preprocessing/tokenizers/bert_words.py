"""BERT's way from texts to words, in the graph, and back to the bytes that they were made of.

Letters: B texts, P characters of all texts, Q characters after normalisation, W words.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken, AddedTokenFinder
from bigbird_tf.preprocessing.tokenizers.bert_characters import (
    CharacterRules,
    is_chinese,
    is_dropped,
    is_punctuation,
    is_space,
    is_word_character,
)

__all__ = ["BertWords", "WordSplitter"]

# Stands for a word that is no text: this code point is no character, so no vocabulary has it.
NO_CHARACTER = 0xFDD0
REPLACEMENT = 0xFFFD
SPACE = 0x20


class BertWords(NamedTuple):
    """The words of a batch of texts.

    Attributes:
        rows: The text that each word is of; int32 of shape (W,), ascending.
        texts: The words as they are to be cut into pieces; strings of shape (W,).
        token_ids: The ids of words that are added tokens, -1 for all others; int32 of shape (W,).
        num_characters: int32 of shape (W,).
        first, last: Which of Q characters a word begins and ends with; int32 of shape (W,).
        byte_starts: Where each of Q characters begins among the bytes of all words; (Q,).
        starts, ends: The bytes of its text that each of Q characters was made of; (Q,).
        word_starts, word_ends: The same for whole words, with the spaces that they take; (W,).
    """

    rows: tf.Tensor
    texts: tf.Tensor
    token_ids: tf.Tensor
    num_characters: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    byte_starts: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    word_starts: tf.Tensor
    word_ends: tf.Tensor


class _Characters(NamedTuple):
    """Characters of a batch of texts; int32 of one shape.

    Attributes:
        points: Code points.
        rows: The text that each is of.
        starts, ends: The bytes of that text that it was made of.
        units: The added token that it belongs to, counted from 1; 0 for none.
    """

    points: tf.Tensor
    rows: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    units: tf.Tensor

    def keep(self, kept: tf.Tensor) -> "_Characters":
        return _Characters(*(tf.boolean_mask(value, kept) for value in self))

    def take(self, index: tf.Tensor) -> "_Characters":
        return _Characters(*(tf.gather(value, index) for value in self))


class _Units(NamedTuple):
    """Added tokens that were found; int32 of shape (M,): ids, and the bytes that they take."""

    token_ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor


class WordSplitter:
    """Splits texts into words, as `BertTokenizer` of `transformers` does.

    Args:
        rules: What is made of characters.
        added_tokens: Tokens that are words whatever the rules.
    """

    def __init__(self, rules: CharacterRules, added_tokens: Sequence[AddedToken]):
        self.rules = rules
        self._replacements = _Replacements(rules.replacements())
        raw = [token for token in added_tokens if not token.normalized]
        made = [token for token in added_tokens if token.normalized]
        self._raw = _Finder(raw, [token.content for token in raw]) if raw else None
        contents = [rules.apply(token.content) for token in made]
        self._made = _Finder(made, contents) if made else None

    def split(self, texts: tf.Tensor) -> BertWords:
        """Splits strings (B,)."""
        characters = _read(texts)
        units = _Units(*[tf.zeros([0], tf.int32)] * 3)
        if self._raw is not None:
            characters, units = self._raw.mark(characters, units, texts)
        characters = self._normalize(characters)
        if self._made is not None:
            characters, units = self._made.mark(characters, units)
        return _join(characters, units)

    def _normalize(self, characters: _Characters) -> _Characters:
        """Makes of each character what the rules say: none, one or several."""
        points, units = characters.points, characters.units
        is_text = units == 0
        # Of an added token one character stays, which is none.
        begins_unit = ~is_text & (units != tf.pad(units[:-1], [[1, 0]]))
        points = tf.where(is_text, points, NO_CHARACTER)
        kept = is_text | begins_unit
        if self.rules.clean_text:
            kept &= ~(is_text & _look_up(is_dropped(), points))
            points = tf.where(is_text & _look_up(is_space(), points), SPACE, points)
        entry, count = self._replacements.find(points)
        around = tf.zeros_like(points)
        if self.rules.split_chinese:
            # A space at either side.
            around = tf.cast(is_text & _look_up(is_chinese(), points), tf.int32)
        counts = tf.where(kept, tf.where(is_text, count, 1) + 2 * around, 0)
        source = tf.repeat(tf.range(tf.shape(points)[0]), counts)
        place = tf.range(tf.shape(source)[0]) - tf.gather(tf.cumsum(counts, exclusive=True), source)
        made = characters.take(source)
        around = tf.gather(around, source)
        values = self._replacements.take(
            tf.gather(points, source), tf.gather(entry, source), place - around
        )
        is_around = (around > 0) & ((place == 0) | (place == tf.gather(counts, source) - 1))
        values = tf.where(is_around, SPACE, values)
        return made._replace(points=tf.where(made.units == 0, values, NO_CHARACTER))


class _Replacements:
    """What stands for characters, as arrays that a graph looks up."""

    def __init__(self, replacements: dict[int, str]):
        keys = sorted(replacements)
        # One more key, which no character has: the arrays must not be empty.
        self.keys = np.array([*keys, np.iinfo(np.int32).max], np.int32)
        made = [[ord(c) for c in replacements[key]] for key in keys] + [[0]]
        self.counts = np.array([len(points) for points in made], np.int32)
        self.begins = np.cumsum(self.counts, dtype=np.int32) - self.counts
        self.points = np.array([point for points in made for point in points], np.int32)

    def find(self, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each character's entry, -1 if it stays, and how many stand for it."""
        entry = tf.searchsorted(self.keys, points, out_type=tf.int32)
        is_there = tf.gather(self.keys, entry) == points
        return tf.where(is_there, entry, -1), tf.where(is_there, tf.gather(self.counts, entry), 1)

    def take(self, points: tf.Tensor, entry: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Returns the character at a place of what stands for each."""
        index = tf.gather(self.begins, tf.maximum(entry, 0)) + place
        index = tf.clip_by_value(index, 0, len(self.points) - 1)
        return tf.where(entry >= 0, tf.gather(self.points, index), points)


class _Finder:
    """Finds added tokens among characters and marks those that belong to them."""

    def __init__(self, tokens: Sequence[AddedToken], contents: Sequence[str]):
        # What the rules leave nothing of is never found; of two that are the same, the last wins.
        by_content = {
            content: token for token, content in zip(tokens, contents, strict=True) if content
        }
        self._finder = AddedTokenFinder(list(by_content))
        tokens = list(by_content.values())
        self._ids = np.array([token.id for token in tokens], np.int32)
        self._flags = {
            flag: np.array([getattr(token, flag) for token in tokens])
            for flag in ("lstrip", "rstrip", "single_word", "between_spaces")
        }

    def mark(
        self, characters: _Characters, units: _Units, texts: tf.Tensor | None = None
    ) -> tuple[_Characters, _Units]:
        """Returns characters whose `units` count what was found, and those units behind `units`.

        Args:
            characters: Where to look.
            units: What was found before.
            texts: The texts, if the characters are as they were written.
        """
        points, rows = characters.points, characters.rows
        num_rows = tf.reduce_max(tf.pad(rows, [[1, 0]])) + 1
        lengths = tf.math.bincount(rows, minlength=num_rows, maxlength=num_rows)
        if texts is None:
            by_row = tf.RaggedTensor.from_row_lengths(points, lengths, validate=False)
            texts = tf.strings.unicode_encode(by_row, "UTF-8")
            sizes = _utf8_sizes(points)
            byte_starts = tf.cumsum(sizes, exclusive=True)
            first = tf.cumsum(lengths, exclusive=True)
            base = tf.gather(tf.pad(byte_starts, [[0, 1]]), first)
        else:
            base = tf.cumsum(tf.strings.length(texts), exclusive=True)
            byte_starts = tf.gather(base, rows) + characters.starts
        matches = self._finder.find(texts)
        base = tf.gather(base, matches.rows)
        first = tf.searchsorted(byte_starts, base + matches.starts, out_type=tf.int32)
        end = tf.searchsorted(byte_starts, base + matches.ends, out_type=tf.int32)
        is_one = self._stands_alone(characters, matches.index, first, end)
        index, first, end = (tf.boolean_mask(x, is_one) for x in (matches.index, first, end))
        number = tf.shape(units.token_ids)[0] + 1 + tf.range(tf.shape(index)[0])
        found = _mark(characters, number, first, end)
        first, end = self._with_spaces(found, index, first, end)
        found = _mark(characters, number, first, end)
        new = _Units(
            tf.gather(self._ids, index),
            tf.gather(found.starts, first),
            tf.gather(found.ends, end - 1),
        )
        return found, _Units(*(tf.concat(pair, 0) for pair in zip(units, new, strict=True)))

    def _stands_alone(
        self, characters: _Characters, index: tf.Tensor, first: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """Returns which matches have beside them what their tokens allow."""
        is_one = tf.ones_like(index, tf.bool)
        if self._flags["single_word"].any():
            wrong = _beside(
                _look_up(is_word_character(), characters.points), characters, first, end
            )
            is_one &= ~(tf.gather(self._flags["single_word"], index) & wrong)
        if self._flags["between_spaces"].any():
            wrong = _beside(~_look_up(is_space(), characters.points), characters, first, end)
            is_one &= ~(tf.gather(self._flags["between_spaces"], index) & wrong)
        return is_one

    def _with_spaces(
        self, characters: _Characters, index: tf.Tensor, first: tf.Tensor, end: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the first characters and the ends of matches, with the spaces that they take."""
        if not (self._flags["lstrip"].any() or self._flags["rstrip"].any()):
            return first, end
        rows = characters.rows
        solid = ~_look_up(is_space(), characters.points) | (characters.units > 0)
        size = tf.shape(rows)[0]
        row_of_match = tf.gather(rows, first)
        row_first = tf.searchsorted(rows, row_of_match, out_type=tf.int32)
        row_end = tf.searchsorted(rows, row_of_match, side="right", out_type=tf.int32)
        solid_places = tf.boolean_mask(tf.range(size), solid)
        before = tf.cumsum(tf.cast(solid, tf.int32), exclusive=True)
        padded = tf.concat([[-1], solid_places, [size]], 0)
        previous = tf.maximum(tf.gather(padded, tf.gather(before, first)) + 1, row_first)
        following = tf.minimum(tf.gather(padded, tf.gather(before, end - 1) + 2), row_end)
        right = tf.where(tf.gather(self._flags["rstrip"], index), following, end)
        left = tf.where(tf.gather(self._flags["lstrip"], index), previous, first)
        # A space between two is taken by the first of them.
        left = tf.maximum(left, tf.concat([[0], right[:-1]], 0)[: tf.shape(left)[0]])
        return left, right


def _mark(
    characters: _Characters, number: tf.Tensor, first: tf.Tensor, end: tf.Tensor
) -> _Characters:
    """Returns the characters from `first` up to `end` to the units of these numbers."""
    # The number is added at the first character and taken off at the end; a running sum has it
    # between the two.
    changes = tf.math.unsorted_segment_sum(
        tf.concat([number, -number], 0),
        tf.concat([first, end], 0),
        tf.shape(characters.points)[0] + 1,
    )
    marked = tf.cumsum(changes)[:-1]
    return characters._replace(units=tf.where(marked > 0, marked, characters.units))


def _beside(
    wrong: tf.Tensor, characters: _Characters, first: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """Returns which matches have a wrong character at one side, in the same text."""
    size = tf.shape(wrong)[0]
    row = tf.gather(characters.rows, first)
    before, behind = tf.maximum(first - 1, 0), tf.minimum(end, size - 1)
    is_before = (first > 0) & (tf.gather(characters.rows, before) == row)
    is_behind = (end < size) & (tf.gather(characters.rows, behind) == row)
    return (is_before & tf.gather(wrong, before)) | (is_behind & tf.gather(wrong, behind))


def _read(texts: tf.Tensor) -> _Characters:
    """Reads the characters of strings (B,); what is no UTF-8 is U+FFFD."""
    points, starts = tf.strings.unicode_decode_with_offsets(
        texts,
        "UTF-8",
        errors="replace",
        replacement_char=REPLACEMENT,
        replace_control_characters=False,
    )
    rows = tf.cast(points.value_rowids(), tf.int32)
    starts = tf.cast(starts.flat_values, tf.int32)
    lengths = tf.gather(tf.strings.length(texts), rows)
    following = tf.pad(starts[1:], [[0, 1]])[: tf.shape(starts)[0]]
    is_last = rows != tf.pad(rows[1:], [[0, 1]], constant_values=-1)[: tf.shape(rows)[0]]
    ends = tf.where(is_last, lengths, following)
    return _Characters(points.flat_values, rows, starts, ends, tf.zeros_like(rows))


def _join(characters: _Characters, units: _Units) -> BertWords:
    """Joins characters to words: between spaces, with punctuation and added tokens as their own."""
    points, rows, unit = characters.points, characters.rows, characters.units
    is_space_here = _look_up(is_space(), points) & (unit == 0)
    alone = (_look_up(is_punctuation(), points) & (unit == 0)) | is_space_here

    def differs(values):
        return values != tf.pad(values[:-1], [[1, 0]], constant_values=-1)[: tf.shape(values)[0]]

    behind_alone = tf.pad(alone[:-1], [[1, 0]])[: tf.shape(alone)[0]]
    begins = alone | behind_alone | differs(rows) | differs(unit)
    solid = ~is_space_here
    characters, begins = characters.keep(solid), tf.boolean_mask(begins, solid)
    points, rows, unit = characters.points, characters.rows, characters.units
    # Of an added token one character stands for all of it.
    starts_word = tf.cast(tf.where(begins)[:, 0], tf.int32)
    size = tf.shape(points)[0]
    ends_word = tf.concat([starts_word[1:], [size]], 0)[: tf.shape(starts_word)[0]]
    number = tf.gather(unit, starts_word)
    is_unit = number > 0
    number = tf.maximum(number - 1, 0)
    points = tf.where(unit > 0, NO_CHARACTER, points)
    texts = tf.strings.unicode_encode(
        tf.RaggedTensor.from_row_lengths(points, ends_word - starts_word, validate=False), "UTF-8"
    )

    def of_units(values, otherwise):
        # One more, so that there is one to take where no text has any.
        return tf.where(is_unit, tf.gather(tf.pad(values, [[0, 1]]), number), otherwise)

    return BertWords(
        rows=tf.gather(rows, starts_word),
        texts=texts,
        token_ids=of_units(units.token_ids, -tf.ones_like(number)),
        num_characters=ends_word - starts_word,
        first=starts_word,
        last=ends_word - 1,
        byte_starts=tf.cumsum(_utf8_sizes(points), exclusive=True),
        starts=characters.starts,
        ends=characters.ends,
        word_starts=of_units(units.starts, tf.gather(characters.starts, starts_word)),
        word_ends=of_units(units.ends, tf.gather(characters.ends, ends_word - 1)),
    )


def _utf8_sizes(points: tf.Tensor) -> tf.Tensor:
    """Returns how many bytes UTF-8 takes for each code point."""
    return 1 + sum(tf.cast(points >= least, tf.int32) for least in (0x80, 0x800, 0x10000))


def _look_up(table: np.ndarray, points: tf.Tensor) -> tf.Tensor:
    """Looks a bool table of all code points up: false before its first change, true behind it."""
    breaks = np.flatnonzero(np.diff(table, prepend=False)).astype(np.int32)
    return tf.searchsorted(breaks, points, side="right", out_type=tf.int32) % 2 == 1
