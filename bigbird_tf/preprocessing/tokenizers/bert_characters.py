"""What BERT's rules make of each character: which it drops, splits at, lowers and decomposes."""

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np

from bigbird_tf.preprocessing.tokenizers import unicode_8

__all__ = [
    "CharacterRules",
    "is_chinese",
    "is_dropped",
    "is_punctuation",
    "is_space",
    "is_word_character",
]

NUM_CODE_POINTS = 0x110000
# Beyond them there are no characters but Han, private ones, tags and variation selectors.
NUM_LISTED = 0x20000
CHINESE_RANGES = (
    (0x3400, 0x4DC0),
    (0x4E00, 0xA000),
    (0xF900, 0xFB00),
    (0x20000, 0x2A6E0),
    (0x2A700, 0x2B740),
    (0x2B740, 0x2B820),
    (0x2B920, 0x2CEB0),
    (0x2F800, 0x2FA20),
)


# Capitals that Python learns of in later releases: from, up to, how far away the small letter is.
LATER_CAPITALS = (
    (0x1C89, 0x1C8A, 1),
    (0xA7CB, 0xA7CC, 0x264 - 0xA7CB),
    (0xA7CC, 0xA7CD, 1),
    (0xA7CE, 0xA7CF, 1),
    (0xA7D2, 0xA7D3, 1),
    (0xA7D4, 0xA7D5, 1),
    (0xA7DA, 0xA7DB, 1),
    (0xA7DC, 0xA7DD, 0x19B - 0xA7DC),
    (0x10D50, 0x10D66, 0x20),
    (0x16EA0, 0x16EB9, 0x1B),
)


# Decomposes since Unicode 13, which the library does not know.
LATER_DECOMPOSITION = "\U00011938"


def _table(ranges: str) -> np.ndarray:
    """Returns the bool table of ranges as `unicode_8` has them."""
    table = np.zeros(NUM_CODE_POINTS, bool)
    for part in ranges.split():
        first, _, last = part.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = True
    return table


@functools.cache
def is_space() -> np.ndarray:
    """Returns the table of Unicode's white space; bool of shape (0x110000,)."""
    table = np.zeros(NUM_CODE_POINTS, bool)
    table[[9, 10, 11, 12, 13, 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F]] = True
    table[0x2000:0x200B] = table[0x3000] = True
    return table


@functools.cache
def is_chinese() -> np.ndarray:
    """Returns the table of what BERT takes for Chinese; bool of shape (0x110000,)."""
    table = np.zeros(NUM_CODE_POINTS, bool)
    for begin, end in CHINESE_RANGES:
        table[begin:end] = True
    return table


@functools.cache
def is_word_character() -> np.ndarray:
    r"""Returns the table of what a `\w` matches; bool of shape (0x110000,)."""
    kinds = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"}
    table = [unicodedata.category(chr(point)) in kinds for point in range(NUM_CODE_POINTS)]
    table[0x200C] = table[0x200D] = True
    return np.array(table)


@functools.cache
def is_punctuation() -> np.ndarray:
    """Returns the table of what words are split at; bool of shape (0x110000,)."""
    table = _table(unicode_8.PUNCTUATION)
    for begin, end in ((33, 48), (58, 65), (91, 97), (123, 127)):
        table[begin:end] = True
    return table


@functools.cache
def is_dropped() -> np.ndarray:
    """Returns the table of what cleaning drops; bool of shape (0x110000,)."""
    table = _table(unicode_8.FORMAT)
    for begin, end in ((0, 32), (127, 160), (0xE000, 0xF900), (0xF0000, 0xFFFFE)):
        table[begin:end] = True
    table[0x100000:0x10FFFE] = table[0xFFFD] = True
    table[[9, 10, 13]] = False
    return table


@functools.cache
def _is_mark() -> np.ndarray:
    return _table(unicode_8.MARK)


def _decompose(text: str) -> str:
    """Returns NFD without the marks that take no space."""
    if text == LATER_DECOMPOSITION:
        return text
    return "".join(
        character
        for character in unicodedata.normalize("NFD", text)
        if not _is_mark()[ord(character)]
    )


def _lower(text: str) -> str:
    """Returns each character's own lower case, whatever stands beside it."""
    lower = "".join(character.lower() for character in text)
    if lower == text and len(text) == 1:
        for begin, end, distance in LATER_CAPITALS:
            if begin <= ord(text) < end:
                return chr(ord(text) + distance)
    return lower


@dataclass(frozen=True)
class CharacterRules:
    """What is made of characters before text is split into words.

    Attributes:
        clean_text: Whether control characters are dropped, and white space becomes spaces.
        split_chinese: Whether each Chinese character is a word.
        strip_accents: Whether characters are decomposed and marks dropped.
        lowercase: Whether they are made small.
    """

    clean_text: bool = True
    split_chinese: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def replacements(self) -> dict[int, str]:
        """Returns what stands for those characters that do not stay as they are."""
        return _replacements(self.strip_accents, self.lowercase)

    def apply(self, text: str) -> str:
        """Returns a text as these rules make it; in Python, for the tokens of a vocabulary."""
        replacements, made = self.replacements(), []
        for character in text:
            point = ord(character)
            if self.clean_text and is_dropped()[point]:
                continue
            if self.clean_text and is_space()[point]:
                character = " "
            character = replacements.get(ord(character), character)
            if self.split_chinese and is_chinese()[point]:
                character = f" {character} "
            made.append(character)
        return "".join(made)


@functools.cache
def _replacements(strip_accents: bool, lowercase: bool) -> dict[int, str]:
    found = {}
    # Compatibility ideographs are beyond the listed ones, and decompose.
    for point in (*range(NUM_LISTED), *range(0x2F800, 0x2FA20), *range(0xE0100, 0xE01F0)):
        character = made = chr(point)
        if 0xD800 <= point < 0xE000:
            continue
        if strip_accents:
            made = _decompose(made)
        if lowercase:
            made = _lower(made)
        if made != character:
            found[point] = made
    return found
