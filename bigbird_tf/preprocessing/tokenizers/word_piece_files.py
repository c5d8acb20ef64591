"""What `transformers` writes for a WordPiece vocabulary, read and written."""

from collections.abc import Mapping, Sequence
from typing import Any

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    FLAGS,
    JSON_NAME,
    NotExpressibleError,
    PretrainedFiles,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer_json import cls_and_sep, model_type

__all__ = ["SETTINGS", "read_word_piece_json", "word_piece_config", "word_piece_json"]

# The rules of a `WordPieceTokenizer` by name, as `BertTokenizer` has them.
DEFAULTS: dict[str, Any] = {
    "do_lower_case": True,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "clean_text": True,
    "max_input_chars_per_word": 100,
    "continuing_subword_prefix": "##",
}
SETTINGS = tuple(DEFAULTS)
# Those that a `tokenizer_config.json` may name.
IN_CONFIG = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast")


def read_word_piece_json(files: PretrainedFiles) -> tuple[dict[str, Any], list[str] | None]:
    """Reads the rules of a WordPiece vocabulary, and the vocabulary if `tokenizer.json` has it.

    Where `tokenizer_config.json` names BERT's own class, its rules count, as in `transformers`.

    Args:
        files: A checkpoint's.

    Returns:
        The arguments of a `WordPieceTokenizer`, and the tokens; `None` for these where there is no
        `tokenizer.json`.

    Raises:
        NotExpressibleError: If the file is not of a WordPiece vocabulary, or has other rules.
        ValueError: If it is broken.
    """
    content = files.tokenizer_json
    settings: dict[str, Any] = {}
    vocabulary = None
    if content is not None:
        try:
            settings, vocabulary = _read(content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The {JSON_NAME} of {files.name_or_path} must be one that the library "
                f"`tokenizers` writes. Received: {error!r}"
            ) from error
    if content is None or files.config.get("tokenizer_class") in BERT_CLASSES:
        settings.update({name: files.config.get(name, DEFAULTS[name]) for name in IN_CONFIG})
    return settings, vocabulary


def _read(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if model_type(content) != "WordPiece":
        raise NotExpressibleError(f"its vocabulary is {model_type(content)}, not WordPiece")
    model = content["model"]
    pre_tokenizer = (content.get("pre_tokenizer") or {}).get("type")
    if pre_tokenizer != "BertPreTokenizer":
        raise NotExpressibleError(f"its words are split by {pre_tokenizer}, not BertPreTokenizer")
    prefix = model.get("continuing_subword_prefix", "##")
    decoder = content.get("decoder") or {}
    expected = {"type": "WordPiece", "prefix": prefix, "cleanup": True}
    if decoder != expected:
        raise NotExpressibleError(f"its decoder is {decoder.get('type')}, not BERT's")
    size = max(model["vocab"].values()) + 1
    by_id = {index: token for token, index in model["vocab"].items()}
    if len(by_id) != size:
        raise NotExpressibleError("the ids of its vocabulary have gaps")
    settings = {
        **_read_normalizer(content.get("normalizer")),
        "max_input_chars_per_word": model.get("max_input_chars_per_word", 100),
        "continuing_subword_prefix": prefix,
        "special_tokens": {"unk_token": model["unk_token"], **cls_and_sep(content)},
    }
    return settings, [by_id[index] for index in range(size)]


def _read_normalizer(normalizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the rules of a normaliser.

    Raises:
        NotExpressibleError: If there are others than BERT's.
    """
    settings: dict[str, Any] = {
        "do_lower_case": False,
        "strip_accents": False,
        "tokenize_chinese_chars": False,
        "clean_text": False,
    }
    if normalizer is None:
        return settings
    parts = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    for index, part in enumerate(parts):
        if part["type"] == "Lowercase":
            settings["do_lower_case"] = True
        elif part["type"] == "BertNormalizer" and index == 0:
            settings.update(
                do_lower_case=bool(part.get("lowercase")),
                strip_accents=part.get("strip_accents"),
                tokenize_chinese_chars=bool(part.get("handle_chinese_chars")),
                clean_text=bool(part.get("clean_text")),
            )
            if settings["strip_accents"] is None:
                settings["strip_accents"] = settings["do_lower_case"]
        else:
            raise NotExpressibleError(f"it normalises text by {part['type']}")
    return settings


def word_piece_config(
    settings: Mapping[str, Any],
    special: Mapping[str, str],
    added: Sequence[AddedToken],
    never_split: Sequence[str],
) -> dict[str, Any]:
    """Returns the `tokenizer_config.json`.

    Args:
        settings: The rules, by the names of `SETTINGS`.
        special: The special tokens by name.
        added: All tokens that are found before words are split.
        never_split: Words that stay as they are; `transformers` 5 does not heed them.
    """
    decoder = {
        str(token.id): {"content": token.content, **{f: getattr(token, f) for f in FLAGS}}
        for token in sorted(added, key=lambda token: token.id)
    }
    further = [t.content for t in added if t.special and t.content not in special.values()]
    # BERT's own class has no names for the other rules; this one goes by `tokenizer.json` alone.
    is_bert = all(settings[name] == DEFAULTS[name] for name in SETTINGS if name not in IN_CONFIG)
    return {
        "tokenizer_class": "BertTokenizer" if is_bert else "PreTrainedTokenizerFast",
        **{name: settings[name] for name in IN_CONFIG},
        **special,
        "added_tokens_decoder": decoder,
        **({"additional_special_tokens": further} if further else {}),
        **({"never_split": list(never_split)} if never_split else {}),
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }


def word_piece_json(
    settings: Mapping[str, Any],
    special: Mapping[str, str],
    added: Sequence[AddedToken],
    vocabulary: Sequence[str],
) -> dict[str, Any]:
    """Returns the `tokenizer.json`; arguments as in `word_piece_config`."""
    ids = {token: index for index, token in enumerate(vocabulary)}
    ids.update({token.content: token.id for token in added})
    cls, sep = special["cls_token"], special["sep_token"]

    def piece(token, kind):
        return {"SpecialToken": {"id": token, "type_id": kind}}

    def text(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [piece(cls, 0), text("A", 0), piece(sep, 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": token.id, "content": token.content, **{f: getattr(token, f) for f in FLAGS}}
            for token in sorted(added, key=lambda token: token.id)
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": settings["clean_text"],
            "handle_chinese_chars": settings["tokenize_chinese_chars"],
            "strip_accents": settings["strip_accents"],
            "lowercase": settings["do_lower_case"],
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, text("B", 1), piece(sep, 1)],
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (cls, sep)
            },
        },
        "decoder": {
            "type": "WordPiece",
            "prefix": settings["continuing_subword_prefix"],
            "cleanup": True,
        },
        "model": {
            "type": "WordPiece",
            "unk_token": special["unk_token"],
            "continuing_subword_prefix": settings["continuing_subword_prefix"],
            "max_input_chars_per_word": settings["max_input_chars_per_word"],
            "vocab": {token: index for index, token in enumerate(vocabulary)},
        },
    }
