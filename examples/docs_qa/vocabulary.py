"""The SentencePiece vocabulary of the help pages."""

import io
import random
from collections.abc import Iterable

import sentencepiece

from examples.docs_qa.pages import Page

__all__ = ["train_vocabulary"]

MAX_LINE_CHARS = 500


def train_vocabulary(
    pages: Iterable[Page], *, vocab_size: int = 8000, max_lines: int = 60_000, seed: int = 0
) -> bytes:
    """Trains a unigram vocabulary with the special pieces of BigBird's own.

    Args:
        pages: The pages to learn from; training pages only.
        vocab_size: Number of pieces, special ones included.
        max_lines: Lines drawn from the pages' distinct lines.
        seed: Seed of that draw.

    Returns:
        The bytes of a SentencePiece model: `<pad>` 0, `</s>` 1, `<s>` 2, `<unk>` 3, `[CLS]`,
        `[SEP]`, `[MASK]` (control pieces: text never becomes one of them), and the line break.

    Raises:
        ValueError: If the pages have too little text for so many pieces.
    """
    lines = sorted(
        {line.strip(" |")[:MAX_LINE_CHARS] for page in pages for line in page.text.splitlines()}
    )
    random.Random(seed).shuffle(lines)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for line in lines if line][:max_lines]),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=0.9999,
            # Names in code mean what they say: no case folding, no Unicode compatibility forms.
            normalization_rule_name="identity",
            pad_id=0,
            eos_id=1,
            bos_id=2,
            unk_id=3,
            pad_piece="<pad>",
            control_symbols=["[CLS]", "[SEP]", "[MASK]"],
            # Where lines end tells definitions from prose.
            user_defined_symbols=["\n"],
            num_threads=2,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"`vocab_size` must suit the amount of text. Received: vocab_size={vocab_size}, "
            f"{min(len(lines), max_lines)} lines of text. sentencepiece says: {error}"
        ) from error
    return model.getvalue()
