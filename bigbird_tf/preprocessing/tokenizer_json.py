"""A SentencePiece model out of the `tokenizer.json` that `transformers` saves instead of one."""

import json
import os
from pathlib import Path

from sentencepiece import sentencepiece_model_pb2

from bigbird_tf.preprocessing.tokenizer_config import stripped_pieces

__all__ = ["read_tokenizer_json"]

# What Google's vocabularies have as control pieces, which no text can hold.
CONTROL_PIECES = ("<pad>", "</s>")


def read_tokenizer_json(path: str | os.PathLike) -> tuple[bytes, dict[str, list[str]]]:
    """Makes a SentencePiece model of the `tokenizer.json` of a `BigBirdTokenizer`.

    `transformers` 5 saves no `spiece.model`. Its file has the same pieces, scores and ids; what it
    does not have is which special pieces may occur in text: here all but `<pad>` and `</s>`, as in
    Google's vocabularies.

    Args:
        path: The `tokenizer.json`.

    Returns:
        The serialized model, and the pieces that take spaces, as `stripped_pieces` gives them.

    Raises:
        ValueError: If the file is no JSON, or not the unigram tokenizer of a BigBird.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model, added = content["model"], content.get("added_tokens") or []
        if model.get("type", "Unigram") != "Unigram" or model.get("byte_fallback"):
            raise ValueError(f"its model is a {model.get('type')} with other rules")
        vocabulary, unk_id = model["vocab"], model["unk_id"]
        _check_text_rules(content)
        stripped = stripped_pieces(added)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} must be the tokenizer.json of a BigBirdTokenizer, a unigram model. Received "
            f"another: {error}. With the `spiece.model` beside it, it is not needed."
        ) from error

    proto = sentencepiece_model_pb2.ModelProto()
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    special = {token["id"]: token["content"] for token in added}
    for index, (piece, score) in enumerate(vocabulary):
        kind = types.NORMAL
        if index == unk_id:
            kind = types.UNKNOWN
        elif index in special:
            kind = types.CONTROL if piece in CONTROL_PIECES else types.USER_DEFINED
        proto.pieces.add(piece=piece, score=score, type=kind)
    for index in range(len(vocabulary), max(special, default=-1) + 1):
        proto.pieces.add(piece=special[index], score=0.0, type=types.USER_DEFINED)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    proto.trainer_spec.vocab_size = len(proto.pieces)
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = _has_prefix(content)
    return proto.SerializeToString(), stripped


def _check_text_rules(content: dict) -> None:
    """Refuses normalisers that change letters, which no BigBirdTokenizer has."""
    normalizer = content.get("normalizer") or {}
    for part in normalizer.get("normalizers", [normalizer]):
        if part.get("type", "Replace") not in ("Replace", "Strip"):
            raise ValueError(f"it normalises text by {part['type']}")


def _has_prefix(content: dict) -> bool:
    pre_tokenizer = content.get("pre_tokenizer") or {}
    return pre_tokenizer.get("prepend_scheme", "always") != "never"
