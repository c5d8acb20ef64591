"""Where plain Pegasus has its special pieces: between those of its SentencePiece model."""

from sentencepiece import sentencepiece_model_pb2

from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import parse_model

__all__ = ["MASKS", "default_offset", "put_offset"]

# For a sentence, and for a word.
MASKS = ("<mask_1>", "<mask_2>")
# Before the special pieces.
FIRST = ("<pad>", "</s>")
PEGASUS_OFFSET = 103


def default_offset(model: bytes) -> int:
    """Returns the offset of a SentencePiece model whose files say none, by where `<unk>` is.

    It follows the first two pieces in plain Pegasus' model, and all special ones in
    BigBird-Pegasus', which therefore needs no others.
    """
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    pieces = parse_model(model).pieces
    is_plain = len(pieces) > len(FIRST) and pieces[len(FIRST)].type == types.UNKNOWN
    return PEGASUS_OFFSET if is_plain else 0


def put_offset(model: bytes, offset: int) -> bytes:
    """Returns a SentencePiece model whose pieces are at the places of Pegasus' ids.

    Behind `<pad>` and `</s>` come `<mask_1>`, `<mask_2>` and `<unk_2>`, `<unk_3>` and so on, as
    many as the offset says, and then the model's other pieces.

    Raises:
        ValueError: If the model does not begin with the two, or has pieces of these names.
    """
    proto = parse_model(model)
    first = tuple(piece.piece for piece in proto.pieces[: len(FIRST)])
    if first != FIRST:
        raise ValueError(
            f"`model` must begin with the pieces {' and '.join(FIRST)}, as Pegasus' vocabularies "
            "do: train it with pad_id=0, eos_id=1. Received: a model that begins with "
            f"{' and '.join(first) or 'none'}"
        )
    if offset == 0:
        return model
    names = [*MASKS, *(f"<unk_{number}>" for number in range(2, offset))]
    taken = sorted({piece.piece for piece in proto.pieces} & set(names))
    if taken:
        raise ValueError(
            f"`offset` adds pieces that `model` has already: {', '.join(taken)}. For such a model "
            f"it is 0. Received: offset={offset}"
        )
    others = list(proto.pieces[len(FIRST) :])
    del proto.pieces[len(FIRST) :]
    for name in names:
        proto.pieces.add(piece=name, score=0.0, type=proto.SentencePiece.USER_DEFINED)
    proto.pieces.extend(others)
    return proto.SerializeToString()
