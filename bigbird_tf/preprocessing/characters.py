"""Characters that show nothing: spaces, and what a vocabulary's normaliser drops."""

import functools

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

__all__ = ["WHITE_SPACE", "invisible_characters"]

# Of the Basic Multilingual Plane; no character beyond it is a space, or dropped by the rules that
# SentencePiece has names for.
NUM_CHARACTERS = 0x10000
# SentencePiece's own sign for a space, which it takes for one in texts, too.
SPACE_SIGN = "▁"


def _table(characters: str) -> np.ndarray:
    """Returns a table that is true for some characters; bool of shape (65536,)."""
    table = np.zeros(NUM_CHARACTERS, bool)
    table[[ord(character) for character in characters]] = True
    return table


# Unicode's property White_Space, for which Python's `isspace` has four separators too many.
WHITE_SPACE = _table(
    "".join(
        character
        for character in map(chr, range(NUM_CHARACTERS))
        if character.isspace() and not "\x1c" <= character <= "\x1f"
    )
    + SPACE_SIGN
)


def invisible_characters(processor: sentencepiece.SentencePieceProcessor) -> np.ndarray:
    """Finds the characters that a vocabulary sees as spaces, or does not see at all.

    Args:
        processor: The vocabulary.

    Returns:
        bool of shape (65536,): true for Unicode's white space, and for what the vocabulary's rules
        of normalisation make a space or drop, such as U+200B, U+200E and U+FEFF under "nmt_nfkc".
    """
    return _invisible(processor.serialized_model_proto()) | WHITE_SPACE


@functools.lru_cache(maxsize=8)
def _invisible(model: bytes) -> np.ndarray:
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    if not proto.normalizer_spec.precompiled_charsmap:
        return np.zeros(NUM_CHARACTERS, bool)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    characters = [chr(c) for c in range(1, NUM_CHARACTERS) if not 0xD800 <= c < 0xE000]
    # One after the other in one text, which takes a tenth of a second. No rule joins a letter of
    # Linear B with its neighbours, nor makes one of anything else.
    fence = "\U00010000"
    parts = processor.normalize(fence + fence.join(characters) + fence).split(fence)[1:-1]
    shows_nothing = (
        character
        for character, part in zip(characters, parts, strict=True)
        if not part.strip(f" {SPACE_SIGN}")
    )
    return _table("".join(shows_nothing))
