"""A small SentencePiece vocabulary that the tests train themselves, and the tokenizer on it."""

import io
import random
from pathlib import Path

import pytest
import sentencepiece

from bigbird_tf.preprocessing.tokenizer import BigBirdTokenizer

SHARED_VOCABULARY = Path(__file__).parents[3] / "shared/fixtures/vocab/gpt2.model"

SENTENCE = """
    the of and a to in is was for on with river stone house green walks sings eleven bird birds
    bigger window windows sparse attention block blocks random global token tokens Zürich naïve
    café Ωμέγα привет мир 日本語 猫 1987 42 3.14 don't well-known U.S.
"""
WORDS = SENTENCE.split()


def train_vocabulary(vocab_size: int = 211, **options) -> bytes:
    """Trains a unigram model on sentences made of `WORDS`; the same bytes every time."""
    rng = random.Random(17)
    sentences = [
        " ".join(rng.choice(WORDS) + rng.choice(["", "", "", ",", ".", "?"]) for _ in range(13))
        for _ in range(701)
    ]
    model = io.BytesIO()
    arguments = {
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 6,
        "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        "hard_vocab_limit": False,
        "num_threads": 1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=vocab_size,
        **{**arguments, **options},
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def vocabulary() -> bytes:
    return train_vocabulary()


@pytest.fixture(scope="session")
def tokenizer(vocabulary) -> BigBirdTokenizer:
    return BigBirdTokenizer(vocabulary)


@pytest.fixture(scope="session")
def published_vocabulary() -> bytes:
    if not SHARED_VOCABULARY.is_file():
        pytest.skip(f"needs the published vocabulary at {SHARED_VOCABULARY}")
    return SHARED_VOCABULARY.read_bytes()
