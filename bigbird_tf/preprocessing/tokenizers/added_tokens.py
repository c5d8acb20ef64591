"""Tokens that are found in a text before it is cut into pieces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

__all__ = ["AddedToken", "AddedTokenFinder", "Matches", "read_added_tokens"]

HASH_BUCKETS = 2**62


@dataclass(frozen=True)
class AddedToken:
    """A token that is taken whole, as `transformers` has it.

    Attributes:
        id: Its id.
        content: Its text.
        lstrip, rstrip: Whether it takes the spaces before, and behind, it.
        single_word: Whether it is one only where no letter or digit is beside it.
        between_spaces: Whether it is one only between spaces: what is never split.
        normalized: Whether it is looked for in the text as the vocabulary's rules make it, not as
            it was written.
        special: Whether it stands for no text.
    """

    id: int
    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    between_spaces: bool = False
    normalized: bool = False
    special: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields by name."""
        return asdict(self)


def read_added_tokens(listed: Iterable[Mapping[str, Any]]) -> list[AddedToken]:
    """Reads tokens as `tokenizer.json` lists them.

    Raises:
        KeyError, TypeError: If an entry is none.
    """
    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    return [
        AddedToken(
            int(token["id"]),
            str(token["content"]),
            **{flag: bool(token[flag]) for flag in flags if flag in token},
        )
        for token in listed
    ]


class Matches(NamedTuple):
    """Where added tokens are in a batch of texts; int32 of shape (M,), in order.

    Attributes:
        rows: The text that each is in.
        starts, ends: Its bytes.
        index: Which of the finder's tokens it is.
    """

    rows: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    index: tf.Tensor


class AddedTokenFinder:
    """Finds the leftmost and longest of some tokens in texts, in the graph.

    Args:
        contents: The tokens' texts; not empty, each once.
    """

    def __init__(self, contents: Sequence[str]):
        # RE2 takes the first alternative that fits, so longer ones come first.
        ordered = sorted(contents, key=len, reverse=True)
        self.pattern = "(" + "|".join(_quote(content) for content in ordered) + ")"
        # Texts are compared with one token each, which their hash leads to.
        with tf.init_scope():
            hashes = tf.strings.to_hash_bucket_fast(list(contents), HASH_BUCKETS).numpy()
        order = np.argsort(hashes)
        self._hashes, self._index = hashes[order], order.astype(np.int32)
        self._contents = np.array([contents[i].encode() for i in order], object)

    def find(self, texts: tf.Tensor) -> Matches:
        """Finds the tokens in strings (B,)."""
        # The operation takes NUL for the end of a text.
        texts = tf.strings.regex_replace(texts, r"\x00", "\x01")
        parts, starts, ends = tf_text.regex_split_with_offsets(texts, self.pattern, self.pattern)
        rows = tf.cast(parts.value_rowids(), tf.int32)
        parts = parts.flat_values
        nearest = tf.searchsorted(
            self._hashes, tf.strings.to_hash_bucket_fast(parts, HASH_BUCKETS), out_type=tf.int32
        )
        nearest = tf.minimum(nearest, len(self._hashes) - 1)
        found = tf.gather(self._contents, nearest) == parts
        values = (rows, starts.flat_values, ends.flat_values, tf.gather(self._index, nearest))
        return Matches(*(tf.cast(tf.boolean_mask(value, found), tf.int32) for value in values))


def _quote(content: str) -> str:
    """Writes a text so that RE2 reads it letter by letter."""
    return "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in content)
