"""A SentencePiece model out of the `tokenizer.json` that `transformers` saves instead of one."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from bigbird_tf.preprocessing.tokenizers.post_processor import cls_and_sep, warn_of_layout
from bigbird_tf.preprocessing.tokenizers.pretrained_files import NotExpressibleError
from bigbird_tf.preprocessing.tokenizers.tokenizer_config import stripped_pieces
from bigbird_tf.preprocessing.tokenizers.vocabulary import SPECIAL_PIECES

__all__ = ["model_type", "read_tokenizer_json"]

# What Google's vocabularies have as control pieces, which no text can hold.
CONTROL_PIECES = ("<pad>", "</s>")
SPACE_SIGN = "▁"
# Several spaces become one: with `Strip`, what SentencePiece calls `remove_extra_whitespaces`.
SPACES_TO_ONE = (" {2,}", " +")
WHITE_SPACE_TO_ONE = (r"\s{2,}", r"\s+")
# What `transformers` 5 writes for every `BigBirdTokenizer`: it leaves one space at the end of a
# text, where SentencePiece, and so Google's code, takes it off.
BIG_BIRDS_OWN = [
    {"type": "Strip", "strip_left": False, "strip_right": False},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE_SIGN},
]
# But U+0085, which SentencePiece's own maps leave as it is, and texts do not have.
WHITE_SPACE = "\t\n\v\f\r\u00a0\u1680\u2028\u2029\u202f\u205f\u3000"


def model_type(content: Mapping[str, Any]) -> str:
    """Returns the kind of vocabulary that a `tokenizer.json` has, such as `"BPE"`.

    Old files do not say it.
    """
    model = content["model"]
    if "type" in model:
        return model["type"]
    if "merges" in model:
        return "BPE"
    if "max_input_chars_per_word" in model:
        return "WordPiece"
    return "Unigram" if isinstance(model["vocab"], list) else "WordLevel"


def read_tokenizer_json(
    path: str | os.PathLike,
) -> tuple[bytes, dict[str, list[str]], list[dict[str, Any]]]:
    """Makes a SentencePiece model of the `tokenizer.json` of a `BigBirdTokenizer`.

    `transformers` 5 saves no `spiece.model`. Its file has the same pieces, scores and ids; what it
    does not have is which special pieces may occur in text: here all but `<pad>` and `</s>`, as in
    Google's vocabularies.

    Args:
        path: The `tokenizer.json`.

    Returns:
        The serialized model; the pieces that take spaces, as `stripped_pieces` returns them; and
        the tokens that are added behind the vocabulary.

    Raises:
        NotExpressibleError: If it is no unigram tokenizer, or changes or splits text in a way that
            SentencePiece has no words for.
        ValueError: If the file is no JSON, or none of the library `tokenizers`.
    """
    path = Path(path)
    advice = (
        f"{path} must be the tokenizer.json of a BigBirdTokenizer, a unigram model. Received "
        "another: {}. With the `spiece.model` beside it, it is not needed."
    )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model, added = content["model"], content.get("added_tokens") or []
        if model_type(content) != "Unigram" or model.get("byte_fallback"):
            raise NotExpressibleError(f"its model is a {model_type(content)} with other rules")
        vocabulary, unk_id = model["vocab"], model["unk_id"]
        proto = sentencepiece_model_pb2.ModelProto()
        _set_text_rules(content, proto.normalizer_spec)
        stripped = stripped_pieces(added)
        special = {token["id"]: token["content"] for token in added}
        behind = [token for token in added if token["id"] >= len(vocabulary)]
        _check_added_tokens(added, proto)
        for name, token in cls_and_sep(content).items():
            if token != SPECIAL_PIECES[name]:
                raise NotExpressibleError(f"its {name} is {token!r}")
    except NotExpressibleError as error:
        raise NotExpressibleError(advice.format(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(advice.format(error)) from error

    warn_of_layout(content, path)
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    for index, (piece, score) in enumerate(vocabulary):
        kind = types.NORMAL
        if index == unk_id:
            kind = types.UNKNOWN
        elif index in special:
            kind = types.CONTROL if piece in CONTROL_PIECES else types.USER_DEFINED
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return proto.SerializeToString(), stripped, behind


def _check_added_tokens(added: list[Mapping[str, Any]], proto: Any) -> None:
    """Refuses added tokens that SentencePiece would find elsewhere."""
    for token in added:
        if token.get("single_word"):
            raise NotExpressibleError(f"its added token {token['content']!r} is a `single_word`")
        if token.get("normalized") and proto.normalizer_spec.precompiled_charsmap:
            raise NotExpressibleError(
                f"its added token {token['content']!r} is looked for in the normalised text"
            )


def _set_text_rules(content: Mapping[str, Any], spec: Any) -> None:
    """Says in SentencePiece's words what a file does to text before it is cut into pieces.

    Args:
        content: The file.
        spec: A `NormalizerSpec`.

    Raises:
        NotExpressibleError: If there are no such words.
    """
    spec.name = "identity"
    # Metaspace makes "▁" of each space, however many there are.
    spec.remove_extra_whitespaces = False
    spec.add_dummy_prefix = False
    normalizer = content.get("normalizer") or {"type": "Sequence", "normalizers": []}
    parts = normalizer.get("normalizers", [normalizer])
    spaces = _Spaces()
    if parts != BIG_BIRDS_OWN:
        for part in parts:
            _add_normalizer(part, spec, spaces)
    _set_pre_tokenizer(content.get("pre_tokenizer") or {}, spec, spaces)
    spec.remove_extra_whitespaces = parts == BIG_BIRDS_OWN or spaces.are_removed


@dataclass
class _Spaces:
    """What is done about spaces.

    Attributes:
        left, right: Whether those at the beginning, and at the end, of a text are taken off.
        to_one: Whether several become one.
        written: Whether some are "▁" already, which no later rule takes for a space.
        prefixed: Whether a text gets a "▁" unless it begins with a space.
        split: Whether text is split at spaces, so that none is left.
    """

    left: bool = False
    right: bool = False
    to_one: bool = False
    written: bool = False
    prefixed: bool = False
    split: bool = False

    @property
    def are_removed(self) -> bool:
        """Whether this is SentencePiece's `remove_extra_whitespaces`, and not some of it.

        Raises:
            NotExpressibleError: If it is some of it.
        """
        # One space at the beginning is no other than the one that is put there.
        ends = self.right and (self.left or self.prefixed)
        if self.split and (ends or not (self.to_one and self.written)):
            return True
        if ends and self.to_one:
            return True
        if self.left or self.right or self.to_one or self.split:
            raise NotExpressibleError("it takes some needless spaces out, and others not")
        return False


def _add_normalizer(part: Mapping[str, Any], spec: Any, spaces: _Spaces) -> None:
    kind = part["type"]
    is_first = not spec.precompiled_charsmap and spaces == _Spaces()
    if kind == "Strip":
        sides = bool(part.get("strip_left")), bool(part.get("strip_right"))
        if any(sides) and spaces.written:
            raise NotExpressibleError("it takes spaces off where some are written as '▁'")
        spaces.left, spaces.right = spaces.left or sides[0], spaces.right or sides[1]
    elif kind == "Replace":
        _add_replacement(part["pattern"], part["content"], spec, spaces)
    elif kind == "Prepend" and part["prepend"] == SPACE_SIGN:
        spec.add_dummy_prefix = spaces.written = True
    elif kind == "Precompiled" and is_first:
        spec.name = "precompiled"
        spec.precompiled_charsmap = base64.b64decode(part["precompiled_charsmap"])
    elif kind in ("NFKC", "Nmt", "NFC", "NFKD", "NFD") and is_first:
        if kind != "NFKC":
            raise NotExpressibleError(f"it normalises text by {kind}")
        spec.name = "nfkc"
        spec.precompiled_charsmap = _charsmap("nfkc")
    else:
        raise NotExpressibleError(f"it normalises text by {kind}")


def _add_replacement(pattern: Any, text: str, spec: Any, spaces: _Spaces) -> None:
    if (pattern, text) == ({"String": " "}, SPACE_SIGN):
        spaces.written = True
        return
    regex = pattern.get("Regex")
    is_known = regex in SPACES_TO_ONE
    if regex in WHITE_SPACE_TO_ONE:
        # Tabs and line breaks are none of SentencePiece's spaces, unless a map makes some of them.
        is_known = bool(spec.precompiled_charsmap) and _maps_white_space(spec)
    if not is_known or text not in (" ", SPACE_SIGN) or spaces.written:
        raise NotExpressibleError(f"it replaces {pattern} by {text!r}")
    spaces.to_one, spaces.written = True, text == SPACE_SIGN


def _set_pre_tokenizer(pre_tokenizer: Mapping[str, Any], spec: Any, spaces: _Spaces) -> None:
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    kinds = [part.get("type") for part in parts]
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        if not kinds == [None] or not spec.add_dummy_prefix:
            raise NotExpressibleError(f"it splits text by {', '.join(map(str, kinds))}")
        return
    metaspace = parts[-1]
    if metaspace.get("replacement", SPACE_SIGN) != SPACE_SIGN:
        raise NotExpressibleError(f"it writes spaces as {metaspace['replacement']!r}")
    scheme = metaspace.get("prepend_scheme")
    if scheme is None:
        # Before version 0.15 of `tokenizers`.
        scheme = "always" if metaspace.get("add_prefix_space", True) else "never"
    spaces.prefixed = scheme != "never" and not spec.add_dummy_prefix
    spec.add_dummy_prefix = spec.add_dummy_prefix or scheme != "never"
    if kinds[0] == "WhitespaceSplit":
        spaces.split = True
        if not spec.add_dummy_prefix or not _maps_white_space(spec):
            raise NotExpressibleError("it splits text by WhitespaceSplit")


def _charsmap(rule: str) -> bytes:
    """Returns SentencePiece's own table of a rule of normalisation."""
    import io

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a"]),
        model_writer=model,
        vocab_size=8,
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        num_threads=1,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def _maps_white_space(spec: Any) -> bool:
    """Returns whether no white space but spaces is left."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.normalizer_spec.CopyFrom(spec)
    proto.pieces.add(piece="<unk>", type=proto.SentencePiece.UNKNOWN)
    proto.pieces.add(piece="x", type=proto.SentencePiece.NORMAL)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    return not set(processor.normalize("x".join(WHITE_SPACE))) & set(WHITE_SPACE)
