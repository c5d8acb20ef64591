"""Tokens beside a SentencePiece model, found before it cuts text, as in `transformers`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken, AddedTokenFinder
from bigbird_tf.preprocessing.tokenizers.pretrained_files import PretrainedFiles
from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import parse_model
from bigbird_tf.preprocessing.tokenizers.vocabulary import SPECIAL_PIECES

__all__ = ["add_pieces", "added_tokens_beside", "cut_between"]


def added_tokens_beside(files: PretrainedFiles, model: bytes) -> list[AddedToken]:
    """Returns the tokens that a checkpoint's files add to the pieces of its `spiece.model`.

    The model's own special pieces are not among them: SentencePiece finds them by itself.
    """
    proto = parse_model(model)
    ids = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    # Whatever the unknown piece is called, it is not looked for.
    unknown = {piece.piece for piece in proto.pieces if piece.type == piece.UNKNOWN}
    _, added = files.tokens(SPECIAL_PIECES, ids)
    ordinary = {piece.piece for piece in proto.pieces if piece.type == piece.NORMAL}
    return [
        token
        for token in added
        if token.content not in unknown | {SPECIAL_PIECES["unk_token"]}
        and (token.id >= len(ids) or token.content in ordinary)
    ]


def add_pieces(model: bytes, tokens: Sequence[Mapping[str, Any]]) -> bytes:
    """Returns a SentencePiece model with tokens as user-defined pieces, at the end if they are new.

    Raises:
        ValueError: If their ids do not follow the model's, or one has spaces or is to be found
            as a whole word only, which SentencePiece cannot.
    """
    if not tokens:
        return model
    proto = parse_model(model)
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    ids = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    for token in sorted(tokens, key=lambda token: token["id"]):
        content, wanted = token["content"], token["id"]
        if " " in content:
            # In SentencePiece's normalised text there are none.
            raise ValueError(
                "`added_tokens` of a SentencePiece vocabulary cannot have spaces. Received: "
                f"{content!r}"
            )
        if token["single_word"]:
            raise ValueError(
                f"`added_tokens` of a SentencePiece vocabulary cannot be `single_word`. Received: "
                f"{content!r}"
            )
        index = ids.setdefault(content, len(proto.pieces))
        if wanted not in (-1, index):
            raise ValueError(
                "The ids of `added_tokens` must follow the pieces of the model. Received: "
                f"{content!r} with id={wanted}, where {index} is next"
            )
        if index < len(proto.pieces):
            proto.pieces[index].type = types.USER_DEFINED
        else:
            proto.pieces.add(piece=content, score=0.0, type=types.USER_DEFINED)
    return proto.SerializeToString()


def cut_between(
    cut: Callable, texts: tf.Tensor, finder: AddedTokenFinder, space_ids: Sequence[int]
) -> tuple[tf.RaggedTensor, ...]:
    """Cuts texts into pieces, each stretch up to an added token by itself.

    Args:
        cut: Makes `(ids, starts, ends)` of strings (B,), int32, ragged of shape (B, None).
        texts: Strings of shape (B,).
        finder: Finds the added tokens, which `cut` takes whole.
        space_ids: Pieces that are nothing but space.

    Returns:
        `(ids, starts, ends)` of `texts`.
    """
    matches = finder.find(texts)
    num_texts = tf.shape(texts)[0]
    # Each stretch ends with an added token; what is behind the last one is one more.
    rows = tf.concat([matches.rows, tf.range(num_texts)], 0)
    ends = tf.concat([matches.ends, tf.strings.length(texts)], 0)
    order = tf.argsort(rows, stable=True)
    rows, ends = tf.gather(rows, order), tf.gather(ends, order)
    is_first = rows != tf.concat([[-1], rows[:-1]], 0)
    starts = tf.where(is_first, 0, tf.concat([[0], ends[:-1]], 0))
    stretches = tf.strings.substr(tf.gather(texts, rows), starts, ends - starts)
    pieces = cut(stretches)
    ids = pieces[0]
    # Where nothing is before an added token, there is no space before it either.
    token_starts = tf.concat([matches.starts, tf.fill([num_texts], -1)], 0)
    is_bare = tf.gather(token_starts, order) == starts
    stretch = tf.cast(ids.value_rowids(), tf.int32)
    place = tf.ragged.range(ids.row_lengths()).flat_values
    is_space = tf.reduce_any(
        ids.flat_values[:, tf.newaxis] == tf.constant(list(space_ids), tf.int32), axis=1
    )
    kept = ~(tf.gather(is_bare, stretch) & (place == 0) & is_space)
    stretch = tf.boolean_mask(stretch, kept)
    shift = tf.gather(starts, stretch)
    row = tf.cast(tf.gather(rows, stretch), tf.int64)
    values = [tf.boolean_mask(part.flat_values, kept) for part in pieces]
    values = [values[0], values[1] + shift, values[2] + shift]
    nrows = tf.cast(num_texts, tf.int64)
    return tuple(
        tf.RaggedTensor.from_value_rowids(value, row, nrows, validate=False) for value in values
    )
