"""What `transformers` writes for a WordPiece vocabulary, read and written."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken
from bigbird_tf.preprocessing.tokenizers.post_processor import cls_and_sep, warn_of_layout
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    FLAGS,
    JSON_NAME,
    NotExpressibleError,
    PretrainedFiles,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer_classes import (
    BERT_CLASSES,
    check_class,
    is_class,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer_json import model_type

__all__ = [
    "SETTINGS",
    "VOCABULARY_NAME",
    "read_vocabulary",
    "read_word_piece_files",
    "word_piece_config",
    "word_piece_json",
]

VOCABULARY_NAME = "vocab.txt"
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
# Of classes with the same rules, those that go by `tokenizer.json` where there is one.
JSON_CLASSES = ("ConvBertTokenizer", "RetriBertTokenizer")


def read_word_piece_files(files: PretrainedFiles) -> tuple[dict[str, Any], list[str] | None]:
    """Reads the rules of a WordPiece vocabulary, and its tokens.

    Where `tokenizer_config.json` names BERT's own class, its rules count, as in `transformers`.

    Args:
        files: A checkpoint's.

    Returns:
        The arguments of a `WordPieceTokenizer`, and the tokens; `None` for these where there are
        none.

    Raises:
        NotExpressibleError: If the files are not of a WordPiece vocabulary, or have other rules.
        ValueError: If they are broken.
    """
    content = files.tokenizer_json
    settings: dict[str, Any] = {}
    is_bert = is_class(files.config.get("tokenizer_class"), BERT_CLASSES)
    if content is None:
        path = files.find(VOCABULARY_NAME)
        if path is None:
            return settings, None
        check_class(files, path, "WordPieceTokenizer", (*BERT_CLASSES, *JSON_CLASSES))
        vocabulary = read_vocabulary(path)
    else:
        try:
            settings, vocabulary = _read(content, files)
            if not is_bert:
                warn_of_layout(content, files.name_or_path)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The {JSON_NAME} of {files.name_or_path} must be one that the library "
                f"`tokenizers` writes. Received: {error!r}"
            ) from error
    if content is None or is_bert:
        settings.update({name: files.config.get(name, DEFAULTS[name]) for name in IN_CONFIG})
    return settings, vocabulary


def read_vocabulary(vocabulary: str | os.PathLike | Sequence[str]) -> list[str]:
    """Returns the tokens of a `vocab.txt`, or those that are given.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is neither.
        ValueError: If the file is no UTF-8.
    """
    if not isinstance(vocabulary, (str, os.PathLike)):
        tokens = list(vocabulary)
        if not all(isinstance(token, str) for token in tokens):
            raise TypeError(
                "`vocabulary` must be the path of a vocab.txt or a list of tokens. Received: "
                f"{type(vocabulary).__name__}"
            )
        return tokens
    path = Path(vocabulary).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"`vocabulary` must be a vocab.txt. Received: {path}, where there is no file. For a "
            "directory or a repository of the hub use `from_pretrained`."
        )
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be a vocab.txt in UTF-8. Received: {error}") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _read(content: Mapping[str, Any], files: PretrainedFiles) -> tuple[dict[str, Any], list[str]]:
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
    settings = {
        **_read_normalizer(content.get("normalizer")),
        "max_input_chars_per_word": model.get("max_input_chars_per_word", 100),
        "continuing_subword_prefix": prefix,
        "special_tokens": {"unk_token": model["unk_token"], **cls_and_sep(content)},
    }
    return settings, _tokens_by_id(content, files)


def _tokens_by_id(content: Mapping[str, Any], files: PretrainedFiles) -> list[str]:
    """Returns the tokens in the order of their ids.

    A `vocab.txt` may have a token twice, and as the file has each once, the id of the first is
    missing. What it was, `vocab.txt` says; without one it is empty, which no text has.

    Raises:
        NotExpressibleError: If ids are missing for another reason.
    """
    ids = content["model"]["vocab"]
    by_id = {index: token for token, index in ids.items()}
    size = max(by_id) + 1
    if len(by_id) == size:
        return [by_id[index] for index in range(size)]
    path = files.find(VOCABULARY_NAME)
    if path is not None:
        tokens = read_vocabulary(path)
        if {token: index for index, token in enumerate(tokens)} == ids:
            return tokens
    # The library would give added tokens ids within the vocabulary.
    has_more = any(token["content"] not in ids for token in content.get("added_tokens") or [])
    if has_more or min(by_id) < 0 or size > 2 * len(by_id):
        raise NotExpressibleError("the ids of its vocabulary have gaps")
    return [by_id.get(index, "") for index in range(size)]


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
