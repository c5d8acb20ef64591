"""Byte-pair vocabularies of DNA, trained by the library `sentencepiece`."""

import io
import random
from collections.abc import Iterable, Iterator

import sentencepiece

from bigbird_tf.preprocessing.tokenizers.dna_letters import LETTERS, read_python_sequence

__all__ = ["train_model"]

# SentencePiece leaves longer sentences out.
CHUNK = 4000
# Repeats could make pieces of any length.
LONGEST_PIECE = 32


def train_model(
    sequences: Iterable[str | bytes], vocab_size: int, max_bases: int, seed: int
) -> bytes:
    """Trains a SentencePiece model on sequences; see `DnaTokenizer.train`."""
    chunks = _sample(_chunks(sequences), max(1, max_bases // CHUNK), random.Random(seed))
    if not chunks:
        raise ValueError(
            "`sequences` must have stretches of A, C, G and T to learn pieces from. Received: none"
        )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        # Each base once more, in case that a sequence lacks it.
        sentence_iterator=iter([*chunks, *LETTERS[:4]]),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentencepiece_length=LONGEST_PIECE,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]", "N"],
        minloglevel=2,
    )
    return model.getvalue()


def _chunks(sequences: Iterable[str | bytes]) -> Iterator[str]:
    """Cuts sequences where N is, and into chunks of the length that SentencePiece takes."""
    for number, sequence in enumerate(sequences):
        for stretch in read_python_sequence(sequence, f"sequence {number}").split(b"N"):
            for start in range(0, len(stretch), CHUNK):
                yield stretch[start : start + CHUNK].decode("ascii")


def _sample(chunks: Iterable[str], size: int, rng: random.Random) -> list[str]:
    """Returns all chunks, or so many of them, each as likely as the others."""
    kept: list[str] = []
    for number, chunk in enumerate(chunks):
        if number < size:
            kept.append(chunk)
        elif (place := rng.randrange(number + 1)) < size:
            kept[place] = chunk
    return kept
