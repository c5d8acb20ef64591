"""`Vocabulary`: what a SentencePiece model says, looked up in Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sentencepiece

from bigbird_tf.preprocessing.characters import SPACE_SIGN
from bigbird_tf.preprocessing.tokenizers.special_tokens import REQUIRED_TOKENS

__all__ = ["BIG_BIRD_PIECES", "SPECIAL_PIECES", "SpecialPieces", "Vocabulary"]

# Names of `transformers`, and the pieces that Google's vocabularies have for them.
SPECIAL_PIECES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
}


@dataclass(frozen=True)
class SpecialPieces:
    """Which pieces of a kind of vocabulary are special.

    Attributes:
        names: The pieces by names such as `"cls_token"`.
        required: Names of those that there must be.
        family: Whose inputs need them, for messages.
        advice: How to train a vocabulary that has them, for messages.
    """

    names: Mapping[str, str]
    required: tuple[str, ...]
    family: str
    advice: str


BIG_BIRD_PIECES = SpecialPieces(
    SPECIAL_PIECES,
    REQUIRED_TOKENS,
    "BigBird",
    "user_defined_symbols=['[CLS]', '[SEP]', '[MASK]'] and pad_id=0",
)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A SentencePiece model with what a tokenizer has to know of its pieces.

    Attributes:
        model: The serialized model.
        processor: The library's.
        special_ids: Ids by names such as `"cls_token"`; `None` for pieces that it does not have.
        lstrip_ids: Pieces that take the spaces before them.
        rstrip_ids: Pieces that take the spaces behind them.
        space_ids: Pieces that are nothing but space.
    """

    model: bytes
    processor: sentencepiece.SentencePieceProcessor
    special_ids: dict[str, int | None]
    lstrip_ids: list[int]
    rstrip_ids: list[int]
    space_ids: list[int]

    @classmethod
    def of(
        cls,
        model: bytes,
        lstrip: Sequence[str],
        rstrip: Sequence[str],
        special: SpecialPieces = BIG_BIRD_PIECES,
    ) -> "Vocabulary":
        """Reads a model.

        Args:
            model: The serialized model.
            lstrip: Pieces that take the spaces before them.
            rstrip: Pieces that take the spaces behind them.
            special: Which pieces are special, and which of them there must be.

        Raises:
            ValueError: If it is none, or lacks a piece that it must have.
        """
        try:
            # Not through the constructor, which takes empty bytes for "no model" and warns only.
            processor = sentencepiece.SentencePieceProcessor()
            processor.LoadFromSerializedProto(model)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"`model` must be a SentencePiece model. Received {len(model)} bytes that are "
                f"none: {error}"
            ) from error
        return cls(
            model,
            processor,
            _special_ids(processor, special),
            _ids_that_strip(processor, "lstrip", lstrip),
            _ids_that_strip(processor, "rstrip", rstrip),
            [
                index
                for index in range(processor.vocab_size())
                if not processor.id_to_piece(index).strip(SPACE_SIGN)
            ],
        )


def _special_ids(
    processor: sentencepiece.SentencePieceProcessor, special: SpecialPieces
) -> dict[str, int | None]:
    ids: dict[str, int | None] = {}
    for name, piece in special.names.items():
        index: int | None = processor.piece_to_id(piece)
        if name == "unk_token":
            index = processor.unk_id()
        elif index == processor.unk_id():
            index = None
        if index is None and name in special.required:
            raise ValueError(
                f"`model` has no piece {piece!r}, which every {special.family} input needs. Train "
                f"the vocabulary with {special.advice}. Received: a model of "
                f"{processor.vocab_size()} pieces"
            )
        ids[name] = index
    return ids


def _ids_that_strip(
    processor: sentencepiece.SentencePieceProcessor, side: str, pieces: Sequence[str]
) -> list[int]:
    ids = {piece: processor.piece_to_id(piece) for piece in pieces}
    for piece, index in ids.items():
        # What strips by default need not be there.
        if index == processor.unk_id() and piece != SPECIAL_PIECES["mask_token"]:
            raise ValueError(
                f"`{side}` must be pieces of the vocabulary. Received: {side}={list(pieces)}, of "
                f"which it does not have {piece!r}"
            )
    return [index for index in ids.values() if index != processor.unk_id()]
